"""Scores of probabilities: Brier, skill, negative log-likelihood, and their corrections for sampled probabilities.

A probability estimated from samples carries noise that inflates Brier scores and shrinks correlations; Spearman
1910 and Brown 1910 for the reliability of halves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gnomon.core.errors import DataError
from gnomon.stats.bootstrap import OnWeights, cluster_bootstrap
from gnomon.stats.clusters import Clusters, Labels, Matrix, Vector, probabilities, same_length, vector
from gnomon.stats.intervals import Interval, clustered_mean, undefined
from gnomon.stats.ranking import pearson, pearson_on_weights, spearman, spearman_on_weights

__all__ = [
    "CorrectedCorrelation",
    "brier",
    "brier_options",
    "brier_sampled",
    "brier_skill",
    "corrected_correlation",
    "halves",
    "negative_log_likelihood",
    "split_half_reliability",
]

# The least probability a logarithm is taken of: one that underflowed would make every mean infinite.
_LEAST = 1e-12


class CorrectedCorrelation(NamedTuple):
    """A correlation with a sampled quantity, before and after dividing by the square root of its reliability.

    Attributes:
        raw: the correlation as measured, shrunk by sampling noise.
        reliability: of the sampled quantity, by split halves; None where undefined.
        corrected: an estimate of the correlation without sampling noise, bootstrapped as a whole; can pass 1.
    """

    raw: Interval
    reliability: float | None
    corrected: Interval


def brier(p: ArrayLike, y: ArrayLike, clusters: Labels | None = None, *, seed: int = 0) -> Interval:
    """The binary Brier score, mean of (p - y)^2, lower is better; always saying one half scores 0.25."""
    stated, outcome = _pair(p, y)
    return clustered_mean((stated - outcome) ** 2, clusters, seed=seed)


def brier_options(
    p: Sequence[ArrayLike], gold: Sequence[int], clusters: Labels | None = None, *, seed: int = 0
) -> Interval:
    """The multi-class Brier score: squared error summed over an item's options, in [0, 2], meaned over items.

    Args:
        p: one vector of option probabilities an item; lengths may differ.
        gold: index of the right option of each item.
    """
    if len(p) != len(gold):
        raise DataError(f"{len(p)} items have probabilities and {len(gold)} have a right option")
    scores = []
    for i, (item, g) in enumerate(zip(p, gold, strict=True)):
        options = probabilities(item, "probability")
        if not 0 <= g < len(options):
            raise DataError(f"right option {g} of {len(options)} options", where=f"item {i}")
        scores.append(float(options @ options - 2 * options[g] + 1))
    return clustered_mean(scores, clusters, seed=seed)


def brier_skill(
    p: ArrayLike, y: ArrayLike, clusters: Labels | None = None, *, resamples: int = 2000, seed: int = 0
) -> Interval:
    """1 - Brier / Brier of always stating the base rate: 1 is perfect, 0 knows no more than the base rate."""
    stated, outcome = _pair(p, y)
    n = len(stated)
    if n == 0 or np.ptp(outcome) == 0:
        reason = "no rows" if n == 0 else "every outcome is the same: the base rate is never wrong"
        return undefined(reason, n=n, clusters=Clusters(clusters, n).count, method="cluster bootstrap")
    moments = np.column_stack([(stated - outcome) ** 2, outcome, outcome**2])

    def statistic(weights: Matrix) -> Vector:
        error, base, square = (weights @ moments / weights.sum(axis=1, keepdims=True)).T
        reference = square - base**2
        return np.asarray(1 - np.divide(error, reference, out=np.full_like(error, np.nan), where=reference > 1e-12))

    return cluster_bootstrap(statistic, n, clusters, resamples=resamples, seed=seed)


def negative_log_likelihood(p_gold: ArrayLike, clusters: Labels | None = None, *, seed: int = 0) -> Interval:
    """Mean of -log p of what came true, in nats; p below 1e-12 counts as 1e-12, and `reason` says how often."""
    stated = probabilities(p_gold, "probability")
    mean = clustered_mean(-np.log(np.maximum(stated, _LEAST)), clusters, seed=seed)
    floored = int(np.sum(stated < _LEAST))
    note = f"{floored} probabilities below {_LEAST:g} counted as {_LEAST:g}" if floored else ""
    return replace(mean, reason="; ".join(filter(None, [mean.reason, note])))


def brier_sampled(
    p: ArrayLike, y: ArrayLike, samples: int | ArrayLike, clusters: Labels | None = None, *, seed: int = 0
) -> Interval:
    """The Brier score of the true probabilities, estimated from frequencies of samples.

    mean of (p - y)^2 - p (1 - p) / (samples - 1), where p is the plain share of samples, without smoothing: then its
    expectation is the score of the probabilities themselves.

    Args:
        samples: how many each p was read from, for all rows or for each; at least 2.
    """
    stated, outcome = _pair(p, y)
    counts = np.broadcast_to(np.asarray(samples, dtype=np.float64), stated.shape)
    if (counts < 2).any():
        raise DataError("one sample has no variance", where=f"row {np.flatnonzero(counts < 2)[0]}", todo="draw two")
    return clustered_mean((stated - outcome) ** 2 - stated * (1 - stated) / (counts - 1), clusters, seed=seed)


def halves(samples: Sequence[ArrayLike]) -> tuple[Vector, Vector]:
    """The mean of each question's even-numbered and of its odd-numbered samples, [n] each.

    >>> [half.tolist() for half in halves([[1, 0, 1, 0], [1, 1, 0, 0]])]
    [[1.0, 0.5], [0.0, 0.5]]
    """
    columns = [vector(s, "sample") for s in samples]
    short = [i for i, c in enumerate(columns) if len(c) < 2]
    if short:
        raise DataError("fewer than two samples cannot be halved", where=f"question {short[0]}")
    return np.array([c[0::2].mean() for c in columns]), np.array([c[1::2].mean() for c in columns])


def split_half_reliability(
    first: ArrayLike, second: ArrayLike, clusters: Labels | None = None, *, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Reliability of the mean of both halves, 2r/(1+r) with r their correlation over questions."""
    r = pearson(first, second, clusters, resamples=resamples, seed=seed)
    ends = {name: _spearman_brown(getattr(r, name)) for name in ("value", "low", "high")}
    # the step up is monotone, so it carries the interval's ends; it does not carry a standard error
    return replace(r, se=None, value=ends["value"], low=ends["low"], high=ends["high"])


