"""How sure are we of a mean or a proportion? Estimates with 95 % intervals, by cluster.

Miller 2024, "Adding error bars to evals" (arXiv 2411.00640), for clustered errors and repeated samples; Wilson 1927
for proportions; Cameron, Gelbach and Miller 2008 for few clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit

from gnomon.core.errors import DataError
from gnomon.stats.clusters import Clusters, Labels, Vector, binary, resample_counts, vector

__all__ = [
    "Interval",
    "Repeated",
    "bounded",
    "clustered_mean",
    "mean_of_groups",
    "proportion",
    "repeated_mean",
    "t_interval",
    "undefined",
    "wilson",
    "wins",
]

Z95 = float(ndtri(0.975))
# Below this many clusters the t interval is no longer trusted.
FEW_CLUSTERS = 10
# With fewer, more than 2.5 % of resamples draw one cluster only on a side, and the bootstrap-t has no quantile.
_FEWEST_FOR_BOOTSTRAP_T = 5
# Below this many successes or failures, or this many rows, the normal interval of a proportion is not trusted.
_FEW_COUNTS, _FEW_ROWS = 10, 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """An estimate with its 95 % interval.

    Attributes:
        value: the estimate; None where it is undefined.
        low, high: ends of the interval; None where no interval is valid.
        se: standard error; None where the method gives none.
        n: rows behind it.
        clusters: independent units behind it.
        method: how the interval was made, in a word or two.
        reason: why something is missing, or how far the interval can be trusted; "" when all is well.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    se: float | None = None
    n: int = 0
    clusters: int = 0
    method: str = ""
    reason: str = ""

    def __contains__(self, truth: float) -> bool:
        """Whether the interval covers `truth`; False when there is no interval."""
        return self.low is not None and self.high is not None and self.low <= truth <= self.high


class Repeated(NamedTuple):
    """The mean over questions that were each answered several times, and where its variance comes from.

    Attributes:
        mean: over questions, each first averaged over its answers.
        between: variance between questions of their true means; falls only with more questions.
        within: variance of single answers around their question's mean; falls with more answers too.
        more_questions: share of the squared standard error that only more questions reduce, 0..1; None if no variance.
    """

    mean: Interval
    between: float
    within: float
    more_questions: float | None


def undefined(reason: str, *, n: int = 0, clusters: int = 0, method: str = "", value: float | None = None) -> Interval:
    """An interval that does not exist, with the reason."""
    return Interval(value=value, n=n, clusters=clusters, method=method, reason=reason)


def t_interval(value: float, se: float, *, n: int, clusters: int, method: str) -> Interval:
    """`value` plus and minus the t quantile with `clusters` - 1 degrees of freedom times `se`."""
    reach = float(stdtrit(clusters - 1, 0.975)) * se
    return Interval(value=value, low=value - reach, high=value + reach, se=se, n=n, clusters=clusters, method=method)


def clustered_mean(scores: ArrayLike, clusters: Labels | None = None, *, seed: int = 0) -> Interval:
    """The mean of `scores` [n] with a standard error that allows for correlation within clusters.

    SE^2 = G/(G-1) / n^2 * sum over clusters of (sum of deviations)^2, and a t interval with G-1 degrees of freedom.
    With 5 to 9 clusters the interval is a cluster bootstrap-t drawn from `seed`; below 10 `reason` carries a warning.

    >>> clustered_mean([0, 1, 1, 0, 1, 1, 1, 0, 1, 1]).value
    0.7
    """
    values = vector(scores, "score")
    n, groups = len(values), Clusters(clusters, len(values))
    if n == 0:
        return undefined("no rows", method="clustered mean")
    mean = float(values.mean())
    if groups.count == 1:
        return undefined(
            "one cluster: its error cannot be estimated", n=n, clusters=1, value=mean, method="clustered mean"
        )
    se = _clustered_se(values - mean, groups)
    interval = t_interval(mean, se, n=n, clusters=groups.count, method="clustered t")
    if se == 0:
        return replace(interval, reason="every cluster has the same mean: the interval has no width")
    return _few_clusters(interval, values, groups, seed) if groups.count < FEW_CLUSTERS else interval


