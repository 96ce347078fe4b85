"""Clustered regressions against statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize

from gnomon.core.errors import DataError
from gnomon.stats.regression import linear, logistic


def data(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(30), 4)
    x = sm.add_constant(np.column_stack([rng.normal(size=120), np.repeat(rng.normal(size=30), 4)]))
    predictor = x @ [0.3, 0.8, -0.5] + np.repeat(rng.normal(size=30), 4)
    return x, predictor + rng.normal(size=120), (rng.random(120) < 1 / (1 + np.exp(-predictor))) * 1.0, clusters


@pytest.mark.parametrize("seed", range(3))
def test_least_squares(seed: int) -> None:
    x, y, _, clusters = data(seed)
    oracle = sm.OLS(y, x).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    got = linear(x, y, clusters)
    assert [c.value for c in got.coefficients] == pytest.approx(list(oracle.params))
    assert got.covariance == pytest.approx(oracle.cov_params())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fractional", [False, True])
def test_logistic(seed: int, fractional: bool) -> None:
    x, _, y, clusters = data(seed)
    outcome = (y + 0.3) / 1.6 if fractional else y
    oracle = sm.GLM(outcome, x, family=sm.families.Binomial()).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    got = logistic(x, outcome, clusters)
    assert [c.value for c in got.coefficients] == pytest.approx(list(oracle.params), rel=1e-6)
    # statsmodels takes the GLM's factor from a least squares with these n and k, as here
    assert got.covariance == pytest.approx(oracle.cov_params(), rel=1e-5)
    assert (got.coefficients[0].n, got.coefficients[0].clusters) == (120, 30)


def test_no_fit_says_why() -> None:
    ones = np.ones(20)
    ramp = np.linspace(-1, 1, 20)
    design = np.column_stack([ones, ramp])
    reasons = {
        "every outcome is the same": logistic(design, ones),
        "outcomes are separated by the predictors": logistic(design, ramp > 0),
        "predictors do not vary, or repeat one another": logistic(np.column_stack([ones, ones]), ramp > 0),
        "2 clusters are too few for 2 coefficients": linear(design, ramp, ["a", "b"] * 10),
    }
    for reason, fit in reasons.items():
        assert [c.reason for c in fit.coefficients] == [reason] * 2
        assert fit.coefficients[0].value is None
        assert np.isnan(fit.covariance).all()


def test_refused_inputs() -> None:
    with pytest.raises(DataError, match="design has shape"):
        linear([[1.0]], [1.0, 2.0])
    with pytest.raises(DataError, match="row 1: a predictor is not finite"):
        linear([[1.0], [np.inf]], [1.0, 2.0])


def test_logistic_converges_where_full_newton_steps_run_off() -> None:
    far = [0.02, 0.0, 0.02, -8.33, 4.97, 0.02, 6.59, 0.67, 36.69]
    near = [-1.95, -0.86, -0.87, 0.03, 1.7, -1.1, 0.26, -0.77, 0.15]
    y = np.array([0, 0, 1, 1, 1, 0, 1, 1, 1.0])
    x = np.column_stack([np.ones(9), far, near])

    def loss(beta: np.ndarray) -> float:
        return float(np.sum(np.logaddexp(0, x @ beta) - y * (x @ beta)))

    best = minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12, "maxfev": 9999})
    assert [c.value for c in logistic(x, y).coefficients] == pytest.approx(list(best.x), rel=1e-4)
