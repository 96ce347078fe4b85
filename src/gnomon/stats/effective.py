"""How many parameters is a loss worth? The size at which undamaged models have it, over the size of the model.

Hernandez et al. 2022 (arXiv 2205.10487). Models that differ in size alone are a ladder: metric by size. A
damaged model of size N has the effective size N' at which the ladder has its metric; its multiplier is N' / N. The
ladder is a power law where one fits it, else a monotone curve through it; it is never prolonged: beyond it a multiplier
is a bound. Where the ladder turns back, N' is the least size that is as good, and no more than bounds of it are read:
the largest size of the ladder that is too small for it, and the first that will do.

Shapes: M sizes, S seeds, D documents (or whatever the metric is averaged over), B resamples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from gnomon.core.errors import DataError
from gnomon.stats.clusters import Matrix, Vector, resample_counts
from gnomon.stats.intervals import Interval, undefined

__all__ = ["Worth", "multiplier", "ratio"]

_BEYOND = "a multiplier beyond its ladder is a bound, and bounds have no ratio"
_METHOD = "bootstrap over seeds and documents"
_FEWEST_FOR_A_LAW = 4
# Root mean square distance of the sizes that the law gives the ladder's values from the true ones, in log space.
_FITS = 0.1
# Variances of log sizes below this are rounding.
_FLAT = 1e-24


@dataclass(frozen=True, kw_only=True)
class Worth:
    """One model beside a ladder of undamaged ones, in one metric.

    Attributes:
        sizes: [M], rising.
        ladder: the metric [M, S, D] of the undamaged models.
        cell: the metric [S, D] of the model; its seeds and documents are those of the ladder.
        size: of the model.
        rises: whether more of the metric is better, as of a score; of a loss less is.

    Raises:
        DataError: fewer than two sizes, sizes that do not rise, or shapes that do not fit.
    """

    sizes: Vector
    ladder: Matrix
    cell: Matrix
    size: float
    rises: bool = False

    def __post_init__(self) -> None:
        if len(self.sizes) < 2 or (np.diff(self.sizes) <= 0).any():
            raise DataError(f"sizes {self.sizes.tolist()} are no ladder", todo="give two or more, the smallest first")
        if self.ladder.shape != (len(self.sizes), *self.cell.shape):
            raise DataError(f"a ladder of shape {self.ladder.shape} beside a model of shape {self.cell.shape}")

    @property
    def form(self) -> Literal["power law", "interpolated"]:
        """Whether the ladder is read as a power law, or through its points.

        Through its points with fewer than four sizes, where the metric does not fall, or where a law fits badly.
        """
        means, x = self.ladder.mean(axis=(1, 2)), np.log(self.sizes)
        if len(x) < _FEWEST_FOR_A_LAW or means.min() <= 0 or means[-1] >= means[0]:
            return "interpolated"
        read = _on_law(x, np.tile(means, (len(x), 1)), means)
        return "power law" if float(np.sqrt(np.mean((read - x) ** 2))) <= _FITS else "interpolated"

    @property
    def not_monotone(self) -> str:
        """Between which sizes the ladder turns back, in words; "" where it does not."""
        steps = np.diff(self.ladder.mean(axis=(1, 2)))
        wrong = np.flatnonzero(steps <= 0 if self.rises else steps >= 0)
        told = ", ".join(f"{self.sizes[i]:,.0f} and {self.sizes[i + 1]:,.0f}" for i in wrong)
        return f"without repeats the metric gets no better between {told} parameters" if told else ""

    @property
    def inside(self) -> bool:
        """Whether the model's mean lies between those of the smallest and the largest of the ladder."""
        return not (self.past(0) or self.past(-1))

    @property
    def enough(self) -> int:
        """The first place of the ladder that is as good as the model, by means; M where none is."""
        means, own = self.ladder.mean(axis=(1, 2)), self.cell.mean()
        found = np.flatnonzero(means >= own if self.rises else means <= own)
        return int(found[0]) if len(found) else len(means)

    def past(self, end: Literal[0, -1]) -> bool:
        """Whether the model's mean is not better than that of the smallest (0), not worse than the largest's (-1)."""
        away = float(self.cell.mean() - self.ladder[end].mean()) * (1 if self.rises else -1)
        return away <= 0 if end == 0 else away >= 0

    def logs(self, seeds_BS: Matrix, documents_BD: Matrix) -> Vector:
        """log(N' / N) [B] under weights of seeds and documents; clipped to the ladder, NaN where it turns back."""
        share = np.einsum("bs,bd->bsd", seeds_BS, documents_BD) / (self.cell.size)
        ladder_BM = np.einsum("bsd,msd->bm", share, self.ladder)
        cell_B = np.einsum("bsd,sd->b", share, self.cell)
        x = np.log(self.sizes)
        found = _on_law(x, ladder_BM, cell_B) if self.form == "power law" else self._between(x, ladder_BM, cell_B)
        clipped: Vector = np.clip(found, x[0], x[-1]) - np.log(self.size)
        return clipped

    def _between(self, x: Vector, ladder_BM: Matrix, cell_B: Vector) -> Vector:
        """log N' on the monotone cubic through each row; NaN where the row turns back."""
        y_BM, sizes = (ladder_BM, x) if self.rises else (ladder_BM[:, ::-1], x[::-1])
        sound = (np.diff(y_BM, axis=1) > 0).all(axis=1)
        found = np.full(len(cell_B), np.nan)
        found[sound] = _monotone_cubic(y_BM[sound], np.tile(sizes, (int(sound.sum()), 1)), cell_B[sound])
        return found


