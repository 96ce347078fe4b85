"""One temperature that repairs over-confidence: fitted on a development split, applied to a test split.

Kadavath et al. 2022, sec. 3.4. Option probabilities p are flattened to softmax(log p / T); T > 1 softens. The
interval comes from the score equation of beta = 1/T with a sandwich by cluster, so it also holds when no single
temperature is right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from gnomon.core.errors import DataError
from gnomon.stats.clusters import Clusters, Labels, Matrix, Vector
from gnomon.stats.intervals import Interval, undefined

__all__ = ["apply_temperature", "fit_temperature"]

# The search range of log T: T from 0.14 to 20.
_LOWEST, _HIGHEST = -2.0, 3.0
_GOLDEN = (5**0.5 - 1) / 2
_METHOD = "score sandwich by cluster"


def fit_temperature(log_probs: Sequence[ArrayLike], gold: Sequence[int], clusters: Labels | None = None) -> Interval:
    """The temperature of least mean negative log-likelihood over log T in [-2, 3], by golden section.

    Args:
        log_probs: one vector of option log-probabilities (nats, any constant added) an item; lengths may differ.
        gold: index of the right option of each item.
        clusters: cluster of each item.

    Returns:
        T with its interval. Undefined when a right option has probability 0 or nothing varies; no interval when the
        best T is at an end of the range.
    """
    logits, groups = _padded(log_probs, gold), Clusters(clusters, len(gold))
    n, count, right = len(gold), groups.count, np.arange(len(gold))
    at_gold = logits[right, list(gold)] if n else np.zeros(0)
    if n == 0 or not np.isfinite(at_gold).all():
        reason = "no items" if n == 0 else f"{int(np.sum(~np.isfinite(at_gold)))} right options have probability 0"
        return undefined(reason, n=n, clusters=count, method=_METHOD)
    if not np.ptp(np.where(np.isfinite(logits), logits, 0.0), axis=1).any():
        return undefined("options of every item are equally likely", n=n, clusters=count, method=_METHOD)
    log_t = _golden_section(lambda t: _loss(logits, at_gold, np.exp(-t)), _LOWEST, _HIGHEST)
    temperature = float(np.exp(log_t))
    if min(log_t - _LOWEST, _HIGHEST - log_t) < 1e-3:
        reason = f"the best temperature is at the end of the range, {temperature:.3g}"
        return undefined(reason, n=n, clusters=count, method=_METHOD, value=temperature)
    if count == 1:
        reason = "one cluster: its error cannot be estimated"
        return undefined(reason, n=n, clusters=1, method=_METHOD, value=temperature)
    se = _error_of_log(logits, at_gold, 1 / temperature, groups)
    reach = float(stdtrit(count - 1, 0.975)) * se
    low, high = max(log_t - reach, _LOWEST), min(log_t + reach, _HIGHEST)
    cut = low == _LOWEST or high == _HIGHEST
    return Interval(
        value=temperature,
        low=float(np.exp(low)),
        high=float(np.exp(high)),
        se=temperature * se,
        n=n,
        clusters=count,
        method=_METHOD,
        reason="the interval reaches the end of the range searched" if cut else "",
    )


def apply_temperature(log_probs: Sequence[ArrayLike], temperature: float) -> list[Vector]:
    """Option probabilities at `temperature` > 0, one vector an item, each adding up to 1.

    >>> apply_temperature([[0.0, 0.0]], 2.5)[0].tolist()
    [0.5, 0.5]
    """
    if not temperature > 0:
        raise DataError(f"temperature is {temperature:g}, not above 0")
    out = []
    for item in log_probs:
        scaled = np.asarray(item, dtype=np.float64) / temperature
        weights = np.exp(scaled - scaled.max())
        out.append(weights / weights.sum())
    return out


def _padded(log_probs: Sequence[ArrayLike], gold: Sequence[int]) -> Matrix:
    """Log-probabilities [n, most options], highest of each item 0, missing options -inf."""
    if len(log_probs) != len(gold):
        raise DataError(f"{len(log_probs)} items have log-probabilities and {len(gold)} have a right option")
    items = [np.asarray(item, dtype=np.float64) for item in log_probs]
    for i, (item, g) in enumerate(zip(items, gold, strict=True)):
        if item.ndim != 1 or not 0 <= g < len(item):
            raise DataError(f"right option {g} of {item.size} options", where=f"item {i}")
        if np.isnan(item).any() or not np.isfinite(item.max()):
            raise DataError("log-probabilities are not numbers, or all -inf", where=f"item {i}")
    padded = np.full((len(items), max(map(len, items), default=0)), -np.inf)
    for row, item in zip(padded, items, strict=True):
        row[: len(item)] = item - item.max()
    return padded


def _loss(logits: Matrix, at_gold: Vector, beta: float) -> float:
    return float(np.mean(np.log(np.exp(beta * logits).sum(axis=1)) - beta * at_gold))


def _error_of_log(logits: Matrix, at_gold: Vector, beta: float, groups: Clusters) -> float:
    """Standard error of log T, which is that of log beta, at two clusters or more."""
    p = np.exp(beta * logits)
    p /= p.sum(axis=1, keepdims=True)
    # an option of probability 0 adds 0 to both moments, and 0 * -inf must not
    finite = np.where(np.isfinite(logits), logits, 0.0)
    mean = (p * finite).sum(axis=1)
    curvature = float(((p * finite**2).sum(axis=1) - mean**2).sum())
    totals = groups.sums(at_gold - mean)
    variance = groups.count / (groups.count - 1) * float(totals @ totals) / curvature**2
    return float(np.sqrt(variance)) / beta


def _golden_section(loss: Callable[[float], float], low: float, high: float) -> float:
    """Where `loss` is least on [low, high], within 1e-7; the loss is convex in 1/T, so it has one minimum in T."""
    inner, outer = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_inner, at_outer = loss(inner), loss(outer)
    while high - low > 1e-7:
        if at_inner <= at_outer:
            high, outer, at_outer = outer, inner, at_inner
            inner = high - _GOLDEN * (high - low)
            at_inner = loss(inner)
        else:
            low, inner, at_inner = inner, outer, at_outer
            outer = low + _GOLDEN * (high - low)
            at_outer = loss(outer)
    return (low + high) / 2
