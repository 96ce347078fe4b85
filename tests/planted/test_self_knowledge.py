"""Self-knowledge recovers what was planted: bias and coverage of every interval, and the null of what has none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, kstest

from gnomon.assay.self_knowledge import PARTS, SelfKnowledge
from gnomon.assay.self_knowledge.scores import predictions
from gnomon.core.record import Row
from gnomon.core.seeds import Seed
from gnomon.stats.calibration import calibration_test
from gnomon.trial.base import Planted
from gnomon.trial.validate import BAND, Recovery, validate
from tests.planted.replications import rows_of

# Fewer replications than `gnomon validate` runs, and one setting an experiment: the whole is `slow`.
FEW = 40
SETTINGS = {
    "calibration": "calibration-a0.5-b0.6",
    "nota": "nota-avoided",
    "truefalse": "truefalse-b2",
    "temperature": "temperature-2.5",
    "ptrue": "ptrue-helped",
    "pik": "pik-noise-0.5",
}


def settings(part: str) -> Iterator[Planted]:
    yield from SelfKnowledge(only=(part,)).planted()  # type: ignore[arg-type]


@pytest.mark.parametrize("part", PARTS)
def test_one_setting_is_recovered(part: str) -> None:
    found = validate(SelfKnowledge(only=(part,)), replications=FEW, settings=(SETTINGS[part],), second_look=0, seed=1)

    assert found
    for recovery in found:
        assert_near(recovery)


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_every_setting_is_recovered_in_200_replications(part: str) -> None:
    missed = [r for r in validate(SelfKnowledge(only=(part,)), replications=200) if not r.ok]

    assert not missed


@pytest.mark.parametrize("part", PARTS)
def test_every_experiment_has_a_null_and_an_effect(part: str) -> None:
    assert {s.null for s in settings(part)} == {True, False}


def test_the_null_p_value_of_the_calibration_error_is_uniform() -> None:
    null = next(s for s in settings("calibration") if s.null)
    p_values = []
    for i in range(80):
        found = predictions(rows_of(replace(null, config={**null.config, "n": 120}), Seed(3).child(i)))
        p_values.append(calibration_test(found.top, found.right, draws=400, seed=i).ece.p_value)

    # The p-value is a multiple of 1/401, so a uniform draw inside each step makes it continuous.
    jitter = np.random.default_rng(0).random(len(p_values)) / 401
    assert kstest(np.array(p_values, dtype=float) - jitter, "uniform").pvalue > 0.01


def test_the_calibration_error_of_a_calibrated_model_is_no_larger_than_its_null() -> None:
    null = next(s for s in settings("calibration") if s.null)
    config = replace(SelfKnowledge(), **{**null.config, "n": 500})

    report = config.summarise(rows_of(replace(null, config={**null.config, "n": 500}), Seed(5)))

    ece = report.estimate("ECE", "lettered 0-shot")
    assert (ece.low, ece.high) == (None, None)
    assert ece.null is not None and ece.value is not None
    assert ece.null == pytest.approx(0.05, abs=0.01)
    assert abs(ece.value - ece.null) < 0.04
    debiased = report.estimate("squared calibration error, debiased", "lettered 0-shot")
    assert debiased.value == pytest.approx(0, abs=0.005)


def test_one_answer_position_prior_is_removed_by_permuting_and_only_by_permuting() -> None:
    base = Planted(
        name="prior",
        cast={"subject": "planted:permuted-letters?prior=2"},
        truth={},
        config={"only": ("calibration",), "data": ("synthetic",), "forms": ("lettered",), "shots": (0,), "n": 300},
    )

    once = accuracy(rows_of(base, Seed(1)))
    averaged = accuracy(rows_of(replace(base, config={**base.config, "permute": 4}), Seed(1)))

    assert averaged == pytest.approx(0.635, abs=0.06)
    assert once < averaged - 0.1


def accuracy(rows: list[Row]) -> float:
    return float(np.mean([row.evidence["scores"]["accuracy"] for row in rows]))


def assert_near(r: Recovery) -> None:
    """What few replications can tell: coverage a binomial of a right 95 % interval would have, a mean near truth."""
    if r.coverage is not None and not r.exact:
        covered = round(r.coverage * r.replications)
        assert binom.cdf(covered, r.replications, BAND[0]) > 0.01, r
    assert abs(r.bias) < 0.25 + 2.6 / math.sqrt(r.replications), r
