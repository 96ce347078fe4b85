"""What is gained by taking the best of k answers? Estimates over all choices of k among more answers than that.

With M answers drawn once, every k up to M is read off them: each choice of k of the M is as likely as any other, so the
mean over all choices is an unbiased estimate, as in pass@k (Chen et al. 2021, arXiv 2107.03374). Answers of the same
value are chosen alike.

Shapes: Q questions, M answers of each.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from gnomon.stats.clusters import Matrix, Vector

__all__ = ["best_of", "best_of_wins"]


def best_of(value_QM: Matrix, utility_QM: Matrix, k: int) -> Vector:
    """The expected utility [Q] of the answer of the highest value among k of the M.

    With values in falling order, the j-th is the best of k with probability C(M - j, k - 1) / C(M, k).

    >>> values, utilities = np.array([[1.0, 2.0]]), np.array([[5.0, 7.0]])
    >>> best_of(values, utilities, 2).tolist(), best_of(values, utilities, 1).tolist()
    ([7.0], [6.0])
    """
    chance_M = _chances(value_QM.shape[1], k)
    rows = zip(value_QM, utility_QM, strict=True)
    return np.array([_chosen(chance_M, value_M, utility_M) for value_M, utility_M in rows])


def best_of_wins(value_QM: Matrix, utility_QM: Matrix, k: int, chance: Callable[[Matrix, Matrix], Matrix]) -> Vector:
    """The chance [Q] that the best of k by value is preferred to one more answer of the same model.

    The other answer is none of the k, so k is at most M - 1.

    Args:
        chance: that an answer of the first utility is chosen over one of the second, elementwise.

    >>> values = np.array([[1.0, 2.0, 3.0]])
    >>> best_of_wins(values, values, 2, lambda a, b: (a > b) * 1.0).tolist()
    [0.6666666666666666]
    """
    m = value_QM.shape[1]
    chance_M = _chances(m - 1, k)
    found = []
    for value_M, utility_M in zip(value_QM, utility_QM, strict=True):
        won_MM = chance(utility_M[:, None], utility_M[None, :])
        others = (np.delete(np.arange(m), i) for i in range(m))
        found.append(np.mean([_chosen(chance_M, value_M[rest], won_MM[rest, i]) for i, rest in enumerate(others)]))
    return np.array(found)


def _chances(m: int, k: int) -> Vector:
    """The chance [M] of each answer, in falling order of values, to be the best of k of the M."""
    return np.array([math.comb(m - j, k - 1) / math.comb(m, k) for j in range(1, m + 1)])


def _chosen(chance_M: Vector, value_M: Vector, outcome_M: Vector) -> float:
    """The expected outcome of the answer that is chosen; answers of one value share their outcomes evenly."""
    _, same_M = np.unique(value_M, return_inverse=True)
    shared_M = (np.bincount(same_M, outcome_M) / np.bincount(same_M))[same_M]
    return float(chance_M @ shared_M[np.argsort(-value_M, kind="stable")])
