"""When did a curve over training go from one level to another, and did it do so abruptly?

Two plateaus joined by a logistic in the logarithm of tokens are fitted to a curve; t10, t50 and t90 are the tokens at
which it has gone 10, 50 and 90 % of the way. The intervals are those of a cluster bootstrap over what the curve is a
mean of: each resample gives a curve and a fit of its own. Olsson et al. 2022 (arXiv 2209.11895) read their windows off
by eye.

A fit always finds something. It is called a transition where the gap between the plateaus exceeds five standard errors
and a least size, and 90 % comes at less than ten times the tokens of 10 %, all of it inside of what was seen.

Shapes: S snapshots, n rows (examples, sequences), B curves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from gnomon.core.errors import DataError
from gnomon.stats.bootstrap import cluster_bootstrap
from gnomon.stats.clusters import Labels, Matrix, Vector
from gnomon.stats.intervals import Interval

__all__ = ["Bend", "Curve", "Plateaus", "Transition", "bend", "mean_curve", "plateaus", "transition"]

Curve = Callable[[Matrix], Matrix]
"""A curve on row weights [b, n], returning values [b, S]; a resample is a row of cluster counts."""

STANDARD_ERRORS = 5.0
"""A gap or bend counts from so many of its standard errors on."""
ABRUPT = 10.0
"""The largest ratio of t90 to t10 of what is called a transition."""

_TENTH = math.log(9.0)
# Widths of the logistic in ln tokens: from a jump between neighbours to a drift over four powers of ten.
_WIDTHS = np.geomspace(0.01, 2.1, 24)
_MIDDLES, _ZOOMS, _ZOOMED = 160, 5, 7


class Plateaus(NamedTuple):
    """Fits of `before + (after - before) * logistic((ln t - middle) / width)`, each [B].

    Attributes:
        before, after: levels.
        middle: ln of the tokens half-way.
        width: in ln tokens.
    """

    before: Vector
    after: Vector
    middle: Vector
    width: Vector


@dataclass(frozen=True, kw_only=True)
class Transition:
    """What a curve does between two levels.

    Attributes:
        t10, t50, t90: tokens at a tenth, a half and nine tenths of the way.
        gap: level after less level before.
        before, after: the levels.
        reason: why it is not called a transition; "" where it is.
    """

    t10: Interval
    t50: Interval
    t90: Interval
    gap: Interval
    before: float
    after: float
    reason: str

    @property
    def detected(self) -> bool:
        """Whether it is a transition."""
        return not self.reason

    def overlaps(self, low: float, high: float) -> bool:
        """Whether t10 to t90 has tokens in common with `low` to `high`."""
        assert self.t10.value is not None and self.t90.value is not None
        return self.t10.value <= high and low <= self.t90.value


@dataclass(frozen=True, kw_only=True)
class Bend:
    """Where a falling curve begins to fall faster again: what no convex curve does.

    Attributes:
        low, high: tokens between which the fall speeds up.
        gain: slope before less slope after, a unit of the curve per token; above 0 where it speeds up.
        reason: why it is not called a bend; "" where it is.
    """

    low: float
    high: float
    gain: Interval
    reason: str

    @property
    def detected(self) -> bool:
        """Whether the curve bends so."""
        return not self.reason


def mean_curve(values: ArrayLike) -> Curve:
    """The mean over rows of values [n, S], as a curve on row weights."""
    rows = np.asarray(values, dtype=np.float64)

    def curve(weights: Matrix) -> Matrix:
        means: Matrix = weights @ rows / weights.sum(1, keepdims=True)
        return means

    return curve


def plateaus(tokens: ArrayLike, values: ArrayLike) -> Plateaus:
    """The fit of two plateaus to each of the curves [B, S] by least squares.

    Args:
        tokens: [S], above 0 and rising.

    Raises:
        DataError: fewer than five snapshots, or tokens that do not rise from above 0.
    """
    at, y_BS = _checked(tokens, values)
    centred = y_BS - y_BS.mean(1, keepdims=True)
    middles = np.linspace(at[0], at[-1], _MIDDLES)
    grid = np.stack(np.meshgrid(middles, _WIDTHS, indexing="ij"), axis=-1).reshape(-1, 2)
    explained_KB = _explained(at, grid[:, :1], grid[:, 1:], centred.T)
    best_B2 = grid[explained_KB.argmax(0)]
    reach, ratio = (at[-1] - at[0]) / _MIDDLES, _WIDTHS[1] / _WIDTHS[0]
    steps = np.linspace(-1, 1, _ZOOMED)
    for _ in range(_ZOOMS):
        tried_M = best_B2[:, :1] + reach * steps
        tried_W = np.clip(best_B2[:, 1:] * ratio**steps, _WIDTHS[0], _WIDTHS[-1])
        pairs = np.stack(
            [np.repeat(tried_M, _ZOOMED, axis=1), np.tile(tried_W, (1, _ZOOMED))], axis=-1
        )  # [B, tries, 2]
        found = _explained_each(at, pairs, centred)
        best_B2 = pairs[np.arange(len(pairs)), found.argmax(1)]
        reach, ratio = reach / 2, math.sqrt(ratio)
    return _levels(at, best_B2, y_BS)


def transition(
    tokens: ArrayLike,
    curve: Curve,
    n: int,
    clusters: Labels | None = None,
    *,
    least: float = 0.0,
    resamples: int = 400,
    seed: int = 0,
) -> Transition:
    """Whether and when `curve` goes from one level to another; intervals over the n rows that it is made of.

    Args:
        tokens: [S], above 0 and rising.
        curve: see `Curve`.
        clusters: of each row.
        least: the smallest gap, either way, that counts.

    Raises:
        DataError: as `plateaus`.
    """
    kept: dict[bytes, Plateaus] = {}

    def fitted(weights: Matrix) -> Plateaus:
        # The same resamples come for each of the four numbers.
        key = weights.tobytes()
        if key not in kept:
            kept[key] = plateaus(tokens, curve(weights))
        return kept[key]

    def over(of: Callable[[Plateaus], Vector]) -> Interval:
        return cluster_bootstrap(lambda w: of(fitted(w)), n, clusters, resamples=resamples, seed=seed)

    whole = fitted(np.ones((1, n)))
    t10, t50, t90 = (
        over(lambda p, k=k: np.exp(p.middle + k * _TENTH * p.width))  # type: ignore[misc]  # k binds
        for k in (-1, 0, 1)
    )
    gap = over(lambda p: p.after - p.before)
    at = np.asarray(tokens, dtype=np.float64)
    reason = _no_transition(gap, t10, t90, float(at[0]), float(at[-1]), least)
    return Transition(
        t10=t10, t50=t50, t90=t90, gap=gap, before=float(whole.before[0]), after=float(whole.after[0]), reason=reason
    )


def bend(
    tokens: ArrayLike,
    curve: Curve,
    n: int,
    clusters: Labels | None = None,
    *,
    span: int = 3,
    resamples: int = 400,
    seed: int = 0,
) -> Bend:
    """The place where a falling curve speeds up most in the sense of standard errors; slopes are over `span` snapshots.

    Tokens count on a linear axis: on a logarithmic one every beginning is such a place. The place is chosen on the
    whole sample, so the interval of its gain is too narrow where there is none; five standard errors make up for it.
    """
    at, means = _checked(tokens, curve(np.ones((1, n))), least=2 * span + 1)
    at = np.exp(at)

    def gains(y_BS: Matrix) -> Matrix:
        slopes = (y_BS[:, span:] - y_BS[:, :-span]) / (at[span:] - at[:-span])
        gained: Matrix = slopes[:, :-span] - slopes[:, span:]
        return gained

    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=100).astype(np.float64)
    errors = gains(curve(drawn)).std(axis=0, ddof=1)
    place = int((gains(means)[0] / np.maximum(errors, 1e-30)).argmax())
    gain = cluster_bootstrap(lambda w: gains(curve(w))[:, place], n, clusters, resamples=resamples, seed=seed)
    sure = gain.value is not None and gain.se is not None and gain.value > STANDARD_ERRORS * gain.se
    reason = "" if sure else f"nowhere does it speed up by more than {STANDARD_ERRORS:g} standard errors"
    return Bend(low=float(at[place]), high=float(at[place + 2 * span]), gain=gain, reason=reason)


def _checked(tokens: ArrayLike, values: ArrayLike, least: int = 5) -> tuple[Vector, Matrix]:
    """ln tokens [S] and curves [B, S]."""
    at, y_BS = np.asarray(tokens, dtype=np.float64), np.atleast_2d(np.asarray(values, dtype=np.float64))
    if at.ndim != 1 or len(at) < least or y_BS.shape[1] != len(at):
        what = f"{len(at)} snapshots for curves of {y_BS.shape[1]} values"
        raise DataError(what, todo=f"give {least} snapshots or more, and a value at each")
    if at[0] <= 0 or (np.diff(at) <= 0).any():
        raise DataError("tokens do not rise from above 0", todo="sort snapshots, and leave the untrained model out")
    return np.log(at), y_BS


def _explained(at: Vector, middle_K1: Matrix, width_K1: Matrix, centred_SB: Matrix) -> Matrix:
    """The share of each curve's squares [K, B] that each shape explains, up to a factor of the curve's."""
    shape_KS = expit((at - middle_K1) / width_K1)
    shape_KS = shape_KS - shape_KS.mean(1, keepdims=True)
    norm_K = np.square(shape_KS).sum(1)
    explained: Matrix = np.square(shape_KS @ centred_SB) / np.maximum(norm_K, 1e-12)[:, None]
    return explained


def _explained_each(at: Vector, pairs_BK2: NDArray[np.float64], centred_BS: Matrix) -> Matrix:
    """As `_explained`, of shapes [B, K] that each curve tries for itself."""
    shape = expit((at - pairs_BK2[..., :1]) / pairs_BK2[..., 1:])
    shape = shape - shape.mean(-1, keepdims=True)
    explained: Matrix = np.square(np.einsum("bks,bs->bk", shape, centred_BS)) / np.maximum(
        np.square(shape).sum(-1), 1e-12
    )
    return explained


def _levels(at: Vector, best_B2: Matrix, y_BS: Matrix) -> Plateaus:
    shape_BS = expit((at - best_B2[:, :1]) / best_B2[:, 1:])
    about = shape_BS - shape_BS.mean(1, keepdims=True)
    rise = (about * y_BS).sum(1) / np.maximum(np.square(about).sum(1), 1e-12)
    before = y_BS.mean(1) - rise * shape_BS.mean(1)
    return Plateaus(before, before + rise, best_B2[:, 0], best_B2[:, 1])


def _no_transition(gap: Interval, t10: Interval, t90: Interval, first: float, last: float, least: float) -> str:
    """Why there is none; "" where there is one."""
    if gap.value is None or t10.value is None or t90.value is None:
        return "no fit"
    if gap.se is None or abs(gap.value) <= STANDARD_ERRORS * gap.se:
        return f"the levels are no {STANDARD_ERRORS:g} standard errors apart"
    if abs(gap.value) < least:
        return f"the levels are less than {least:g} apart"
    if t90.value / t10.value >= ABRUPT:
        return f"it is no sudden change: nine tenths come at {t90.value / t10.value:.3g} times the tokens of one tenth"
    if t10.value < first or t90.value > last:
        return "it begins before the first snapshot or ends after the last"
    return ""