def mean_of_groups(groups: Sequence[ArrayLike], clusters: Sequence[Labels]) -> Interval:
    """The mean of the groups' means, each group counting alike whatever its size, with a clustered interval.

    A cluster may have rows in several groups: SE^2 = G/(G-1) * sum over clusters of (sum of deviations from the own
    group's mean, each over groups times group size)^2, and a t interval with G-1 degrees of freedom.

    Args:
        groups: scores of each group; none may be empty.
        clusters: cluster labels of each group's rows.

    >>> mean_of_groups([[0, 1, 1, 0], [1, 1]], [["a", "b", "c", "d"], ["e", "f"]]).value
    0.75
    """
    columns = [vector(scores, "score") for scores in groups]
    empty = [i for i, column in enumerate(columns) if not column.size]
    if empty or not columns:
        raise DataError("a group has no scores", where=f"group {empty[0]}" if empty else "no groups")
    means = [float(column.mean()) for column in columns]
    parts = [(c - m) / (len(columns) * c.size) for c, m in zip(columns, means, strict=True)]
    deviations = np.concatenate(parts)
    labelled = Clusters([label for labels in clusters for label in labels], len(deviations))
    value, n, count = float(np.mean(means)), len(deviations), labelled.count
    if count == 1:
        return undefined("one cluster: its error cannot be estimated", n=n, clusters=1, value=value)
    se = float(np.sqrt(count / (count - 1) * np.square(labelled.sums(deviations)).sum()))
    return t_interval(value, se, n=n, clusters=count, method="clustered t")


def wilson(successes: float, n: float) -> tuple[float, float]:
    """The 95 % Wilson interval of a proportion, `successes` of `n`; both may be fractional (an effective n).

    >>> round(wilson(30, 30)[0], 3)
    0.886
    """
    if n <= 0:
        return 0.0, 1.0
    share, z2 = successes / n, Z95 * Z95
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = Z95 / (1 + z2 / n) * float(np.sqrt(share * (1 - share) / n + z2 / (4 * n * n)))
    # the ends at 0 and 1 are exact; subtraction would miss them by one rounding
    low = 0.0 if successes == 0 else centre - reach
    high = 1.0 if successes == n else centre + reach
    return low, high


def proportion(successes: ArrayLike, clusters: Labels | None = None, *, seed: int = 0) -> Interval:
    """The share of ones in `successes` [n] of 0 and 1, with an interval that is also right near 0 and 1.

    A clustered mean where that is trustworthy. With fewer than 10 ones or zeros, or fewer than 30 rows, the Wilson
    interval; for clustered rows on the effective number of rows p(1-p)/SE^2, or on the number of clusters when all
    rows agree (Korn and Graubard 1998; Wilson in place of Clopper-Pearson).
    """
    values = binary(successes, "outcome")
    n, ones = len(values), float(values.sum())
    if n == 0:
        return undefined("no rows", method="wilson")
    groups = Clusters(clusters, n)
    if n >= _FEW_ROWS and min(ones, n - ones) >= _FEW_COUNTS:
        mean = clustered_mean(values, clusters, seed=seed)
        if mean.low is None or mean.high is None:
            return mean
        return replace(mean, low=max(0.0, mean.low), high=min(1.0, mean.high))
    share = ones / n
    rows = _effective_rows(values, groups)
    low, high = wilson(share * rows, rows) if 0 < ones < n else wilson(rows * (ones > 0), rows)
    se = float(np.sqrt(share * (1 - share) / rows))
    return Interval(value=share, low=low, high=high, se=se, n=n, clusters=groups.count, method="wilson")


def wins(credits: ArrayLike, clusters: Labels | None = None) -> Interval:
    """The mean of credits [n] in [0, 1], such as comparisons won with ties one half, with its Wilson interval.

    For clustered rows on the effective number of rows, as in `proportion`; ties make it conservative.
    """
    values = vector(credits, "credit")
    n = len(values)
    if n == 0:
        return undefined("no rows", method="wilson")
    if values.min() < 0 or values.max() > 1:
        raise DataError("a credit lies outside [0, 1]", where=f"row {int(np.argmax((values < 0) | (values > 1)))}")
    groups, share = Clusters(clusters, n), float(values.mean())
    rows = _effective_rows(values, groups)
    low, high = wilson(share * rows, rows)
    se = float(np.sqrt(share * (1 - share) / rows))
    return Interval(value=share, low=low, high=high, se=se, n=n, clusters=groups.count, method="wilson")


