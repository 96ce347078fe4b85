"""A linear classifier that knows many ordinary vectors and a few strange ones.

Bai et al. 2022a (arXiv 2204.05862, sec. 5) after Hendrycks et al. 2019 and Fort et al. 2021: with k known outliers, N
ordinary vectors stand against N // k copies of each. Copies are weights here, which is the same sum. Departure: columns
are scaled by the ordinary vectors' deviations and the weights carry a unit normal prior, without which few outliers in
many dimensions are separated in no one way.

Shapes: N and k vectors of D numbers each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from gnomon.core.errors import DataError
from gnomon.stats.clusters import Matrix, Vector

__all__ = ["Exposed", "expose"]


class Exposed(NamedTuple):
    """A fitted classifier: log-odds that z is an outlier are `weights` [D] z + `bias`, in nats."""

    weights: Vector
    bias: float

    def log_odds(self, vectors: Matrix) -> Vector:
        """Log-odds [M] that each of `vectors` [M, D] is an outlier."""
        found: Vector = vectors @ self.weights + self.bias
        return found


def expose(ordinary: Matrix, outliers: Matrix) -> Exposed:
    """The classifier of `ordinary` [N, D] against N // k copies of each of `outliers` [k, D].

    Raises:
        DataError: no outliers, or more of them than ordinary vectors.
    """
    n, k = len(ordinary), len(outliers)
    if not 0 < k <= n:
        raise DataError(f"{k} outliers beside {n} ordinary vectors", todo="give at least one, and no more than those")
    mean, scale = ordinary.mean(axis=0), ordinary.std(axis=0)
    # A column that never varies among the ordinary is only centred.
    scale = np.where(scale > 1e-12 * np.abs(mean) + 1e-300, scale, 1.0)
    rows, basis = (np.concatenate([ordinary, outliers]) - mean) / scale, None
    if rows.shape[1] > len(rows):
        # The prior keeps the weights in the span of the rows, so that fewer numbers than columns describe them.
        basis, spanned = np.linalg.qr(rows.T)
        rows = spanned.T
    sign = np.repeat([-1.0, 1.0], [n, k])
    copies = np.repeat([1.0, float(n // k)], [n, k])

    def loss(x: Vector) -> tuple[float, Vector]:
        """Log-loss summed over rows and copies plus the prior's half square, and its gradient."""
        weights, bias = x[:-1], x[-1]
        margin = sign * (rows @ weights + bias)
        pull = -copies * sign * expit(-margin)
        value = float(copies @ np.logaddexp(0, -margin) + weights @ weights / 2)
        return value, np.append(rows.T @ pull + weights, pull.sum())

    found = minimize(loss, np.zeros(rows.shape[1] + 1), jac=True, method="L-BFGS-B", options=_EXACT).x
    weights = (found[:-1] if basis is None else basis @ found[:-1]) / scale
    return Exposed(weights, float(found[-1] - mean @ weights))


_EXACT = {"maxiter": 5000, "maxfun": 20_000, "ftol": 1e-13, "gtol": 1e-7}
