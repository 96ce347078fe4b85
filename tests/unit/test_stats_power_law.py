"""Power laws of a loss: planted exponents come back, and what cannot be fitted is refused in one line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from gnomon.core.errors import DataError
from gnomon.stats.power_law import fit_power_law

SIZES = np.array([1e4, 1e5, 1e6, 1e7, 1e8])


@settings(deadline=None, max_examples=30)
@given(st.floats(0.02, 1.5), st.floats(3, 12), st.floats(1e-3, 1e3))
def test_the_planted_law_comes_back(alpha: float, log_scale: float, unit: float) -> None:
    losses = (10**log_scale / SIZES) ** alpha
    found = fit_power_law(SIZES * unit, losses, resamples=20)
    assert found.alpha.value == pytest.approx(alpha, rel=1e-9)
    assert found.scale.value == pytest.approx(10**log_scale * unit, rel=1e-6)
    assert found.spread < 1e-9 and found.floor is None
    assert found.at(3e6 * unit) == pytest.approx((10**log_scale / 3e6) ** alpha)


@settings(deadline=None, max_examples=10)
@given(st.floats(0.1, 0.8), st.floats(0.5, 2.0))
def test_the_planted_floor_comes_back(alpha: float, floor: float) -> None:
    found = fit_power_law(SIZES, floor + (1e5 / SIZES) ** alpha, floor=True, resamples=10)
    assert found.alpha.value == pytest.approx(alpha, rel=1e-3)
    assert found.floor is not None and found.floor.value == pytest.approx(floor, rel=1e-3)
    assert found.at(2e7) == pytest.approx(floor + (1e5 / 2e7) ** alpha, rel=1e-4)


def test_a_floor_of_noisy_losses_is_that_of_scipy() -> None:
    rng = np.random.default_rng(1)
    sizes = np.repeat(SIZES, 4)
    losses = (1.2 + (2e6 / sizes) ** 0.4) * np.exp(0.02 * rng.normal(size=len(sizes)))
    found = fit_power_law(sizes, losses, floor=True, resamples=50)

    def law(x: np.ndarray, alpha: float, level: float, floor: float) -> np.ndarray:
        return np.log(floor + np.exp(level - alpha * x))

    oracle, _ = curve_fit(law, np.log(sizes), np.log(losses), p0=(0.4, 5.0, 1.0))
    assert found.floor is not None
    assert [found.alpha.value, found.floor.value] == pytest.approx([oracle[0], oracle[2]], rel=1e-4)
    assert 0.4 in found.alpha and found.floor.low < found.floor.value < found.floor.high


def test_intervals_cover_the_planted_exponent() -> None:
    rng = np.random.default_rng(0)
    sizes, covered = np.repeat(SIZES[:4], 3), 0
    for seed in range(100):
        losses = (1e9 / sizes) ** 0.3 * np.exp(0.05 * rng.normal(size=len(sizes)))
        covered += 0.3 in fit_power_law(sizes, losses, resamples=300, seed=seed).alpha
    assert 87 <= covered <= 100


def test_seeds_that_sizes_share_are_resampled_together() -> None:
    rng = np.random.default_rng(3)
    sizes, seeds = np.tile(SIZES, 12), np.repeat(np.arange(12), 5)
    tilt = np.repeat(rng.normal(size=12) * 0.05, 5)
    losses = (1e9 / sizes) ** (0.3 + tilt)
    alone, together = fit_power_law(sizes, losses), fit_power_law(sizes, losses, seeds)
    assert together.alpha.clusters == 12 and alone.alpha.clusters == 60
    assert together.alpha.value == alone.alpha.value
    assert 0.3 in together.alpha


@pytest.mark.parametrize(
    ("sizes", "losses", "floor", "told"),
    [
        ([1, 1], [2, 3], False, "1 different sizes do not fix a power law with 2 parameters"),
        ([1, 2], [2, 3], True, "2 different sizes do not fix a power law with 3 parameters"),
        ([1, 2], [2, 0], False, "loss is 0, and a power law needs numbers above 0"),
        ([1, -2], [2, 1], False, "size is -2, and a power law needs numbers above 0"),
        ([1, 2, 3], [2, 1], False, "columns differ in length: size 3, loss 2"),
        ([1, np.inf], [2, 1], False, "size is inf"),
    ],
)
def test_what_cannot_be_fitted_is_refused(sizes: list[float], losses: list[float], floor: bool, told: str) -> None:
    with pytest.raises(DataError, match=told):
        fit_power_law(sizes, losses, floor=floor)


def test_two_points_have_no_interval_and_say_why() -> None:
    found = fit_power_law([1e4, 1e6], [2.0, 1.0])
    assert found.alpha.value == pytest.approx(np.log(2) / np.log(100))
    assert found.alpha.low is None and "resamples" in found.alpha.reason
