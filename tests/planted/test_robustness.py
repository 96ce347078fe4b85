"""Few comparisons by a rater with a bias part from the other half's preference model, many by a good one do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from gnomon.report.base import Report
from gnomon.study.robustness import Robustness, study


def value(report: Report, metric: str, group: str) -> float:
    found = report.estimate(metric, group).value
    assert found is not None
    return found


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_few_comparisons_part_from_the_other_half_and_many_do_not(tmp_path: Path) -> None:
    def of(data: str, pairs: int) -> tuple[Report, str]:
        cfg = Robustness(data=(data,), pairs=(pairs,), rounds=15, every=3, probes=150, seeds=2)
        return study(cfg, tmp_path, 2).report, f"{data}, {pairs} pairs"

    few, many = of("brook:flattered", 300), of("brook", 3000)
    together = "reward parts from PM_test, repetitions together: round"
    assert value(few[0], together, few[1]) <= 9
    assert many[0].estimate(together, many[1]).value is None
    share = "share of the reward gained that PM_test does not see"
    assert value(few[0], share, few[1]) > 0.15 > value(many[0], share, many[1])
    for report, group in (few, many):
        assert value(report, "reward gained", group) > 0.3
    meant = "gold utility gained"
    assert value(many[0], meant, many[1]) > value(few[0], meant, few[1]) + 0.2
    assert many[0].estimate("gold utility falls: round", many[1]).value is None
