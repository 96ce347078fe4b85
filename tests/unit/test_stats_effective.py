"""Effective sizes: planted multipliers come back, intervals cover them, and nothing is read beyond the ladder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from gnomon.core.errors import DataError
from gnomon.stats.effective import Worth, multiplier, ratio

SIZES = np.array([3e4, 6e4, 1.2e5, 2.5e5, 5e5, 1e6])


def _law(sizes: np.ndarray, alpha: float = 0.08, scale: float = 1e12) -> np.ndarray:
    return (scale / sizes) ** alpha


def _planted(
    multiplier: float, size: float, rng: np.random.Generator, *, noise: float = 0.0, seeds: int = 3, documents: int = 60
) -> Worth:
    """A model worth `multiplier` times its size; documents differ in difficulty, seeds and documents in luck."""
    hard = noise * 4 * rng.normal(size=documents)

    def drawn(level: np.ndarray) -> np.ndarray:
        by_seed = noise * rng.normal(size=(*level.shape, seeds, 1))
        return level[..., None, None] + by_seed + hard + noise * rng.normal(size=(*level.shape, seeds, documents))

    return Worth(sizes=SIZES, ladder=drawn(_law(SIZES)), cell=drawn(_law(np.array(multiplier * size))), size=size)


@settings(deadline=None, max_examples=15)
@given(st.floats(0.2, 1.0), st.sampled_from([2e5, 4e5, 9e5]), st.floats(0.03, 0.6))
def test_a_planted_multiplier_comes_back(planted: float, size: float, alpha: float) -> None:
    worth = Worth(
        sizes=SIZES,
        ladder=_law(SIZES, alpha)[:, None, None],
        cell=np.array([[_law(np.array(planted * size), alpha)]]),
        size=size,
    )
    assert worth.form == "power law"
    found = multiplier(worth, resamples=20)
    assert found.value == pytest.approx(planted, rel=0.01)
    # With a floor a law may still fit within a tenth of the size, or the curve through the ladder takes its place.
    floored = replace(worth, ladder=worth.ladder + 3.0 * _law(SIZES, alpha).max(), cell=worth.cell)
    floored = replace(floored, cell=worth.cell + 3.0 * _law(SIZES, alpha).max())
    assert multiplier(floored, resamples=20).value == pytest.approx(planted, rel=0.2)


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 6), st.integers(0, 1000), st.booleans())
def test_between_sizes_the_ladder_is_read_as_by_scipy(count: int, seed: int, rising: bool) -> None:
    rng = np.random.default_rng(seed)
    sizes = np.exp(np.cumsum(rng.uniform(0.2, 1.5, count)))
    steps = np.cumsum(rng.uniform(0.01, 1.0, count)) - 20.0
    ladder = steps if rising else -steps - 40.0
    at = rng.uniform(ladder.min(), ladder.max())
    worth = Worth(sizes=sizes, ladder=ladder[:, None, None], cell=np.array([[at]]), size=1.0, rises=rising)
    order = np.argsort(ladder)
    assert worth.form == "interpolated"
    oracle = PchipInterpolator(ladder[order], np.log(sizes)[order])(at)
    assert worth.logs(np.ones((1, 1)), np.ones((1, 1)))[0] == pytest.approx(float(oracle), rel=1e-9, abs=1e-12)


def test_a_metric_that_rises_with_size_is_read_alike() -> None:
    ladder = np.log(SIZES)[:, None, None] / 20
    worth = Worth(sizes=SIZES, ladder=ladder, cell=np.array([[np.log(1.5e5) / 20]]), size=5e5, rises=True)
    assert multiplier(worth, resamples=20).value == pytest.approx(0.3, rel=0.01)
    lost = multiplier(replace(worth, cell=np.array([[0.1]])), resamples=20)
    assert lost.value is None and lost.high == pytest.approx(0.06)


def test_intervals_cover_the_planted_multiplier() -> None:
    covered = 0
    for seed in range(150):
        worth = _planted(0.5, 4e5, np.random.default_rng(seed), noise=0.01, seeds=4)
        covered += 0.5 in multiplier(worth, resamples=150, seed=seed)
    assert 0.90 <= covered / 150 <= 0.99


def test_nothing_is_read_beyond_the_ladder() -> None:
    ladder = _law(SIZES)[:, None, None] + np.zeros((6, 2, 3))
    worth = Worth(sizes=SIZES, ladder=ladder, cell=np.full((2, 3), 9.0), size=6e4)
    low = multiplier(worth)
    assert (low.value, low.low) == (None, None) and low.high == pytest.approx(0.5)
    assert low.reason == "not better than the smallest of the ladder: at most 0.5"
    high = multiplier(replace(worth, cell=np.full((2, 3), 1.0)))
    assert (high.value, high.high) == (None, None) and high.low == pytest.approx(1e6 / 6e4)
    rng = np.random.default_rng(0)
    near = multiplier(_planted(0.6, 6e4, rng, noise=0.02), resamples=50)
    assert near.low is None and "the low end lies beyond the ladder" in near.reason


@pytest.mark.parametrize(
    ("between", "low", "high", "said"),
    [
        ((2, 1), 60 / 250, 120 / 250, "above 0.24 and at most 0.48"),
        ((0, -1), None, 30 / 250, "at most 0.12"),
        ((5, 6), 4.0, None, "above 4"),
        # The size that ought to be as good is where the ladder turns back.
        ((3, 3), 1.0, 2.0, "above 1 and at most 2"),
    ],
)
@pytest.mark.parametrize("rises", [False, True])
def test_a_ladder_that_turns_back_has_bounds(
    between: tuple[int, int], low: float | None, high: float | None, said: str, rises: bool
) -> None:
    """Of a model halfway between two sizes of the law, which goes on at both ends of the ladder."""
    law = _law(np.array([1e4, *SIZES, 2e6])) * (-1 if rises else 1)
    ladder, own = law[1:-1].copy(), np.mean([law[1 + place] for place in between])
    ladder[3] = ladder[1]
    cell = np.array([[own]])
    found = multiplier(Worth(sizes=SIZES, ladder=ladder[:, None, None], cell=cell, size=2.5e5, rises=rises))
    assert found.value is None
    assert "between 120,000 and 250,000 parameters" in found.reason and found.reason.endswith(said)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_a_loss_that_rises_with_size_is_a_ladder_that_turns_back() -> None:
    worth = Worth(sizes=SIZES, ladder=-_law(SIZES)[:, None, None], cell=np.array([[0.0]]), size=2.5e5)
    assert multiplier(worth).value is None and "between 30,000 and 60,000, 60,000 and" in multiplier(worth).reason


def test_one_seed_is_said_and_two_sizes_are_a_ladder() -> None:
    rng = np.random.default_rng(0)
    whole = _planted(0.8, 9e5, rng, noise=0.003, seeds=1)
    pair = replace(whole, sizes=SIZES[[0, 5]], ladder=whole.ladder[[0, 5]])
    found = multiplier(pair, resamples=50)
    assert pair.form == "interpolated" and found.value is not None
    assert "one seed" in found.reason


def test_ratios_of_multipliers_are_paired() -> None:
    rng = np.random.default_rng(2)
    loss, copying = (_planted(planted, 5e5, rng, noise=0.002, seeds=4) for planted in (0.8, 0.3))
    found = ratio(copying, loss, resamples=100)
    assert found.value == pytest.approx(0.3 / 0.8, rel=0.1)
    assert found.high is not None and found.high < 1
    assert 1.0 in ratio(loss, _planted(0.8, 5e5, rng, noise=0.002, seeds=4), resamples=100)


def test_bounds_have_no_ratio() -> None:
    rng = np.random.default_rng(2)
    inside = _planted(0.8, 5e5, rng, noise=0.002)
    found = ratio(replace(inside, cell=inside.cell + 9), inside)
    assert found.value is None and "bounds have no ratio" in found.reason


def test_what_is_no_ladder_is_refused() -> None:
    with pytest.raises(DataError, match="no ladder"):
        Worth(sizes=SIZES[:1], ladder=np.ones((1, 1, 1)), cell=np.ones((1, 1)), size=1.0)
    with pytest.raises(DataError, match="shape"):
        Worth(sizes=SIZES, ladder=np.ones((6, 2, 1)), cell=np.ones((1, 1)), size=1.0)