def multiplier(worth: Worth, *, resamples: int = 400, seed: int = 0) -> Interval:
    """N' / N of one model, with a 95 % interval over seeds and documents.

    The interval is Student's in log N', its degrees of freedom those of seeds and documents in the shares in which each
    makes up the variance (Satterthwaite 1946). With one seed it is over documents alone. An end that lies beyond the
    ladder is None; where the model itself does, so is the value, and the other end is the bound. Where the ladder turns
    back the value is None, and the ends are bounds by means.
    """
    n, clusters = worth.cell.size, len(worth.cell)
    if worth.not_monotone:
        return _bounds(worth)
    value, reach, reason = _spread([worth], resamples, seed)
    first, last = (float(np.log(end / worth.size)) for end in (worth.sizes[0], worth.sizes[-1]))
    low = None if value - reach <= first else float(np.exp(value - reach))
    high = None if value + reach >= last else float(np.exp(value + reach))
    if worth.past(0):
        what = f"not better than the smallest of the ladder: at most {np.exp(first):.3g}"
        return Interval(value=None, high=float(np.exp(first)), n=n, clusters=clusters, method=_METHOD, reason=what)
    if worth.past(-1):
        what = f"not worse than the largest of the ladder: at least {np.exp(last):.3g}"
        return Interval(value=None, low=float(np.exp(last)), n=n, clusters=clusters, method=_METHOD, reason=what)
    beyond = " and ".join(name for name, end in (("low", low), ("high", high)) if end is None)
    told = [reason] * bool(reason) + [f"the {beyond} end lies beyond the ladder"] * bool(beyond)
    return Interval(
        value=float(np.exp(value)),
        low=low,
        high=high,
        n=n,
        clusters=clusters,
        method=_METHOD,
        reason="; ".join(told),
    )


def _bounds(worth: Worth) -> Interval:
    """Between which sizes of a ladder that turns back the least is that is as good."""
    first, ends = worth.enough, [float(size / worth.size) for size in worth.sizes]
    low, high = ends[first - 1] if first else None, ends[first] if first < len(ends) else None
    told = [] if low is None else [f"above {low:.3g}"]
    told += [] if high is None else [f"at most {high:.3g}"]
    return Interval(
        value=None,
        low=low,
        high=high,
        n=worth.cell.size,
        clusters=len(worth.cell),
        method="bounds by means",
        reason=f"{worth.not_monotone}, so train longer or on more seeds; the least size that is as good, by means: "
        f"{' and '.join(told)}",
    )


def ratio(first: Worth, second: Worth, *, resamples: int = 400, seed: int = 0) -> Interval:
    """The first multiplier over the second, paired by seed; undefined where one of them is a bound.

    Below 1 where the first metric lost more effective parameters than the second. Resamples beyond a ladder count as
    its end.
    """
    n, clusters = first.cell.size + second.cell.size, len(first.cell)
    told = first.not_monotone or second.not_monotone or ("" if first.inside and second.inside else _BEYOND)
    if told:
        return undefined(told, n=n, clusters=clusters)
    value, reach, reason = _spread([first, second], resamples, seed)
    ends = (float(np.exp(value - reach)), float(np.exp(value + reach)))
    return Interval(
        value=float(np.exp(value)), low=ends[0], high=ends[1], n=n, clusters=clusters, method=_METHOD, reason=reason
    )


