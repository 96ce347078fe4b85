"""From comparisons to an assistant: what is trained on what, and what is read of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gnomon.core.errors import UsageError
from gnomon.core.record import Row
from gnomon.report.base import Estimate, Report
from gnomon.stats.elo import Game, elo
from gnomon.study._trained import Trained
from gnomon.study.rlhf import Rlhf, study
from gnomon.study.rlhf.summary import Evidence, report
from gnomon.train.preference import Preference
from gnomon.train.rlhf import Rlhf as Policy


def policy(gain: float, *, test: float, seed: int = 0) -> Trained:
    """A policy whose held-out questions all gain `gain` by its reward, and `test` by the other half's value."""
    rows = []
    for round_ in (0, 5, 10):
        for i in range(12):
            own = float(np.cos(i + round_))
            value = gain * round_ / 10
            evidence = {
                "round": round_,
                "group": "",
                "k1": round_ / 5,
                "reward": value + 0.1 * own,
                "gold": test * round_ / 10,
                "watched": {"run:test": 7.0 + test * round_ / 10 + 0.1 * own},
            }
            rows.append(Row(key=f"round-{round_:05d}-{i}", cluster=str(i), evidence=evidence))
    said = {"reward gained": gain, "run:test gained": test, "gold utility gained": test, "KL": 2.0}
    said |= {"tokens an answer": 9.0, "cut short": 0.0, "distinct-2": 0.4}
    estimates = [Estimate(metric=m, value=v, low=v - 0.1, high=v + 0.1, n=12, clusters=12) for m, v in said.items()]
    config = Policy(reward="run:taught", watched=("run:test",), seed=seed)
    return Trained(config, "p", "run:p", rows, Report(title="", estimates=estimates))


def evidence(policies: list[Trained], pushed: list[Trained]) -> Evidence:
    valued = Report(title="", estimates=[Estimate(metric="accuracy", value=0.8, low=0.7, high=0.9, n=40, clusters=40)])
    tax = Report(title="", estimates=[Estimate(metric="tax", value=0.0, low=-0.1, high=0.1, n=9, group="brook-facts")])
    games = [Game("start", "healthy", float(i % 3 == 0), str(i)) for i in range(30)]
    taught = [Trained(None, "t", "run:taught", [], valued) for _ in policies]
    return Evidence(
        taught, policies, pushed, "run:test", elo(games, players=["start", "healthy"]), [tax for _ in policies]
    )


def test_what_parts_is_told_from_what_does_not() -> None:
    found = report(evidence([policy(1.0, test=1.0)], [policy(1.0, test=-0.5)]))
    healthy, goodhart = (found.estimate("reward parts from the other half: round", g) for g in ("healthy", "goodhart"))
    assert healthy.value is None
    assert "at no reading up to round 10" in healthy.reason
    assert goodhart.value == 5
    assert found.estimate("gold utility gained", "goodhart").value == -0.5
    assert "gains: reward 1.00 (0.90 to 1.10), the other half's value 1.00" in found.summary
    assert "best 0.00 on the way there and -0.50 at the end" in found.summary


def test_several_trainings_are_a_mean_over_them() -> None:
    found = report(evidence([policy(1.0, test=1.0), policy(2.0, test=0.5, seed=1)], []))
    gained = found.estimate("reward gained", "healthy")
    assert (gained.value, gained.n) == (1.5, 2)
    assert found.estimate("reward parts from the other half: round", "healthy, training 1").value == 5
    assert "means over 2 trainings" in found.notes[0]
    assert not any(e.group == "goodhart" for e in found.estimates)


def test_halves_teach_and_test_and_policies_are_ranked(tiny: str, tmp_path: Path) -> None:
    few = {"pairs": 12, "few": 8, "rounds": 2, "snapshots": 1, "max_tokens": 6, "n": 3, "held_out": 10}
    done = study(Rlhf(data="brook", model=tiny, start=tiny, tasks=("brook-facts",), **few), tmp_path, 1)
    configs = [part.config for part in done.runs if isinstance(part, Trained)]
    valued = {(c.data, c.pairs, c.part) for c in configs if isinstance(c, Preference)}
    assert valued == {("brook", 12, "1/2"), ("brook", 12, "2/2"), ("brook:flattered", 8, "1/1")}
    healthy, goodhart = (c for c in configs if isinstance(c, Policy))
    assert (healthy.preset, goodhart.preset) == ("healthy", "goodhart")
    assert healthy.watched == goodhart.watched
    assert len({healthy.reward, goodhart.reward, *healthy.watched}) == 3
    players = [e.group for e in done.report.estimates if e.metric == "Elo"]
    assert players == ["start", "round 1", "healthy", "goodhart"]
    assert done.report.estimate("tax", "brook-facts, 0-shot").n == 3
    assert [f.title for f in done.report.figures][1:3] == [
        "What was gained, by distance from the start: healthy",
        "What was gained, by distance from the start: goodhart",
    ]


def test_what_cannot_be_studied_is_refused() -> None:
    with pytest.raises(
        UsageError, match="an assistant of mixed quality is trained for Brook's questions alone; give --start"
    ):
        Rlhf(asked="prompts.jsonl")
    with pytest.raises(UsageError, match="a study needs comparisons, items and a seed"):
        Rlhf(seeds=0)
