"""Sudden changes: found where they were planted, with intervals that cover, and not found where there are none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.core.errors import DataError
from gnomon.stats.clusters import Matrix
from gnomon.stats.transition import bend, mean_curve, plateaus, transition

AT = np.geomspace(2e4, 4e6, 40)


def logistic(middle: float, width: float, before: float = -0.1, after: float = -1.0) -> Matrix:
    return before + (after - before) / (1 + np.exp(-(np.log(AT) - np.log(middle)) / width))


def noisy(curve: Matrix, seed: int, n: int = 100, own: float = 0.3, each: float = 0.1) -> Matrix:
    """Rows that differ by a level of their own, and in every snapshot."""
    rng = np.random.default_rng(seed)
    return curve + rng.normal(0, own, (n, 1)) + rng.normal(0, each, (n, len(AT)))


@settings(max_examples=30)
@given(
    middle=st.floats(1e5, 1e6),
    width=st.floats(0.05, 0.6),
    before=st.floats(-2, 2),
    gap=st.floats(0.1, 3).flatmap(lambda g: st.sampled_from([g, -g])),
)
def test_a_curve_of_the_form_is_recovered(middle: float, width: float, before: float, gap: float) -> None:
    found = plateaus(AT, logistic(middle, width, before, before + gap))
    assert found.middle[0] == pytest.approx(np.log(middle), abs=0.02)
    assert found.width[0] == pytest.approx(width, rel=0.05, abs=0.01)
    assert found.before[0] == pytest.approx(before, abs=0.02 * abs(gap) + 1e-9)
    assert found.after[0] == pytest.approx(before + gap, abs=0.02 * abs(gap) + 1e-9)


def test_the_fit_is_that_of_a_search_over_everything() -> None:
    rng = np.random.default_rng(0)
    curves = np.stack([logistic(3e5, 0.2), logistic(1e6, 0.6)]) + rng.normal(0, 0.05, (2, len(AT)))
    found = plateaus(AT, curves)
    for place, curve in enumerate(curves):
        best = min(
            _left(curve, middle, width)
            for middle in np.linspace(np.log(AT[0]), np.log(AT[-1]), 120)
            for width in np.geomspace(0.01, 2.1, 30)
        )
        assert _left(curve, found.middle[place], found.width[place]) <= best + 1e-6


def _left(curve: Matrix, middle: float, width: float) -> float:
    shape = 1 / (1 + np.exp(-(np.log(AT) - middle) / width))
    design = np.stack([np.ones_like(shape), shape], axis=1)
    fit = np.linalg.lstsq(design, curve, rcond=None)[0]
    return float(np.square(curve - design @ fit).sum())


def test_a_planted_change_is_dated_and_covered() -> None:
    covered = 0
    for seed in range(25):
        found = transition(AT, mean_curve(noisy(logistic(6e5, 0.15), seed)), 100, least=0.25, resamples=100)
        assert found.detected, found.reason
        covered += 6e5 in found.t50
        assert found.t10.value == pytest.approx(6e5 * 9**-0.15, rel=0.1)
        assert found.t90.value == pytest.approx(6e5 * 9**0.15, rel=0.1)
    assert covered >= 20  # of 25 at 95 %: fewer come once in a thousand times


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_found_in_what_stays_level(seed: int) -> None:
    found = transition(AT, mean_curve(noisy(np.zeros(len(AT)), seed)), 100)
    assert not found.detected


@pytest.mark.parametrize(
    ("curve", "least", "reason"),
    [
        (logistic(6e5, 0.15, 0, 0.05), 0.1, "less than 0.1 apart"),
        (0.2 * np.log(AT), 0.1, "no sudden change"),
        (logistic(3.7e6, 0.1), 0.1, "after the last"),
    ],
)
def test_what_is_small_slow_or_not_over_is_no_sudden_change(curve: Matrix, least: float, reason: str) -> None:
    found = transition(AT, mean_curve(noisy(curve, 1, own=0.01, each=0.001)), 100, least=least)
    assert reason in found.reason


def test_two_windows_overlap_or_do_not() -> None:
    found = transition(AT, mean_curve(noisy(logistic(6e5, 0.15), 0)), 100)
    assert found.overlaps(7e5, 1e6) and found.overlaps(5e5, 6e5) and not found.overlaps(1e6, 2e6)


def test_a_second_fall_is_found_and_a_convex_curve_has_none() -> None:
    slow = 4 - 0.3 * np.log(AT)
    falls = bend(AT, mean_curve(noisy(slow + logistic(8e5, 0.1, 0, -0.6), 0, own=0.1, each=0.02)), 100)
    assert falls.detected and falls.low < 8e5 < falls.high
    assert not bend(AT, mean_curve(noisy(slow, 0, own=0.1, each=0.02)), 100).detected


@pytest.mark.parametrize(
    ("tokens", "values"),
    [([1, 2, 3], [1, 2, 3]), ([0, 1, 2, 3, 4], [1] * 5), ([1, 2, 2, 3, 4], [1] * 5), ([1, 2, 3, 4, 5], [1] * 4)],
)
def test_too_few_snapshots_and_tokens_that_do_not_rise_are_refused(tokens: list[float], values: list[float]) -> None:
    with pytest.raises(DataError):
        plateaus(tokens, values)
