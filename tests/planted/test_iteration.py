"""What choosing among answers gains, and what one-sided rewards cost, where the truth is planted."""

from __future__ import annotations

from pathlib import Path

import pytest

from gnomon.study import best_of, frontier
from gnomon.study.best_of import BestOf
from gnomon.study.frontier import Frontier


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_choosing_and_learning_gain_in_the_planted_raters_eyes(tmp_path: Path) -> None:
    cfg = BestOf(pairs=1000, rounds=20, answers=32, k=(1, 4, 16), n=60)
    report = best_of.study(cfg, tmp_path, 1).report
    for k in (4, 16):
        gained = report.estimate("gold utility gained", f"best of {k}")
        assert gained.low is not None
        assert gained.low > 0
    policy = report.estimate("Elo above one answer", "policy")
    assert policy.low is not None
    assert policy.low > 0
    # Who wrote the demonstrations chose by what is meant itself.
    writers = report.estimate("Elo above one answer", "writers")
    assert writers.value is not None
    assert writers.value > (report.estimate("Elo above one answer", "best of 16").value or 0.0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_rewards_for_harmlessness_alone_make_an_assistant_that_evades(tmp_path: Path) -> None:
    cfg = Frontier(shares=(0.0, 1.0), attacks=(), rounds=20, snapshots=0, n=60, test=100, seeds=1)
    report = frontier.study(cfg, tmp_path, 1).report
    helpful, harmless = (
        {arm: report.estimate(f"{kind} Elo", arm).value or 0.0 for arm in ("helpful", "harmless")}
        for kind in ("helpful", "harmless")
    )
    assert helpful["helpful"] > 0 > helpful["harmless"]
    assert harmless["helpful"] < 0 < harmless["harmless"]
    refused = {arm: report.estimate("requests refused, end", arm).value or 0.0 for arm in ("helpful", "harmless")}
    assert refused["helpful"] < 0.1
    assert refused["harmless"] > 0.5
