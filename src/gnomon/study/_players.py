"""Who wins how often, by what raters or preference models make of answers; and Elo points from that.

A rater chooses the answer of the higher utility with a chance that grows with the difference (Bradley and Terry 1952).
Shapes: Q questions, M answers of each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy.special import expit

from gnomon.data.worlds.brook.oracle import chosen
from gnomon.stats.clusters import Matrix
from gnomon.stats.elo import Elo, Game, elo

__all__ = ["Chance", "by_choice", "by_rater", "games", "ranked"]

Chance = Callable[[Matrix, Matrix], Matrix]
"""The chance, elementwise, that an answer of the first utility is chosen over one of the second."""


def by_rater(name: str) -> Chance:
    """How the rater called `name` errs: Brook's as they are planted, a preference model by the logistic function."""
    return np.vectorize(chosen, otypes=[float]) if name.startswith("brook:") else _logistic


def by_choice(first: Matrix, second: Matrix) -> Matrix:
    """Who always takes the higher value: 1, 0, or one half where they are equal."""
    return np.where(first == second, 0.5, first > second)


def games(value: Mapping[str, Matrix], clusters: Sequence[str], chance: Chance) -> list[Game]:
    """One game of every two players on each question: the mean chance over their answers, every one against every one.

    Args:
        value: utilities [Q, M] of each player's answers, the questions in one order.
        clusters: of the questions.
        chance: that an answer is chosen over another.
    """
    found = []
    for first, second in combinations(value, 2):
        credit_Q = chance(value[first][:, :, None], value[second][:, None, :]).mean(axis=(1, 2))
        found += [Game(first, second, float(each), of) for each, of in zip(credit_Q, clusters, strict=True)]
    return found


def ranked(
    value: Mapping[str, Matrix], clusters: Sequence[str], chance: Chance, *, resamples: int = 1000, seed: int = 0
) -> Elo:
    """Elo points of the players above the first; intervals resample clusters of questions."""
    return elo(games(value, clusters, chance), players=list(value), resamples=resamples, seed=seed)


def _logistic(first: Matrix, second: Matrix) -> Matrix:
    found: Matrix = expit(first - second)
    return found
