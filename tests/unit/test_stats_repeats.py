"""The region of poor performance, its boundaries, peaks, and the share from which learning by heart pays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.core.errors import DataError
from gnomon.stats.repeats import boundary, break_even, interior_peak, poor_region

EPOCHS = np.array([1, 3, 10, 30, 100, 300, 1000.0])


@settings(deadline=None, max_examples=20)
@given(st.floats(-1.0, -0.2), st.floats(1e3, 1e8))
def test_planted_boundaries_come_back(alpha: float, k: float) -> None:
    sizes = np.array([1e6, 1e7, 1e8, 1e9])
    rng = np.random.default_rng(0)
    found = boundary(sizes, k * sizes**alpha * np.exp(0.01 * rng.normal(size=4)))
    assert found.alpha.value == pytest.approx(alpha, rel=0.05)
    assert found.k == pytest.approx(k, rel=0.15)
    exact = boundary(sizes, k * sizes**alpha)
    assert (exact.alpha.value, exact.k) == (pytest.approx(alpha, rel=1e-6), pytest.approx(k, rel=1e-4))


def test_the_laws_of_the_paper_hold_a_hundred_repeats_of_its_largest_model() -> None:
    assert 4.2e6 * 8e8**-0.56 < 100 < 5.1e7 * 8e8**-0.50


def test_a_region_is_bounded_where_the_damage_passes_half() -> None:
    # A parabola over log epochs, half of its height at 30 / 4 and 30 * 4.
    damage = 1 - 0.5 * (np.log(EPOCHS / 30) / np.log(4)) ** 2
    fine = np.geomspace(1, 1000, 400)
    found = poor_region(fine, 1 - 0.5 * (np.log(fine / 30) / np.log(4)) ** 2)
    assert found is not None
    assert (found.worst, found.left, found.right) == (
        pytest.approx(30, rel=0.02),
        pytest.approx(7.5, rel=0.02),
        pytest.approx(120, rel=0.02),
    )
    coarse = poor_region(EPOCHS, damage)
    assert coarse is not None and coarse.worst == 30 and coarse.left and 3 < coarse.left < 10


def test_a_region_that_leaves_the_grid_has_no_boundary_there() -> None:
    found = poor_region(EPOCHS, [0, 0, 0, 0.2, 0.5, 0.9, 1.0])
    assert found is not None and found.right is None and found.left is not None
    assert poor_region(EPOCHS, [-0.1] * 7) is None
    with pytest.raises(DataError, match="rise"):
        poor_region(EPOCHS[::-1], [1] * 7)


def test_learning_by_heart_pays_from_the_planted_share_on() -> None:
    share = break_even(2.0, 2.2)
    assert share == pytest.approx(0.0909, abs=1e-4)
    assert (1 - share) * 2.2 == pytest.approx(2.0)
    with pytest.raises(DataError, match="smaller model"):
        break_even(2.2, 2.0)


def test_a_planted_peak_is_found_and_noise_is_none() -> None:
    rng = np.random.default_rng(0)
    curve = np.array([4.0, 3.0, 3.2, 3.8, 3.5, 3.1, 3.0])
    found = interior_peak(curve + 0.02 * rng.normal(size=(3, 7)))
    assert (found.verdict, found.place) == ("peak", 3)
    assert found.above == pytest.approx(0.8, abs=0.05)
    verdicts = [interior_peak(3 + 0.1 * rng.normal(size=(4, 7))).verdict for _ in range(100)]
    assert verdicts.count("peak") <= 5
    assert interior_peak(np.linspace(4, 3, 7) + 0.01 * rng.normal(size=(3, 7))).verdict == "none"


def test_few_points_or_one_seed_prove_nothing() -> None:
    curve = np.array([3.0, 3.8, 3.0, 2.9, 2.8])
    assert interior_peak(curve[None]).verdict == "insufficient evidence"
    assert interior_peak(np.stack([curve[:4]] * 2)).verdict == "insufficient evidence"
    assert interior_peak(np.stack([curve, curve + 0.01])).verdict == "peak"
