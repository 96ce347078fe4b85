"""The sample-size formula against statsmodels and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.power import NormalIndPower

from gnomon.core.errors import UsageError
from gnomon.stats.paired import paired_difference
from gnomon.stats.power import paired_variance, questions_needed


@pytest.mark.parametrize(("effect", "variance"), [(0.03, 0.25), (-0.1, 0.04), (0.5, 1.0)])
def test_it_is_the_power_of_a_paired_z_test(effect: float, variance: float) -> None:
    oracle = NormalIndPower(ddof=0).solve_power(abs(effect) / variance**0.5, power=0.8, alpha=0.05, ratio=0)
    assert questions_needed(effect, variance) == pytest.approx(oracle, abs=1.01)


def test_more_answers_cut_only_their_own_part() -> None:
    one = questions_needed(0.02, 0.04, first_within=0.2, second_within=0.2)
    ten = questions_needed(0.02, 0.04, first_within=0.2, first_answers=10, second_within=0.2, second_answers=10)
    assert one / ten == pytest.approx(0.44 / 0.08, rel=0.01)


def test_the_promised_power_is_reached() -> None:
    n = questions_needed(0.2, paired_variance(1.0, 0.6))
    found = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        base = np.sqrt(0.6) * rng.normal(size=n)
        a, b = (base + np.sqrt(0.4) * rng.normal(size=n) + shift for shift in (0.2, 0.0))
        p = paired_difference(a, b).p_value
        found += p is not None and p < 0.05
    assert 0.74 <= found / 400 <= 0.86


def test_refused_inputs() -> None:
    for call in (
        lambda: questions_needed(0.0, 1.0),
        lambda: questions_needed(0.1, -1.0),
        lambda: questions_needed(0.1, 1.0, first_answers=0),
        lambda: paired_variance(1.0, 1.5),
    ):
        with pytest.raises(UsageError):
            call()
