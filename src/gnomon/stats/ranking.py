"""Does a higher score go with the right answer? AUROC, correlations, accuracy against coverage.

AUROC is the Mann-Whitney statistic with ties counted one half. DeLong et al. 1988 for its standard error, Obuchowski
1997 for clustered rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit, stdtrit

from gnomon.stats.bootstrap import OnWeights, cluster_bootstrap
from gnomon.stats.clusters import Clusters, Labels, Matrix, Vector, binary, same_length, vector
from gnomon.stats.intervals import Interval, proportion, undefined, wilson

__all__ = [
    "CoveragePoint",
    "accuracy_coverage",
    "auroc",
    "auroc_delong",
    "auroc_difference",
    "auroc_on_weights",
    "false_alarms_on_weights",
    "pearson",
    "pearson_on_weights",
    "spearman",
    "spearman_on_weights",
]


class CoveragePoint(NamedTuple):
    """Accuracy of the rows whose confidence reaches `threshold`, and the share of rows that do."""

    threshold: float
    coverage: float
    accuracy: Interval


def auroc(
    scores: ArrayLike, labels: ArrayLike, clusters: Labels | None = None, *, resamples: int = 2000, seed: int = 0
) -> Interval:
    """The probability that a row labelled 1 scores above a row labelled 0, with a cluster bootstrap interval.

    Undefined, with the reason, when a class is empty. When the classes are separated no resample differs, so the
    interval is Wilson's for as many independent pairs as the rarer class has clusters.
    """
    score, label = _scored(scores, labels)
    groups = Clusters(clusters, len(score))
    lacking = _one_class(label, groups)
    if lacking is not None:
        return lacking
    statistic = auroc_on_weights(score, label)
    value = float(statistic(np.ones((1, len(score))))[0])
    if value in (0.0, 1.0):
        return _separated(value, label, groups)
    return cluster_bootstrap(statistic, len(score), clusters, resamples=resamples, seed=seed)


def auroc_delong(scores: ArrayLike, labels: ArrayLike, clusters: Labels | None = None) -> Interval:
    """AUROC with DeLong's standard error (Obuchowski's when rows are clustered) and an interval on the logit scale."""
    score, label = _scored(scores, labels)
    groups = Clusters(clusters, len(score))
    lacking = _one_class(label, groups)
    if lacking is not None:
        return lacking
    value, variance = _delong(score, label, groups)
    n, count = len(score), groups.count
    if variance is None:
        return undefined("a class has rows in one cluster only", n=n, clusters=count, method="DeLong", value=value)
    if value in (0.0, 1.0):
        return _separated(value, label, groups)
    se = float(np.sqrt(variance))
    reach = float(stdtrit(count - 1, 0.975)) * se / (value * (1 - value))
    low, high = expit(logit(value) - reach), expit(logit(value) + reach)
    return Interval(value=value, low=float(low), high=float(high), se=se, n=n, clusters=count, method="DeLong")


def auroc_difference(
    first: ArrayLike,
    second: ArrayLike,
    labels: ArrayLike,
    clusters: Labels | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """AUROC of `first` less that of `second` on the same rows and labels, by a paired cluster bootstrap."""
    score, label = _scored(first, labels)
    other, _ = _scored(second, labels)
    groups = Clusters(clusters, len(score))
    lacking = _one_class(label, groups)
    if lacking is not None:
        return lacking
    of_first, of_second = auroc_on_weights(score, label), auroc_on_weights(other, label)
    return cluster_bootstrap(lambda w: of_first(w) - of_second(w), len(score), clusters, resamples=resamples, seed=seed)


def auroc_on_weights(scores: Vector, labels: Vector) -> OnWeights:
    """AUROC as a function of row weights [b, n]; NaN where a class has no weight. Sorts once."""
    positive, negative = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    negative = negative[np.argsort(scores[negative], kind="stable")]
    below = np.searchsorted(scores[negative], scores[positive], side="left")
    up_to = np.searchsorted(scores[negative], scores[positive], side="right")

    def statistic(weights: Matrix) -> Vector:
        beaten = np.zeros((len(weights), len(negative) + 1))
        np.cumsum(weights[:, negative], axis=1, out=beaten[:, 1:])
        wins = np.einsum("bp,bp->b", weights[:, positive], beaten[:, below] + beaten[:, up_to]) / 2
        pairs = weights[:, positive].sum(axis=1) * beaten[:, -1]
        return _ratio(wins, pairs)

    return statistic


def false_alarms_on_weights(scores: Vector, labels: Vector, recall: float) -> OnWeights:
    """The share of rows labelled 0 that score at or above the threshold which rows labelled 1 reach with probability
    `recall`, as a function of row weights [b, n]; NaN where a class has no weight.

    The threshold lies between order statistics, at place (1 - recall)(n + 1), so that it reaches `recall` on average
    over samples of any size; with fewer rows labelled 1 than have such a place it is the lowest of them.
    """
    positive, negative = (
        side[np.argsort(scores[side], kind="stable")] for side in map(np.flatnonzero, (labels == 1, labels == 0))
    )
    high, low = scores[positive], scores[negative]

    def statistic(weights: Matrix) -> Vector:
        reached = np.cumsum(weights[:, positive], axis=1)
        count = reached[:, -1]
        place = np.clip((1 - recall) * (count + 1), 1, np.maximum(count, 1))
        first, second = (
            high[np.minimum((reached < np.minimum(at, count)[:, None]).sum(axis=1), len(high) - 1)]
            for at in (np.floor(place), np.floor(place) + 1)
        )
        threshold = first + (place - np.floor(place)) * (second - first)
        passed = np.zeros((len(weights), len(negative) + 1))
        np.cumsum(weights[:, negative], axis=1, out=passed[:, 1:])
        quiet = passed[np.arange(len(weights)), np.searchsorted(low, threshold, side="left")]
        return np.where(count > 0, 1 - _ratio(quiet, passed[:, -1]), np.nan)

    return statistic


def pearson(
    x: ArrayLike, y: ArrayLike, clusters: Labels | None = None, *, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Pearson's correlation of x and y [n], with a cluster bootstrap interval; undefined when one does not vary."""
    first, second = vector(x, "x"), vector(y, "y")
    n = same_length(x=first, y=second)
    return _varying(first, second) or cluster_bootstrap(
        pearson_on_weights(first, second), n, clusters, resamples=resamples, seed=seed
    )


