"""How does a loss fall with size? L = (N_c / N)^alpha, and with a floor that no size gets below, fitted in log space.

Kaplan et al. 2020 (arXiv 2001.08361), eq. 1.1; Askell et al. 2021 (arXiv 2112.00861), app. C. Least squares on log L: a
loss that is off by one in a hundred counts the same at every size. Intervals resample trainings.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from gnomon.core.errors import DataError
from gnomon.stats.bootstrap import cluster_bootstrap
from gnomon.stats.clusters import Labels, Matrix, Vector, same_length, vector
from gnomon.stats.intervals import Interval

__all__ = ["PowerLaw", "fit_power_law"]

# Damping has found its way through a valley, or there is none, after so many steps without gain.
_IDLE_STEPS, _MOST_STEPS = 8, 400
# Log-odds of the floor as a share of the lowest loss: nearly none, half of it, nearly all of it.
_STARTS = (-4.0, 0.0, 3.0)


class PowerLaw(NamedTuple):
    """L(N) = floor + (scale / N)^alpha.

    Attributes:
        alpha: the exponent; above 0 where the loss falls with size.
        scale: N_c, the size at which the falling part is 1, in the unit of the sizes.
        floor: what is left at any size, below the lowest loss seen; None where it was not fitted and is 0.
        spread: root mean square of the losses' distance from the curve, in log space.
    """

    alpha: Interval
    scale: Interval
    floor: Interval | None
    spread: float

    def at(self, size: float) -> float:
        """The loss that the fitted curve gives a model of `size`."""
        assert self.alpha.value is not None and self.scale.value is not None
        least = 0.0 if self.floor is None or self.floor.value is None else self.floor.value
        return least + float(np.exp(self.alpha.value * (np.log(self.scale.value) - np.log(size))))


def fit_power_law(
    sizes: ArrayLike,
    losses: ArrayLike,
    clusters: Labels | None = None,
    *,
    floor: bool = False,
    resamples: int = 1000,
    seed: int = 0,
) -> PowerLaw:
    """The power law through `losses` [n] of models of `sizes` [n].

    Args:
        sizes: above 0: parameters, tokens or comparisons.
        losses: above 0, in nats, one a training.
        clusters: what is resampled together, such as the seed that trainings of several sizes share; None for each
            training on its own.
        floor: whether to fit what is left at any size.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        DataError: sizes or losses are not above 0, are not as many, or stand at too few different sizes.
    """
    n, loss = vector(sizes, "size"), vector(losses, "loss")
    same_length(size=n, loss=loss)
    _check(n, loss, least=3 if floor else 2)
    x, y = np.log(n), np.log(loss)
    fitted = partial(_with_floor if floor else _straight, x, y)
    whole = fitted(np.ones((1, len(x))))[0]
    told = [
        cluster_bootstrap(lambda w, i=i: fitted(w)[:, i], len(x), clusters, resamples=resamples, seed=seed)  # type: ignore[misc]  # the default binds i
        for i in range(3 if floor else 2)
    ]
    curve = _curve(whole[None], x)[0]
    return PowerLaw(told[0], _raised(told[1]), told[2] if floor else None, float(np.sqrt(np.mean((y - curve) ** 2))))


def _check(sizes: Vector, losses: Vector, *, least: int) -> None:
    for name, values in (("size", sizes), ("loss", losses)):
        bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if bad.size:
            raise DataError(
                f"{name} is {values[bad[0]]:g}, and a power law needs numbers above 0", where=f"row {bad[0]}"
            )
    different = len(np.unique(sizes))
    if different < least:
        raise DataError(
            f"{different} different sizes do not fix a power law with {least} parameters",
            todo=f"give losses at {least} sizes or more",
        )


def _straight(x: Vector, y: Vector, weights: Matrix) -> Matrix:
    """alpha, log N_c and a floor of 0 for each row of weights, [b, 3]; NaN where all weight is on one size."""
    slope, level = _line(x, y[None], weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack((-slope, -level / slope, np.zeros_like(slope)), axis=1)


def _line(x: Vector, y_BN: Matrix, weights: Matrix) -> tuple[Vector, Vector]:
    """Weighted least squares slopes and levels, [b]."""
    total = weights.sum(axis=1)
    mean_x, mean_y = weights @ x / total, (weights * y_BN).sum(axis=1) / total
    away = x - mean_x[:, None]
    spread = (weights * away**2).sum(axis=1)
    slope = np.where(spread > 1e-12 * total, (weights * away * y_BN).sum(axis=1) / np.maximum(spread, 1e-300), np.nan)
    return slope, mean_y - slope * mean_x


def _with_floor(x: Vector, y: Vector, weights: Matrix) -> Matrix:
    """alpha, log N_c and the floor for each row of weights, [b, 3]; the best of several descents."""
    best, least = np.full((len(weights), 3), np.nan), np.full(len(weights), np.inf)
    lowest = float(np.exp(y.min()))
    for start in _STARTS:
        theta, error = _descend(x, y, weights, lowest, start)
        better = error < least
        alpha, level = theta[:, 0], theta[:, 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.stack((alpha, level / alpha, lowest * expit(theta[:, 2])), axis=1)
        best[better], least[better] = found[better], error[better]
    # Two sizes are passed through by a whole family of curves.
    num_sizes = np.array([len(np.unique(x[row > 0])) for row in weights])
    best[num_sizes < 3] = np.nan
    return best


def _descend(x: Vector, y: Vector, weights: Matrix, lowest: float, start: float) -> tuple[Matrix, Vector]:
    """Levenberg-Marquardt on alpha, alpha log N_c and the log-odds of the floor's share of the lowest loss."""
    rest = np.log(np.exp(y) - 0.999 * lowest * expit(start))
    slope, level = _line(x, rest[None], weights)
    theta = np.stack((np.nan_to_num(-slope), np.nan_to_num(level), np.full(len(weights), start)), axis=1)
    damping = np.full(len(weights), 1e-2)
    error = _error(theta, x, y, weights, lowest)
    idle = 0
    for _ in range(_MOST_STEPS):
        if idle == _IDLE_STEPS:
            break
        falling = np.exp(theta[:, 1:2] - theta[:, 0:1] * x)
        share = expit(theta[:, 2:3])
        value = falling + lowest * share
        by_floor = np.broadcast_to(lowest * share * (1 - share), falling.shape)
        jacobian = np.stack((-x * falling, falling, by_floor), axis=2) / value[:, :, None]
        weighted = jacobian * weights[:, :, None]
        normal = np.einsum("bni,bnj->bij", weighted, jacobian)
        pull = np.einsum("bni,bn->bi", weighted, y - np.log(value))
        scale = np.einsum("bii->bi", normal) + 1e-12
        step = np.linalg.solve(normal + damping[:, None, None] * scale[:, :, None] * np.eye(3), pull[:, :, None])[
            :, :, 0
        ]
        tried = theta + np.clip(step, -5, 5)
        new = _error(tried, x, y, weights, lowest)
        good = new < error
        idle = 0 if bool((error - new > 1e-9 * error + 1e-20).any()) else idle + 1
        theta[good], error[good] = tried[good], new[good]
        damping = np.clip(np.where(good, damping / 4, damping * 4), 1e-9, 1e9)
    return theta, error


def _error(theta: Matrix, x: Vector, y: Vector, weights: Matrix, lowest: float) -> Vector:
    with np.errstate(over="ignore", invalid="ignore"):
        value = np.log(np.exp(theta[:, 1:2] - theta[:, 0:1] * x) + lowest * expit(theta[:, 2:3]))
        error = (weights * (y - value) ** 2).sum(axis=1)
    return np.where(np.isfinite(error), error, np.inf)


def _curve(found: Matrix, x: Vector) -> Matrix:
    """Log losses [b, n] on the curves (alpha, log N_c, floor)."""
    return np.log(found[:, 2:3] + np.exp(found[:, 0:1] * (found[:, 1:2] - x)))


def _raised(logs: Interval) -> Interval:
    """The interval of a quantity from that of its logarithm."""

    def up(value: float | None) -> float | None:
        return None if value is None else float(np.exp(min(value, 700.0)))

    return Interval(
        value=up(logs.value),
        low=up(logs.low),
        high=up(logs.high),
        n=logs.n,
        clusters=logs.clusters,
        method=logs.method,
        reason=logs.reason,
    )