def bounded(interval: Interval) -> Interval:
    """The interval of a mean of numbers in [0, 1], cut to [0, 1]; what is cut off cannot hold the mean.

    >>> bounded(Interval(value=0.9, low=0.7, high=1.1)).high
    1.0
    """
    low = None if interval.low is None else max(0.0, interval.low)
    high = None if interval.high is None else min(1.0, interval.high)
    return replace(interval, low=low, high=high)


def repeated_mean(answers: Sequence[ArrayLike], clusters: Labels | None = None, *, seed: int = 0) -> Repeated:
    """The mean of questions answered several times: answers are averaged within a question first.

    Args:
        answers: one vector of scores a question; lengths may differ, none may be empty.
        clusters: cluster of each question.
    """
    columns = [vector(a, "score") for a in answers]
    empty = [i for i, a in enumerate(columns) if a.size == 0]
    if empty:
        raise DataError("a question has no answers", where=f"question {empty[0]}")
    means = np.array([a.mean() for a in columns])
    mean = clustered_mean(means, clusters, seed=seed)
    repeated = [(a.var(ddof=1), a.size) for a in columns if a.size > 1]
    if len(columns) < 2 or not repeated:
        total = float(means.var(ddof=1)) if len(columns) > 1 else 0.0
        return Repeated(mean, total, 0.0, None)
    within = float(np.mean([v for v, _ in repeated]))
    noise = within * float(np.mean([1 / a.size for a in columns]))
    between = max(0.0, float(means.var(ddof=1)) - noise)
    share = between / (between + noise) if between + noise > 0 else None
    return Repeated(mean, between, within, share)


def _clustered_se(deviations: Vector, groups: Clusters) -> float:
    factor = groups.count / (groups.count - 1)
    se = float(np.sqrt(factor * np.square(groups.sums(deviations)).sum()) / len(deviations))
    # deviations of equal scores are rounding, not spread
    return se if se > 1e-14 * float(np.abs(deviations).max(initial=0.0) + 1) else 0.0


def _effective_rows(values: Vector, groups: Clusters) -> float:
    n, share = len(values), float(values.mean())
    if groups.singletons:
        return float(n)
    if share in (0.0, 1.0) or groups.count == 1:
        return float(groups.count)
    se = _clustered_se(values - share, groups)
    return min(float(n), share * (1 - share) / se**2) if se > 0 else float(n)


def _few_clusters(interval: Interval, values: Vector, groups: Clusters, seed: int) -> Interval:
    warning = f"only {groups.count} clusters: read the interval with care"
    if groups.count < _FEWEST_FOR_BOOTSTRAP_T:
        return replace(interval, reason=warning)
    assert interval.value is not None and interval.se is not None
    t = _bootstrap_t(values, groups, np.random.default_rng(seed))
    lower, upper = np.quantile(t, [0.025, 0.975], method="inverted_cdf")
    if not np.isfinite([lower, upper]).all():
        return replace(interval, reason=warning)
    low, high = interval.value - float(upper) * interval.se, interval.value - float(lower) * interval.se
    return replace(interval, low=low, high=high, method="cluster bootstrap-t", reason=warning)


def _bootstrap_t(values: Vector, groups: Clusters, rng: np.random.Generator, resamples: int = 2000) -> Vector:
    """Studentised means of cluster resamples, [resamples]; infinite where a resample has no spread."""
    total, size = groups.sums(values - values.mean()), groups.sums(np.ones_like(values))
    counts = resample_counts(groups.count, resamples, rng)
    rows = counts @ size
    shift = counts @ total / rows
    spread = counts @ total**2 - 2 * shift * (counts @ (total * size)) + shift**2 * (counts @ size**2)
    se = np.sqrt(groups.count / (groups.count - 1) * np.maximum(spread, 0.0)) / rows
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(se > 1e-12, shift / se, np.copysign(np.inf, shift))
