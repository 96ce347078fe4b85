"""Linear and logistic regression with standard errors clustered by the unit of randomisation.

Both give the sandwich of Liang and Zeger 1986 with the usual small-sample factor G/(G-1) * (n-1)/(n-k), and t
intervals with G-1 degrees of freedom.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from gnomon.core.errors import DataError
from gnomon.stats.clusters import Clusters, Labels, Matrix, Vector, vector
from gnomon.stats.intervals import Interval, t_interval, undefined

__all__ = ["Fit", "linear", "logistic"]

_MOST_STEPS = 100
# A linear predictor beyond this belongs to fitted probabilities of 0 or 1 in double precision: the data are separated.
_SEPARATED = 36.0


class Fit(NamedTuple):
    """Regression coefficients with intervals.

    Attributes:
        coefficients: [k], one for each column of the design; all undefined, with the reason, when there is no fit.
        covariance: [k, k], clustered; NaN when there is no fit.
    """

    coefficients: list[Interval]
    covariance: Matrix


def linear(design: ArrayLike, outcome: ArrayLike, clusters: Labels | None = None) -> Fit:
    """Least squares of `outcome` [n] on the columns of `design` [n, k]; add a column of ones for an intercept."""
    x, y = _columns(design, outcome)
    groups = Clusters(clusters, len(y))
    reason = _unfit(x, groups)
    if reason:
        return _no_fit(x, groups, reason, "least squares")
    bread: Matrix = np.linalg.inv(x.T @ x).astype(np.float64, copy=False)
    beta = bread @ (x.T @ y)
    return _fit(beta, bread, x * (y - x @ beta)[:, None], groups, "least squares, clustered t")


def logistic(design: ArrayLike, outcome: ArrayLike, clusters: Labels | None = None) -> Fit:
    """Logistic regression of `outcome` [n] in [0, 1] on the columns of `design` [n, k], by Newton's method.

    Fractional outcomes (success rates) are allowed: the sandwich errors do not assume a binomial variance.
    Separated outcomes have no finite fit; the coefficients then are undefined and say so.
    """
    x, y = _columns(design, outcome)
    groups = Clusters(clusters, len(y))
    reason = _unfit(x, groups)
    if not reason and y.min() == y.max():
        reason = "every outcome is the same"
    beta = None if reason else _newton(x, y)
    if beta is None:
        return _no_fit(x, groups, reason or "outcomes are separated by the predictors", "logistic")
    fitted = expit(x @ beta)
    bread = np.linalg.inv((x * (fitted * (1 - fitted))[:, None]).T @ x)
    return _fit(beta, bread, x * (y - fitted)[:, None], groups, "logistic, clustered t")


def _columns(design: ArrayLike, outcome: ArrayLike) -> tuple[Matrix, Vector]:
    x, y = np.asarray(design, dtype=np.float64), vector(outcome, "outcome")
    if x.ndim != 2 or len(x) != len(y):
        raise DataError(
            f"design has shape {x.shape} for {len(y)} outcomes", todo="give one row of predictors an outcome"
        )
    if not np.isfinite(x).all():
        raise DataError("a predictor is not finite", where=f"row {np.argwhere(~np.isfinite(x))[0][0]}")
    return x, y


def _unfit(x: Matrix, groups: Clusters) -> str:
    n, k = x.shape
    if n <= k or groups.count <= k:
        return f"{groups.count} clusters are too few for {k} coefficients"
    if np.linalg.matrix_rank(x) < k:
        return "predictors do not vary, or repeat one another"
    return ""


def _newton(x: Matrix, y: Vector) -> Vector | None:
    """The maximum likelihood coefficients [k]; None when they run off to infinity."""
    beta = np.zeros(x.shape[1])
    gain = _log_likelihood(x, y, beta)
    for _ in range(_MOST_STEPS):
        fitted = expit(x @ beta)
        gradient = x.T @ (y - fitted)
        hessian = (x * (fitted * (1 - fitted))[:, None]).T @ x
        try:
            step = np.linalg.solve(hessian, gradient)
        except np.linalg.LinAlgError:
            return None
        if float(gradient @ step) < 1e-16 * len(y):
            return beta
        while (new := _log_likelihood(x, y, beta + step)) < gain and float(np.abs(step).max()) > 1e-12:
            step /= 2
        beta, gain = beta + step, new
        if float(np.abs(x @ beta).max()) > _SEPARATED and float(np.abs(y - expit(x @ beta)).max()) < 1e-6:
            return None
    return None


def _log_likelihood(x: Matrix, y: Vector, beta: Vector) -> float:
    predictor = x @ beta
    return float(np.sum(y * predictor - np.logaddexp(0.0, predictor)))


def _fit(beta: Vector, bread: Matrix, scores: Matrix, groups: Clusters, method: str) -> Fit:
    """The sandwich around `scores` [n, k], each row's gradient of the log-likelihood."""
    n, k = scores.shape
    totals = np.stack([groups.sums(column) for column in scores.T], axis=1)
    factor = groups.count / (groups.count - 1) * (n - 1) / (n - k)
    covariance = factor * bread @ (totals.T @ totals) @ bread
    errors = np.sqrt(np.diag(covariance))
    coefficients = [
        t_interval(float(b), float(se), n=n, clusters=groups.count, method=method)
        for b, se in zip(beta, errors, strict=True)
    ]
    return Fit(coefficients, covariance)


def _no_fit(x: Matrix, groups: Clusters, reason: str, method: str) -> Fit:
    n, k = x.shape
    nothing = undefined(reason, n=n, clusters=groups.count, method=method)
    return Fit([nothing] * k, np.full((k, k), np.nan))
