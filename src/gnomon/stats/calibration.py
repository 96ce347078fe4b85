"""When the model says 80 %, is it right 80 % of the time? Bins, calibration errors and what they are read against.

Kadavath et al. 2022 (arXiv 2207.05221), sec. 3 for equal-mass bins, ECE and RMS calibration error. The plug-in errors
are positive even for a perfectly calibrated model and a bootstrap around them never covers 0; so they carry no
interval here but a null distribution (`calibration_test`), beside a debiased error and the slope and intercept of
Cox 1958, which have one. Inputs are stated probabilities p [n] and outcomes y [n].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit

from gnomon.core.errors import DataError
from gnomon.stats.clusters import Clusters, Labels, Matrix, Vector, probabilities, same_length
from gnomon.stats.intervals import Interval, clustered_mean, proportion
from gnomon.stats.regression import logistic

__all__ = [
    "Bin",
    "CalibrationErrors",
    "CalibrationLine",
    "CalibrationTest",
    "NullTest",
    "calibration_errors",
    "calibration_line",
    "calibration_test",
    "equal_mass_bins",
    "reliability_curve",
]

# Probabilities nearer to 0 or 1 have their logit cut here; `calibration_line` says how many did.
_NEAREST_TO_CERTAIN = 1e-6


class Bin(NamedTuple):
    """One point of a reliability curve.

    Attributes:
        mean: mean stated probability in the bin.
        frequency: share of the bin's outcomes that came true, with its interval.
        lowest, highest: range of the stated probabilities that were binned.
    """

    mean: float
    frequency: Interval
    lowest: float
    highest: float


class CalibrationErrors(NamedTuple):
    """Distances between stated and observed over equal-mass bins, each bin weighted by its share of the rows.

    Attributes:
        ece: weighted mean of |mean p - frequency|; biased upward.
        rms: square root of the weighted mean of its square; biased upward.
        debiased: weighted mean of the square less the frequency's own variance; 0 on average for a
            calibrated model, so it can be negative. None when a bin has fewer than two rows.
    """

    ece: float
    rms: float
    debiased: float | None


class NullTest(NamedTuple):
    """A statistic and its distribution when outcomes are redrawn from the stated probabilities.

    Attributes:
        observed: the statistic on the rows; None where it is undefined.
        mean, high: mean and 95th percentile under the null.
        p_value: share of redraws at least as large as observed, counting the rows themselves, in (0, 1].
    """

    observed: float | None
    mean: float | None
    high: float | None
    p_value: float | None


class CalibrationTest(NamedTuple):
    """Each calibration error beside its null distribution."""

    ece: NullTest
    rms: NullTest
    debiased: NullTest


class CalibrationLine(NamedTuple):
    """The fit of outcome = sigmoid(intercept + slope * logit p); calibrated is (0, 1), slope < 1 is over-confident."""

    intercept: Interval
    slope: Interval


def equal_mass_bins(p: ArrayLike, bins: int = 10) -> list[NDArray[np.intp]]:
    """Row numbers of `bins` groups in order of `p`; sizes differ by at most one, ties stay in row order.

    There are never more groups than rows.
    """
    order = np.argsort(probabilities(p, "probability"), kind="stable")
    return list(np.array_split(order, min(bins, len(order)))) if len(order) else []


def calibration_errors(p: ArrayLike, y: ArrayLike, bins: int = 10) -> CalibrationErrors:
    """ECE, root-mean-square and debiased squared calibration error over equal-mass bins; rows must not be empty.

    >>> calibration_errors([0.25, 0.25, 0.75, 0.75], [0, 0, 1, 1], bins=2)[:2]
    (0.25, 0.25)
    """
    stated, outcome = _pair(p, y)
    ece, rms, debiased = _Binned(stated, bins).errors(outcome[None, :])
    return CalibrationErrors(float(ece[0]), float(rms[0]), _or_none(float(debiased[0])))


def reliability_curve(
    p: ArrayLike, y: ArrayLike, clusters: Labels | None = None, *, bins: int = 10, bin_by: ArrayLike | None = None
) -> list[Bin]:
    """Observed frequency against mean stated probability in equal-mass bins, with intervals by cluster.

    Args:
        bin_by: [n], what rows are binned by in place of p. For probabilities estimated from samples, bin by one half
            of the samples and pass the other half as `p`: one half for both would flatten the curve.
    """
    stated, outcome = _pair(p, y)
    key = stated if bin_by is None else probabilities(bin_by, "probability")
    same_length(p=stated, bin_by=key)
    labels = Clusters(clusters, len(stated)).codes
    whole = bool(np.isin(outcome, (0.0, 1.0)).all())
    curve = []
    for rows in equal_mass_bins(key, bins):
        frequency = (proportion if whole else clustered_mean)(outcome[rows], labels[rows])
        curve.append(Bin(float(stated[rows].mean()), frequency, float(key[rows].min()), float(key[rows].max())))
    return curve


def calibration_test(
    p: ArrayLike,
    y: ArrayLike,
    *,
    bins: int = 10,
    draws: int = 2000,
    seed: int = 0,
    exclusive: Labels | None = None,
) -> CalibrationTest:
    """The calibration errors beside their distribution when outcomes are redrawn from `p`.

    Rows are redrawn independently: right for one prediction an item, such as that of its top option. Where
    outcomes within a cluster stay correlated given p, the p-values are too small.

    Args:
        y: [n], 0 or 1.
        exclusive: [n], the item of each row when all options of an item are rows; exactly one of an item's rows is
            then redrawn as 1. Probabilities of an item must add up to 1.

    Raises:
        DataError: when probabilities of an item do not add up to 1 within 1e-4.
    """
    stated, outcome = _pair(p, y)
    binned, rng = _Binned(stated, bins), np.random.default_rng(seed)
    observed = binned.errors(outcome[None, :])
    redrawn = _redrawn(stated, draws, rng) if exclusive is None else _redrawn_options(stated, exclusive, draws, rng)
    pieces = [binned.errors(labels) for labels in redrawn]
    null = np.concatenate(pieces, axis=1)
    return CalibrationTest(*(_against(float(o[0]), d) for o, d in zip(observed, null, strict=True)))


def calibration_line(p: ArrayLike, y: ArrayLike, clusters: Labels | None = None) -> CalibrationLine:
    """Slope and intercept of the outcome's log-odds against the stated log-odds, with clustered intervals.

    Probabilities within 1e-6 of 0 or 1 are moved there first, and `reason` says how many.
    """
    stated, outcome = _pair(p, y)
    cut = np.clip(stated, _NEAREST_TO_CERTAIN, 1 - _NEAREST_TO_CERTAIN)
    moved = int(np.sum(cut != stated))
    fit = logistic(np.column_stack([np.ones_like(cut), logit(cut)]), outcome, clusters)
    note = f"{moved} probabilities of 0 or 1 were moved to within {_NEAREST_TO_CERTAIN:g}" if moved else ""
    intercept, slope = (_noted(c, note) for c in fit.coefficients)
    return CalibrationLine(intercept, slope)


class _Binned:
    """Stated probabilities in their bins, ready for many outcome vectors."""

    def __init__(self, p: Vector, bins: int) -> None:
        groups = equal_mass_bins(p, bins)
        if not groups:
            raise DataError("no rows to bin")
        self.order = np.concatenate(groups)
        self.size = np.array([len(g) for g in groups], dtype=np.float64)
        self.start = np.concatenate([[0], np.cumsum(self.size)[:-1]]).astype(np.intp)
        self.mean = np.add.reduceat(p[self.order], self.start) / self.size

    def errors(self, outcomes: Matrix) -> Matrix:
        """ECE, RMS and debiased squared error, [3, b], of outcomes [b, n]."""
        frequency = np.add.reduceat(outcomes[:, self.order], self.start, axis=1) / self.size
        gap, share = self.mean - frequency, self.size / self.size.sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            noise = frequency * (1 - frequency) / (self.size - 1)
        # a bin of one row has no variance estimate: 0/0 must not pass for 0
        noise = np.where(self.size > 1, noise, np.nan)
        squared = gap**2
        return np.stack([np.abs(gap) @ share, np.sqrt(squared @ share), (squared - noise) @ share])


def _redrawn(p: Vector, draws: int, rng: np.random.Generator) -> Iterator[Matrix]:
    step = max(1, 4_000_000 // len(p))
    for start in range(0, draws, step):
        yield (rng.random((min(step, draws - start), len(p))) < p).astype(np.float64)


def _redrawn_options(p: Vector, exclusive: Labels, draws: int, rng: np.random.Generator) -> Iterator[Matrix]:
    """Outcomes [b, n] with one 1 among the rows of each item, drawn by inverting the item's cumulative p."""
    items = Clusters(exclusive, len(p))
    total = items.sums(p)
    off = np.flatnonzero(np.abs(total - 1) > 1e-4)
    if off.size:
        row = int(np.flatnonzero(items.codes == off[0])[0])
        raise DataError(f"probabilities of an item add up to {total[off[0]]:g}, not 1", where=f"item of row {row}")
    order = np.argsort(items.codes, kind="stable")
    running = np.cumsum(p[order] / total[items.codes[order]])
    upper = np.empty_like(p)
    upper[order] = running - items.codes[order]
    first = np.concatenate([[True], np.diff(items.codes[order]) > 0])
    lower = np.empty_like(p)
    lower[order] = np.where(first, 0.0, np.concatenate([[0.0], upper[order][:-1]]))
    upper[order[np.concatenate([first[1:], [True]])]] = 1.0
    step = max(1, 4_000_000 // len(p))
    for start in range(0, draws, step):
        u = rng.random((min(step, draws - start), items.count))[:, items.codes]
        yield ((lower <= u) & (u < upper)).astype(np.float64)


def _against(observed: float, null: Vector) -> NullTest:
    if not np.isfinite(observed):
        return NullTest(None, None, None, None)
    # rounding must not decide whether a redraw equal to the rows counts as reaching them
    reached = int(np.sum(null >= observed - 1e-12))
    p_value = (1 + reached) / (1 + len(null))
    return NullTest(observed, float(null.mean()), float(np.quantile(null, 0.95)), p_value)


def _pair(p: ArrayLike, y: ArrayLike) -> tuple[Vector, Vector]:
    stated, outcome = probabilities(p, "probability"), probabilities(y, "outcome")
    same_length(p=stated, y=outcome)
    return stated, outcome


def _noted(interval: Interval, note: str) -> Interval:
    if not note:
        return interval
    return replace(interval, reason="; ".join(filter(None, [interval.reason, note])))


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None
