"""How far apart groups are in a table of templates by groups, and how far they would be apart by noise alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gnomon.stats.clusters import Matrix, Vector
from gnomon.stats.intervals import Interval, t_interval, undefined

__all__ = ["Shuffled", "between", "noise_removed", "shuffled"]

_SHUFFLES = 1000
_FEWEST = 3


class Shuffled(NamedTuple):
    """A spread when the groups of every template are shuffled: its mean, and the share of shuffles with as much.

    The table itself counts as one of them.
    """

    mean: float
    p_value: float


def between(x: Matrix) -> float:
    """The standard deviation of the groups' means [T, G]."""
    return float(x.mean(axis=0).std(ddof=1))


def shuffled(x: Matrix, *, seed: int = 0) -> Shuffled:
    """The spread where which score is whose is drawn anew in each template [T, G], a thousand times."""
    rng = np.random.default_rng(seed)
    found = np.array([between(rng.permuted(x, axis=1)) for _ in range(_SHUFFLES)])
    observed = between(x)
    as_much = (found >= observed - 1e-12).sum() + 1
    return Shuffled(float(found.mean()), float(as_much / (_SHUFFLES + 1)))


def noise_removed(x: Matrix) -> Interval:
    """The variance of the groups' true means, unbiased: noise of two templates does not correlate.

    The sum over pairs of different templates of the products of a group's deviations; jackknife over templates. It can
    be below 0.

    Args:
        x: scores [T, G].
    """
    count = len(x)
    if count < _FEWEST:
        return undefined(f"{count} templates are too few", n=x.size, clusters=count, method="jackknife")
    deviations = x - x.mean(axis=1, keepdims=True)
    sums, squares = deviations.sum(axis=0), np.square(deviations).sum(axis=0)
    left_out = _products(sums - deviations, squares - np.square(deviations), count - 1)
    se = float(np.sqrt((count - 1) / count * np.square(left_out - left_out.mean()).sum()))
    value = float(_products(sums[None], squares[None], count)[0])
    return t_interval(value, se, n=x.size, clusters=count, method="jackknife")


def _products(sums: Matrix, squares: Matrix, count: int) -> Vector:
    """The mean over pairs of different templates of a group's products, over groups less one; one a row."""
    return np.asarray((np.square(sums) - squares).sum(axis=1) / (count * (count - 1) * (sums.shape[1] - 1)))
