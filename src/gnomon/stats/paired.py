"""Is one model, or one condition, better than another on the same items? Paired differences and their tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr, stdtr

from gnomon.stats.clusters import Labels, Vector, binary, same_length, vector
from gnomon.stats.intervals import Interval, clustered_mean

__all__ = ["McNemar", "PairedDifference", "holm", "mcnemar", "paired_difference"]


class PairedDifference(NamedTuple):
    """The mean of first less second over items.

    Attributes:
        difference: with its clustered interval.
        p_value: two-sided, from the t distribution with one degree of freedom less than clusters; None without an SE.
        correlation: Pearson, of the two scores over items; None when one does not vary.
        unpaired_se: what the standard error would be had the items not been the same; None without an SE.
    """

    difference: Interval
    p_value: float | None
    correlation: float | None
    unpaired_se: float | None


class McNemar(NamedTuple):
    """Items that only one of two got right, and the exact two-sided p-value that this is chance."""

    first_only: int
    second_only: int
    p_value: float


def paired_difference(
    first: ArrayLike, second: ArrayLike, clusters: Labels | None = None, *, seed: int = 0
) -> PairedDifference:
    """The mean difference of two scores [n] of the same items, in the same order, clustered."""
    a, b = vector(first, "first score"), vector(second, "second score")
    same_length(first=a, second=b)
    difference = clustered_mean(a - b, clusters, seed=seed)
    errors = [clustered_mean(s, clusters, seed=seed).se for s in (a, b)]
    unpaired = None if None in errors else float(np.sqrt(sum(e**2 for e in errors if e is not None)))
    return PairedDifference(difference, _p_value(difference), _correlation(a, b), unpaired)


def mcnemar(first: ArrayLike, second: ArrayLike) -> McNemar:
    """McNemar's exact test on two vectors [n] of 0 and 1: single answers to the same unclustered items.

    >>> mcnemar([1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0])
    McNemar(first_only=5, second_only=0, p_value=0.0625)
    """
    a, b = binary(first, "first outcome"), binary(second, "second outcome")
    same_length(first=a, second=b)
    only_a, only_b = int(np.sum(a > b)), int(np.sum(b > a))
    if only_a + only_b == 0:
        return McNemar(0, 0, 1.0)
    tail = float(bdtr(min(only_a, only_b), only_a + only_b, 0.5))
    return McNemar(only_a, only_b, min(1.0, 2 * tail))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: below 0.05 together with an error rate of 5 % over the table.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    count, running = len(p_values), 0.0
    adjusted = [0.0] * count
    for rank, index in enumerate(sorted(range(count), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def _p_value(difference: Interval) -> float | None:
    if difference.se is None or difference.value is None:
        return None
    if difference.se == 0:
        return 1.0 if difference.value == 0 else 0.0
    return 2 * float(stdtr(difference.clusters - 1, -abs(difference.value) / difference.se))


def _correlation(a: Vector, b: Vector) -> float | None:
    if len(a) == 0 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])
