"""How often is at least one of k samples right? Unbiased from n >= k samples a problem, with intervals over problems.

Chen et al. 2021, "Evaluating Large Language Models Trained on Code", sec. 2.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import exp, lgamma, log, log1p

import numpy as np

from gnomon.core.errors import UsageError
from gnomon.stats.bootstrap import cluster_bootstrap
from gnomon.stats.intervals import Interval, bounded, proportion

__all__ = ["mean_pass_at_k", "over_problems", "pass_at_k", "plug_in", "sampling_error"]


def pass_at_k(n: int, c: int, k: int) -> float:
    """The unbiased estimate 1 - C(n-c, k) / C(n, k) of the chance that one of k samples is right.

    Args:
        n: samples of the problem, at least `k`.
        c: how many of them are right.
        k: samples one may try, at least 1.

    Raises:
        UsageError: k is below 1 or above n, for which there is no unbiased estimate, or c is not in 0..n.

    >>> pass_at_k(5, 2, 1), round(pass_at_k(5, 2, 3), 3)
    (0.4, 0.9)
    """
    if not 1 <= k <= n:
        raise UsageError(f"pass@{k} of {n} samples has no unbiased estimate", todo=f"draw {k} samples or lower k")
    if not 0 <= c <= n:
        raise UsageError(f"{c} of {n} samples cannot be right")
    if k == 1:
        return c / n
    if n - c < k:
        return 1.0
    return float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


def plug_in(n: int, c: int, k: int) -> float:
    """The biased estimate 1 - (1 - c/n)^k, shown beside the unbiased one in pictures only."""
    return float(1.0 - (1.0 - c / n) ** k)


def mean_pass_at_k(n: Sequence[int], c: Sequence[int], k: int, *, seed: int = 0) -> Interval:
    """The mean of `pass_at_k` over problems, with a 95 % interval for other problems of the same kind.

    Args:
        n, c: samples of each problem, and how many are right; equal lengths.
    """
    return over_problems([pass_at_k(a, b, k) for a, b in zip(n, c, strict=True)], seed=seed)


def over_problems(chances: Sequence[float], *, seed: int = 0) -> Interval:
    """The mean of one chance a problem, in [0, 1], with a 95 % interval for other problems of the same kind.

    The bootstrap resamples problems; where every chance is 0 or 1 it is the interval of a proportion.
    """
    values = np.array(chances)
    if np.isin(values, (0.0, 1.0)).all():
        return proportion(values, seed=seed)
    found = cluster_bootstrap(lambda w: w @ values / w.sum(axis=1), len(values), seed=seed)
    return bounded(replace(found, clusters=len(values)))


def sampling_error(n: Sequence[int], c: Sequence[int], k: int) -> float:
    """The standard error of the mean over these very problems, were they sampled again as often.

    Every problem's chance is taken to be c/n, so a problem with none or all right counts as certain.
    """
    variances = [_variance(a, b, k) for a, b in zip(n, c, strict=True)]
    return float(np.sqrt(np.sum(variances)) / len(variances))


def _variance(n: int, c: int, k: int) -> float:
    """Variance of the estimate over binomial draws of c."""
    if c in (0, n):
        return 0.0
    p = c / n
    chance = np.array([_chance(n, x, p) for x in range(n + 1)])
    values = np.array([pass_at_k(n, x, k) for x in range(n + 1)])
    mean = float(chance @ values)
    return float(chance @ (values - mean) ** 2)


def _chance(n: int, x: int, p: float) -> float:
    """The binomial chance by logarithms: the coefficients of a large n fit into no float."""
    return exp(lgamma(n + 1) - lgamma(x + 1) - lgamma(n - x + 1) + x * log(p) + (n - x) * log1p(-p))
