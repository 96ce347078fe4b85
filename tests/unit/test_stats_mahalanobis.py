"""Mahalanobis distances, their shrinkage and outlier exposure against SciPy, scikit-learn and written-out sums."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis as scipy_mahalanobis
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import LogisticRegression

from gnomon.core.errors import DataError
from gnomon.stats.clusters import Matrix
from gnomon.stats.mahalanobis import fit_gaussian, mahalanobis, relative_mahalanobis
from gnomon.stats.outlier_exposure import expose


def cloud(n: int, width: int, seed: int = 0) -> Matrix:
    """Correlated vectors of very different scales."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(width, width)) * np.logspace(-2, 1, width)
    return rng.normal(size=(n, width)) @ mixing + rng.normal(size=width)


def covariance(x: Matrix) -> Matrix:
    away = x - x.mean(axis=0)
    found: Matrix = away.T @ away / len(x)
    return found


def test_distances_are_those_of_scipy_under_the_samples_own_covariance() -> None:
    x, z = cloud(400, 5), cloud(30, 5, seed=1)
    inverse = np.linalg.inv(covariance(x))
    expected = [scipy_mahalanobis(row, x.mean(axis=0), inverse) ** 2 for row in z]
    of = fit_gaussian(x)
    assert of.shrinkage == 0 and of.rest == 0
    np.testing.assert_allclose(mahalanobis(of, z), expected, rtol=1e-9)


@pytest.mark.parametrize(("n", "width"), [(40, 12), (12, 12), (9, 30), (119, 12), (3, 5)])
def test_few_vectors_are_shrunk_as_scikit_learn_shrinks_them(n: int, width: int) -> None:
    x, z = cloud(n, width), cloud(20, width, seed=1)
    shrunk, shrinkage = ledoit_wolf(x)
    of = fit_gaussian(x)
    assert of.shrinkage == pytest.approx(shrinkage, rel=1e-9)
    np.testing.assert_allclose(of.diagonal, np.diag(shrunk), rtol=1e-9)
    away = z - x.mean(axis=0)
    inverse = np.linalg.inv(shrunk)
    full, alone = np.einsum("nd,de,ne->n", away, inverse, away), (away**2 / np.diag(shrunk)).sum(axis=1)
    np.testing.assert_allclose(mahalanobis(of, z), full, rtol=1e-7)
    np.testing.assert_allclose(relative_mahalanobis(of, z), full - alone, rtol=1e-6, atol=1e-6 * full.max())


def test_shrinkage_ends_at_ten_vectors_a_number_unless_there_is_no_inverse() -> None:
    assert fit_gaussian(cloud(119, 12)).shrinkage > 0
    assert fit_gaussian(cloud(120, 12)).shrinkage == 0
    flat = np.column_stack([cloud(120, 3), np.full(120, 2.0)])
    assert fit_gaussian(flat).shrinkage == pytest.approx(ledoit_wolf(flat)[1])
    assert np.isfinite(mahalanobis(fit_gaussian(flat), flat + 1)).all()


@given(st.integers(0, 10_000), st.integers(2, 6), st.sampled_from([15, 80]))
def test_a_change_of_basis_changes_no_distance_and_one_of_scale_no_relative_one(seed: int, width: int, n: int) -> None:
    """A rotation and a shift leave shrunk distances as they are; distances of many vectors survive any linear map."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(n, width)), rng.normal(size=(8, width))
    turn, _ = np.linalg.qr(rng.normal(size=(width, width)))
    before, after = mahalanobis(fit_gaussian(x), z), mahalanobis(fit_gaussian(x @ turn + 3), z @ turn + 3)
    np.testing.assert_allclose(after, before, rtol=1e-6)
    if fit_gaussian(x).shrinkage == 0:
        stretch = np.exp(rng.normal(size=width))
        relative = relative_mahalanobis(fit_gaussian(x * stretch), z * stretch)
        np.testing.assert_allclose(relative, relative_mahalanobis(fit_gaussian(x), z), rtol=1e-6, atol=1e-8)


def test_the_mean_squared_distance_of_the_cloud_itself_is_its_width() -> None:
    x = cloud(200, 6)
    assert mahalanobis(fit_gaussian(x), x).mean() == pytest.approx(6)
    assert relative_mahalanobis(fit_gaussian(x), x).mean() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (np.ones((1, 3)), "1 vectors have no covariance"),
        (np.ones((4, 3)), "all 4 vectors are the same"),
        (np.array([[1.0, 2.0, 3.0], [0.0, 1.0, 5.0]]), "2 vectors span no volume"),
        (np.array([[1.0, np.nan], [0.0, 1.0]]), "not finite"),
    ],
)
def test_clouds_without_a_shape_are_refused(vectors: Matrix, said: str) -> None:
    with pytest.raises(DataError, match=said) as error:
        fit_gaussian(vectors, where="layer 3")
    assert str(error.value).startswith("layer 3: ")


@pytest.mark.parametrize(("k", "width"), [(1, 8), (3, 8), (20, 8), (3, 300)])
def test_outlier_exposure_is_the_classifier_of_so_many_copies(k: int, width: int) -> None:
    ordinary, outliers, z = cloud(100, width), cloud(k, width, seed=3) + 4, cloud(15, width, seed=4)
    mean, scale = ordinary.mean(axis=0), ordinary.std(axis=0)
    rows = (np.concatenate([ordinary, np.repeat(outliers, 100 // k, axis=0)]) - mean) / scale
    labels = [0] * 100 + [1] * (k * (100 // k))
    peer = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(rows, labels)
    found = expose(ordinary, outliers)
    np.testing.assert_allclose(found.log_odds(z), peer.decision_function((z - mean) / scale), rtol=1e-3, atol=1e-3)


def test_a_number_that_ordinary_vectors_never_vary_in_may_tell_an_outlier() -> None:
    ordinary = np.column_stack([cloud(60, 3), np.zeros(60)])
    strange = ordinary[:2] + np.array([0, 0, 0, 1.0])
    found = expose(ordinary, strange)
    assert found.log_odds(strange).min() > 0 > found.log_odds(ordinary).max()


@pytest.mark.parametrize("k", [0, 6])
def test_outliers_must_be_some_and_no_more_than_the_ordinary(k: int) -> None:
    with pytest.raises(DataError, match=f"{k} outliers beside 5 ordinary"):
        expose(cloud(5, 2), cloud(k, 2) if k else np.empty((0, 2)))
