"""Where does repeating hurt most, and from which share does it pay a model to learn the repeats by heart?

Hernandez et al. 2022 (arXiv 2205.10487): the region of poor performance with its boundaries E = k N^alpha, the double
descent, and the trade between learning by heart and everything else.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gnomon.core.errors import DataError
from gnomon.stats.clusters import same_length, vector
from gnomon.stats.intervals import Interval
from gnomon.stats.power_law import fit_power_law

__all__ = ["Boundary", "Peak", "Region", "boundary", "break_even", "interior_peak", "poor_region"]

# A peak has to stand out from both sides by so many standard errors, among at least so many points.
_ERRORS, _FEWEST_POINTS = 3.0, 5


class Region(NamedTuple):
    """Where the damage is at least half of the largest.

    Attributes:
        worst: epochs of the largest damage.
        damage: the largest.
        left, right: epochs at which the damage passes half of it, between grid points on a log scale; None where it is
            above half at the end of the grid.
    """

    worst: float
    damage: float
    left: float | None
    right: float | None


class Boundary(NamedTuple):
    """E = k N^alpha through boundaries of several sizes.

    Attributes:
        alpha: the exponent, with an interval that resamples sizes.
        k: epochs that the law has at one parameter.
        spread: root mean square of the boundaries' distance from the law, in log space.
    """

    alpha: Interval
    k: float
    spread: float


class Peak(NamedTuple):
    """A maximum between two lower places.

    Attributes:
        verdict: "peak" where it stands out from both sides by more than three standard errors, "none" where nothing
            does, "insufficient evidence" with fewer than five points or one seed.
        place: index of the point that stands out most.
        above: how much higher it is than the lower places before and after it, the smaller of the two.
        error: standard error of that difference; None with one seed.
    """

    verdict: Literal["peak", "none", "insufficient evidence"]
    place: int
    above: float
    error: float | None


def poor_region(epochs: ArrayLike, damage: ArrayLike) -> Region | None:
    """The region of `damage` [K] at `epochs` [K] where it is at least half of the largest; None where none is above 0.

    Args:
        epochs: above 0, rising.
        damage: such as the loss above that of a model that saw no repeats.
    """
    e, d = vector(epochs, "epochs"), vector(damage, "damage")
    if not same_length(epochs=e, damage=d) or (e <= 0).any() or (np.diff(e) <= 0).any():
        raise DataError(f"epochs {e.tolist()} do not rise from above 0", todo="sort them")
    top = int(d.argmax())
    if d[top] <= 0:
        return None
    half = d[top] / 2
    left = next((_crossing(e, d, i, half) for i in range(top - 1, -1, -1) if d[i] < half), None)
    right = next((_crossing(e, d, i, half) for i in range(top, len(d) - 1) if d[i + 1] < half), None)
    return Region(float(e[top]), float(d[top]), left, right)


def boundary(sizes: ArrayLike, epochs: ArrayLike, *, seed: int = 0) -> Boundary:
    """The log-log line through boundaries at `epochs` [n] of models of `sizes` [n].

    Raises:
        DataError: fewer than two sizes, or a number that is not above 0.
    """
    law = fit_power_law(sizes, epochs, seed=seed)
    fall = law.alpha
    assert fall.value is not None and law.scale.value is not None
    low, high = (None if end is None else -end for end in (fall.high, fall.low))
    turned = Interval(
        value=-fall.value, low=low, high=high, n=fall.n, clusters=fall.clusters, method=fall.method, reason=fall.reason
    )
    return Boundary(turned, float(np.exp(fall.value * np.log(law.scale.value))), law.spread)


def break_even(loss: float, of_smaller: float) -> float:
    """The share of repeats from which learning them by heart pays.

    A model that spends its capacity on repeats predicts the rest like a smaller one: (1 - f) times that one's loss is
    below its own loss from f = 1 - loss / of_smaller on. Both in nats a token.

    >>> round(break_even(2.0, 2.2), 4)
    0.0909
    """
    if not 0 <= loss <= of_smaller or of_smaller == 0:
        what = f"a loss of {loss:g} beside {of_smaller:g} of a smaller model"
        raise DataError(what, todo="give losses in nats, the smaller model's the higher one")
    return 1 - loss / of_smaller


def interior_peak(losses: ArrayLike) -> Peak:
    """Whether losses [S, K], a seed a row, over K rising epochs or steps rise and fall again: the double descent.

    The standard error of a difference of two points is over seeds, its variance pooled over all points. The place is
    chosen for standing out, which makes differences at it larger than at a place named beforehand.
    """
    y = np.atleast_2d(np.asarray(losses, dtype=np.float64))
    num_seeds, num_points = y.shape
    mean = y.mean(axis=0)
    above = np.full(num_points, -np.inf)
    for i in range(1, num_points - 1):
        above[i] = mean[i] - max(mean[:i].min(), mean[i + 1 :].min())
    place = int(above.argmax()) if num_points > 2 else 0
    error = float(np.sqrt(2 * y.var(axis=0, ddof=1).mean() / num_seeds)) if num_seeds > 1 else None
    if error is None or num_points < _FEWEST_POINTS:
        return Peak("insufficient evidence", place, float(above[place]), error)
    return Peak("peak" if above[place] > _ERRORS * error else "none", place, float(above[place]), error)


def _crossing(e: np.ndarray, d: np.ndarray, i: int, level: float) -> float:
    """Where the damage passes `level` between points i and i + 1, straight over log epochs."""
    share = (level - d[i]) / (d[i + 1] - d[i])
    return float(np.exp(np.log(e[i]) + share * (np.log(e[i + 1]) - np.log(e[i]))))
