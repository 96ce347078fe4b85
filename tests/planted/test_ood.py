"""Detectors of harmful prompts recover what was planted: bias and coverage, and one half where nothing was."""

from __future__ import annotations

import math

import pytest
from scipy.stats import binom

from gnomon.assay.ood import Ood
from gnomon.assay.ood.truths import separation
from gnomon.trial.validate import BAND, validate


@pytest.mark.parametrize("setting", ["narrow", "wide", "null"])
def test_one_setting_is_recovered(setting: str) -> None:
    """As `gnomon validate` has it, with fewer replications and so with wider bands."""
    replications = 12
    for found in validate(Ood(), replications=replications, settings=(setting,), second_look=0, seed=1):
        assert found.coverage is not None
        assert binom.cdf(round(found.coverage * replications), replications, BAND[0]) > 0.005, found
        assert abs(found.bias) < 0.25 + 2.6 / math.sqrt(replications), found


def test_a_shift_separates_the_more_the_larger_it_is() -> None:
    found = [separation(shift) for shift in (0.0, 1.0, 2.0, 4.0)]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0.5, pytest.approx(1.0, abs=0.03))


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_every_setting_is_recovered_in_200_replications() -> None:
    assert [found for found in validate(Ood(), replications=200) if not found.ok] == []