def _spread(worths: list[Worth], resamples: int, seed: int) -> tuple[float, float, str]:
    """The log multiplier, or the first less the second; how far its interval reaches; and a caution."""
    rng = np.random.default_rng(seed)
    num_seeds = len(worths[0].cell)
    value = _logs(worths, None, None, 1)[0]
    parts = (
        [(num_seeds, _logs(worths, _resampled(num_seeds, resamples, rng), None, resamples))] if num_seeds > 1 else []
    )
    drawn = [_resampled(worth.cell.shape[1], resamples, rng) for worth in worths]
    parts.append((min(worth.cell.shape[1] for worth in worths), _logs(worths, None, drawn, resamples)))
    lost = max(float(np.isnan(logs).mean()) for _, logs in parts)
    variances = [(float(np.nanvar(logs, ddof=1)), count - 1) for count, logs in parts]
    total = sum(v for v, _ in variances)
    free = total**2 / sum(v**2 / df for v, df in variances) if total > _FLAT else 1.0
    reach = float(stdtrit(free, 0.975)) * float(np.sqrt(total))
    told = ["one seed: the interval is over documents alone"] if num_seeds == 1 else []
    if lost > 0.1:
        told.append(f"in {lost:.0%} of resamples the ladder turns back")
    return float(value), reach, "; ".join(told)


def _logs(worths: list[Worth], seeds: Matrix | None, documents: list[Matrix] | None, count: int) -> Vector:
    found = np.zeros(count)
    for place, worth in enumerate(worths):
        num_seeds, num_documents = worth.cell.shape
        by_seed = np.ones((count, num_seeds)) if seeds is None else seeds
        by_document = np.ones((count, num_documents)) if documents is None else documents[place]
        found += (1 - 2 * place) * worth.logs(by_seed, by_document)
    return found


def _resampled(count: int, resamples: int, rng: np.random.Generator) -> Matrix:
    """Weights [B, count] of mean 1; grown, because means under plain counts vary less than those of fresh samples."""
    grown = np.sqrt(count / (count - 1)) if count > 1 else 0.0
    weights: Matrix = 1 + grown * (resample_counts(count, resamples, rng) - 1)
    return weights


def _on_law(x: Vector, ladder_BM: Matrix, cell_B: Vector) -> Vector:
    """log N' on the power law through each row."""
    slope, level = np.polyfit(x, np.log(ladder_BM).T, 1)
    found: Vector = (np.log(cell_B) - level) / slope
    return found


def _monotone_cubic(x_BM: Matrix, f_BM: Matrix, at_B: Vector) -> Vector:
    """Each row's interpolant of Fritsch and Butland 1984 (SciPy's Pchip, a row at a time there), clipped to its ends.

    Args:
        x_BM: rising.
        f_BM: rising or falling along each row.
    """
    h, d = np.diff(x_BM, axis=1), np.diff(f_BM, axis=1) / np.diff(x_BM, axis=1)
    slope = np.concatenate((d[:, :1], d), axis=1)
    if d.shape[1] > 1:
        w1, w2 = 2 * h[:, 1:] + h[:, :-1], h[:, 1:] + 2 * h[:, :-1]
        slope[:, 1:-1] = (w1 + w2) / (w1 / d[:, :-1] + w2 / d[:, 1:])
        slope[:, 0] = _edge(h[:, 0], h[:, 1], d[:, 0], d[:, 1])
        slope[:, -1] = _edge(h[:, -1], h[:, -2], d[:, -1], d[:, -2])
    at_B = np.clip(at_B, x_BM[:, 0], x_BM[:, -1])
    rows = np.arange(len(at_B))
    k = np.clip((x_BM <= at_B[:, None]).sum(axis=1) - 1, 0, d.shape[1] - 1)
    step, t = h[rows, k], (at_B - x_BM[rows, k]) / h[rows, k]
    ends = f_BM[rows, k] * (1 + 2 * t) * (1 - t) ** 2 + f_BM[rows, k + 1] * t**2 * (3 - 2 * t)
    value: Vector = ends + step * (slope[rows, k] * t * (1 - t) ** 2 + slope[rows, k + 1] * t**2 * (t - 1))
    return value


def _edge(h0: Vector, h1: Vector, d0: Vector, d1: Vector) -> Vector:
    """The slope at an end, from three points; 0 where it would go the other way."""
    slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
    kept: Vector = np.where(np.sign(slope) == np.sign(d0), slope, 0.0)
    return kept