def corrected_correlation(
    first: ArrayLike,
    second: ArrayLike,
    other: ArrayLike,
    clusters: Labels | None = None,
    *,
    ranks: bool = False,
    resamples: int = 2000,
    seed: int = 0,
) -> CorrectedCorrelation:
    """The correlation over questions of a sampled quantity with `other`, corrected for sampling noise.

    Args:
        first, second: means of the two halves of each question's samples, of equal numbers; see `halves`.
        other: the exactly known quantity.
        ranks: Spearman in place of Pearson, for the correlation and the reliability.
    """
    a, b, c = vector(first, "first half"), vector(second, "second half"), vector(other, "other")
    n = same_length(first=a, second=b, other=c)
    whole = (a + b) / 2
    raw = (spearman if ranks else pearson)(whole, c, clusters, resamples=resamples, seed=seed)
    if raw.value is None or np.ptp(a) == 0 or np.ptp(b) == 0:
        reason = raw.reason if raw.value is None else "a half does not vary"
        return CorrectedCorrelation(raw, None, undefined(reason, n=n, clusters=raw.clusters))
    on_weights = spearman_on_weights if ranks else pearson_on_weights
    of_halves, of_whole = on_weights(a, b), on_weights(whole, c)

    def statistic(weights: Matrix) -> Vector:
        reliability = _reliability_on_weights(of_halves, weights)
        return np.asarray(of_whole(weights) / np.sqrt(reliability))

    reliability = float(_reliability_on_weights(of_halves, np.ones((1, n)))[0])
    if not reliability > 0:
        note = "the halves do not agree: no signal to correct for"
        return CorrectedCorrelation(raw, None, undefined(note, n=n, clusters=raw.clusters))
    return CorrectedCorrelation(
        raw, reliability, cluster_bootstrap(statistic, n, clusters, resamples=resamples, seed=seed)
    )


def _reliability_on_weights(of_halves: OnWeights, weights: Matrix) -> Vector:
    r = of_halves(weights)
    return np.where(r > 0, 2 * r / (1 + np.abs(r)), np.nan)


def _spearman_brown(r: float | None) -> float | None:
    return None if r is None or r <= -1 else 2 * r / (1 + r)


def _pair(p: ArrayLike, y: ArrayLike) -> tuple[Vector, Vector]:
    stated, outcome = probabilities(p, "probability"), probabilities(y, "outcome")
    same_length(p=stated, y=outcome)
    return stated, outcome
