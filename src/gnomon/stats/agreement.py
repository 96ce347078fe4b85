"""Do two raters say the same of the same things, and how much more often than chance would have them?

Cohen 1960 for kappa: (a - c) / (1 - c), where a is the share of things on which they agree and c what it would be if
each drew labels by its own frequencies. 1 is agreement throughout, 0 is chance. Which of two answers is "the first" has
no meaning, and a convention by which one label were frequent would raise c; callers name labels by a rule that has
nothing to do with what is judged.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from gnomon.core.errors import DataError
from gnomon.stats.bootstrap import OnWeights, cluster_bootstrap
from gnomon.stats.clusters import Labels, Matrix, Vector
from gnomon.stats.intervals import Interval, proportion

__all__ = ["Agreement", "agreement"]


class Agreement(NamedTuple):
    """How far two raters agree.

    Attributes:
        share: of the things on which they say the same.
        kappa: share beyond chance; without a value where chance alone would have them agree on everything.
        chance: the share expected of raters who draw by their own frequencies.
    """

    share: Interval
    kappa: Interval
    chance: float


def agreement(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    clusters: Labels | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Agreement:
    """The agreement of two raters, with intervals by cluster.

    Args:
        first, second: label of each thing [n] by either rater.
        clusters: of each thing; things of one cluster are resampled together. None when each is its own.
        resamples: for kappa's interval.
        seed: of the resamples.

    Raises:
        DataError: the raters judge different numbers of things.
    """
    if len(first) != len(second):
        raise DataError(f"{len(first)} labels of one rater and {len(second)} of the other", todo="give one a thing")
    n = len(first)
    same = np.array([a == b for a, b in zip(first, second, strict=True)], dtype=np.float64)
    places = {label: place for place, label in enumerate(dict.fromkeys([*first, *second]))}
    sides = [_indicators([places[label] for label in side], len(places)) for side in (first, second)]
    kappa = cluster_bootstrap(_kappa_on_weights(same, *sides), n, clusters, resamples=resamples, seed=seed)
    chance = float(_chance(np.ones((1, n)), *sides)[0]) if n else 0.0
    return Agreement(proportion(same, clusters, seed=seed), kappa, chance)


def _indicators(places: Sequence[int], count: int) -> Matrix:
    """[n, count], 1 where the thing has the label."""
    return np.eye(count)[np.array(places, dtype=np.intp)]


def _chance(weights: Matrix, first: Matrix, second: Matrix) -> Vector:
    total = weights.sum(axis=1)
    found: Vector = ((weights @ first) * (weights @ second)).sum(axis=1) / total**2
    return found


def _kappa_on_weights(same: Vector, first: Matrix, second: Matrix) -> OnWeights:
    def statistic(weights: Matrix) -> Vector:
        expected = _chance(weights, first, second)
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Vector = (weights @ same / weights.sum(axis=1) - expected) / (1 - expected)
        return np.where(expected < 1, found, np.nan)

    return statistic