def spearman(
    x: ArrayLike, y: ArrayLike, clusters: Labels | None = None, *, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Spearman's rank correlation of x and y [n], ties at mid-rank, with a cluster bootstrap interval."""
    first, second = vector(x, "x"), vector(y, "y")
    n = same_length(x=first, y=second)
    return _varying(first, second) or cluster_bootstrap(
        spearman_on_weights(first, second), n, clusters, resamples=resamples, seed=seed
    )


def pearson_on_weights(x: Vector, y: Vector) -> OnWeights:
    """Pearson's correlation as a function of row weights [b, n]."""
    # centred and scaled once, so that the products below do not cancel
    u, v = _standard(x), _standard(y)
    products = np.stack([u, v, u * u, v * v, u * v], axis=1)

    def statistic(weights: Matrix) -> Vector:
        total = weights.sum(axis=1)
        mu, mv, uu, vv, uv = (weights @ products / total[:, None]).T
        found = _ratio(uv - mu * mv, np.sqrt(np.maximum(uu - mu**2, 0) * np.maximum(vv - mv**2, 0)))
        # beyond 1 lies rounding alone
        return np.clip(found, -1.0, 1.0)

    return statistic


def spearman_on_weights(x: Vector, y: Vector) -> OnWeights:
    """Spearman's correlation as a function of row weights [b, n]; ranks are taken anew in each resample."""
    ranks_x, ranks_y = _ranks_on_weights(x), _ranks_on_weights(y)

    def statistic(weights: Matrix) -> Vector:
        total = weights.sum(axis=1, keepdims=True)
        # mid-ranks average to half the total weight
        u, v = ranks_x(weights) - total / 2, ranks_y(weights) - total / 2
        uv, uu, vv = ((weights * a * b).sum(axis=1) for a, b in ((u, v), (u, u), (v, v)))
        return _ratio(uv, np.sqrt(uu * vv))

    return statistic


def accuracy_coverage(
    confidence: ArrayLike, right: ArrayLike, clusters: Labels | None = None, *, points: int = 100
) -> list[CoveragePoint]:
    """Accuracy when only rows of at least some confidence are answered, from full coverage to the least.

    Args:
        points: at most this many thresholds, at equal steps of coverage; every distinct value when there are fewer.
            Rows of equal confidence are kept or dropped together.
    """
    score, outcome = vector(confidence, "confidence"), binary(right, "outcome")
    n = same_length(confidence=score, right=outcome)
    labels = Clusters(clusters, n).codes
    thresholds = np.unique(score)
    if len(thresholds) > points:
        ranked = np.sort(score)
        thresholds = np.unique(ranked[np.linspace(0, n, points, endpoint=False).astype(np.intp)])
    curve = []
    for threshold in thresholds:
        kept = score >= threshold
        curve.append(CoveragePoint(float(threshold), float(kept.mean()), proportion(outcome[kept], labels[kept])))
    return curve


def _scored(scores: ArrayLike, labels: ArrayLike) -> tuple[Vector, Vector]:
    score, label = vector(scores, "score"), binary(labels, "label")
    same_length(scores=score, labels=label)
    return score, label


def _one_class(label: Vector, groups: Clusters) -> Interval | None:
    if 0 < label.sum() < len(label):
        return None
    reason = "no rows" if not len(label) else f"every label is {label[0]:g}: both classes are needed"
    return undefined(reason, n=len(label), clusters=groups.count, method="AUROC")


def _separated(value: float, label: Vector, groups: Clusters) -> Interval:
    # pairs that share no cluster are independent trials of "the positive wins", and all of them were won (or lost)
    pairs = min(int(np.count_nonzero(groups.sums(label))), int(np.count_nonzero(groups.sums(1 - label))))
    low, high = wilson(value * pairs, pairs)
    reason = f"classes are separated: interval from {pairs} independent pairs"
    n, count = len(label), groups.count
    return Interval(value=value, low=low, high=high, n=n, clusters=count, method="wilson on pairs", reason=reason)


def _delong(score: Vector, label: Vector, groups: Clusters) -> tuple[float, float | None]:
    positive, negative = score[label == 1], score[label == 0]
    value_of_row = np.empty_like(score)
    value_of_row[label == 1] = _share_below(positive, negative)
    value_of_row[label == 0] = 1 - _share_below(negative, positive)
    value = float(value_of_row[label == 1].mean())
    pulls, counts, sizes = [], [], []
    for side in (label, 1 - label):
        pulls.append(groups.sums(side * (value_of_row - value)))
        counts.append(int(np.count_nonzero(groups.sums(side))))
        sizes.append(float(side.sum()))
    if min(counts) < 2 or groups.count < 2:
        return value, None
    own = sum(c / (c - 1) / s**2 * float(p @ p) for p, c, s in zip(pulls, counts, sizes, strict=True))
    shared = groups.count / (groups.count - 1) / (sizes[0] * sizes[1]) * float(pulls[0] @ pulls[1])
    return value, own + 2 * shared


def _share_below(points: Vector, others: Vector) -> Vector:
    ranked = np.sort(others)
    ends = np.searchsorted(ranked, points, side="left") + np.searchsorted(ranked, points, side="right")
    return ends / (2 * len(others))


def _ranks_on_weights(x: Vector) -> OnWeights:
    order = np.argsort(x, kind="stable")
    start = np.flatnonzero(np.concatenate([[True], np.diff(x[order]) > 0]))
    group = np.empty(len(x), dtype=np.intp)
    group[order] = np.repeat(np.arange(len(start)), np.diff(np.append(start, len(x))))

    def ranks(weights: Matrix) -> Matrix:
        tied = np.add.reduceat(weights[:, order], start, axis=1)
        return np.asarray((np.cumsum(tied, axis=1) - tied / 2)[:, group])

    return ranks


def _varying(x: Vector, y: Vector) -> Interval | None:
    for name, column in (("x", x), ("y", y)):
        if len(column) == 0 or np.ptp(column) == 0:
            return undefined(f"{name} does not vary", n=len(column), clusters=0, method="correlation")
    return None


def _standard(x: Vector) -> Vector:
    return np.asarray((x - x.mean()) / x.std())


def _ratio(top: Vector, bottom: Vector) -> Vector:
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 1e-12)
