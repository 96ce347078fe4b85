"""Helpful against harmless by snapshot: what is trained and asked, and what made-up answers must say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gnomon.core.errors import UsageError
from gnomon.core.record import Row
from gnomon.report.figures import Dot, scatter
from gnomon.stats.elo import ELO
from gnomon.study import frontier
from gnomon.study._answers import Answers
from gnomon.study.frontier import Frontier
from gnomon.study.frontier.summary import HARMLESS, HELPFUL, KINDS, Arm, Outcome, report
from gnomon.train.preference import Preference
from gnomon.train.rlhf import Rlhf

RATERS = {HELPFUL: "run:helps", HARMLESS: "run:harms"}
REFUSAL, ANSWER = " i can not help with a bowl .", " first fold the tin ."
N = 40


def answers(kind: str, rated: float, value: float, refused: float = 0.0) -> Answers:
    texts = [[REFUSAL if i < round(refused * N) else ANSWER] for i in range(N)]
    every = {RATERS[kind]: rated, "run:pm": value}
    return Answers([""] * N, [str(i) for i in range(N)], texts, {k: np.full((N, 1), v) for k, v in every.items()})


def compared(low: float, high: float) -> list[Row]:
    """Comparisons whose values are spread evenly between `low` and `high`."""
    values = np.linspace(low, high, 2 * N).reshape(N, 2)
    return [Row(key=str(i), cluster="", evidence={"chosen": b, "rejected": a}) for i, (a, b) in enumerate(values)]


def outcome(arm: Arm, helpful: float, harmless: float, *, refused: float = 0.0, seed: int = 0) -> Outcome:
    """A policy that gains so much in both raters' eyes, half of it on the way."""
    both = {HELPFUL: helpful, HARMLESS: harmless}
    said = {
        kind: {at: answers(kind, seed + gain * at / 12, 0.5 + gain * at / 24, refused * at / 12) for at in (0, 6, 12)}
        for kind, gain in both.items()
    }
    return Outcome(arm, "run:pm", said, {kind: compared(0.0, 1.0) for kind in KINDS})


def test_elo_values_and_refusals_are_read_by_kind_and_snapshot() -> None:
    few, many = Arm(0.5, 0.1), Arm(0.5, 0.9)
    outcomes = [
        each
        for seed in range(3)
        for each in (
            outcome(Arm(0.0, 0.5), 1.0, -0.5, seed=seed),
            outcome(few, 0.8, 0.6, refused=0.1, seed=seed),
            outcome(many, 0.2, 1.0, refused=0.6, seed=seed),
        )
    ]
    found = report(outcomes, RATERS, brook=True)
    assert found.estimate("helpful Elo", "helpful").value == pytest.approx(ELO, rel=1e-3)
    assert found.estimate("harmless Elo", "helpful").value == pytest.approx(-ELO / 2, rel=1e-3)
    assert found.estimate("helpful Elo", "0.5 harmless, 0.1 attacks").n == 3
    # Values begin in the middle of those of the comparisons and end at .5 + gain / 2.
    evasive = "0.5 harmless, 0.9 attacks"
    for when, asked, value in (("start", "requests", 0.5), ("end", "requests", 0.6), ("end", "attacks", 1)):
        e = found.estimate(f"quantile of values, {asked}, {when}", evasive)
        assert e.value == pytest.approx(value, abs=0.015)
    assert found.estimate("requests refused, end", evasive).value == pytest.approx(0.6)
    assert found.estimate("requests refused, start", evasive).value == 0
    group = "0.1 against 0.9 attacks, 0.5 harmless"
    assert found.estimate("helpful Elo gained by more requests", group).value == pytest.approx(0.6 * ELO, rel=1e-2)
    assert found.estimate("harmless Elo gained by more requests", group).value == pytest.approx(-0.4 * ELO, rel=1e-2)
    assert found.estimate("change of requests refused", group).value == pytest.approx(-0.5)
    table = found.tables[0]
    assert len(table.rows) == 9 and len(table.rows[0]) == len(table.columns)
    assert len(found.figures) == 5
    assert "helpful: 174 (" in found.summary


def test_a_policy_that_equals_its_start_stands_at_the_origin() -> None:
    found = report([outcome(Arm(0.5, 0.5), 0.0, 0.0)], RATERS, brook=False)
    for kind in KINDS:
        assert found.estimate(f"{kind} Elo", "0.5 harmless").value == pytest.approx(0)
    assert not any("refused" in e.metric for e in found.estimates)


def test_snapshots_of_a_policy_are_joined_in_their_order() -> None:
    dots = [Dot(2.0, 0.0, "a"), Dot(1.0, 1.0, "a"), Dot(3.0, 2.0, "a")]
    spec = scatter(dots, x="x", y="y", title="t", joined=True).spec
    line = spec["layer"][0]
    assert line["mark"]["type"] == "line" and line["encoding"]["order"]["field"] == "place"
    assert [row["place"] for row in line["data"]["values"]] == [0, 1, 2]
    assert len(scatter(dots, x="x", y="y", title="t").spec["layer"]) == 1


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"shares": (0.5, 1.5)}, "a share lies between 0 and 1"),
        ({"helpful": "brook:requests*0.5,x*0.5"}, "is a mixture"),
        ({"seeds": 0}, "a study needs shares"),
        ({"rounds": 10, "snapshots": 2}, "give a multiple of 3"),
    ],
)
def test_settings_that_make_no_study_are_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Frontier(**given)


def test_mixtures_are_rewarded_and_asked_as_arms_say(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [tuple(arm) for arm in Frontier().arms] == [(0, 0.5), (0.5, 0.5), (1, 0.5), (0.5, 0.1), (0.5, 0.9)]
    seen: list[Any] = []
    real = frontier.train_all

    def train(configs: Any, **how: Any) -> Any:
        seen.extend(configs)
        return real(configs, **how)

    monkeypatch.setattr(frontier, "train_all", train)
    cfg = Frontier(
        start=tiny, model=tiny, shares=(0.5,), attacks=(0.9,), pairs=16, rounds=2, snapshots=1, n=4, test=6, seeds=1
    )
    studied = frontier.study(cfg, tmp_path, 1)
    assert [c.data for c in seen if isinstance(c, Preference)] == ["brook:requests*0.5,brook:red-team*0.5"]
    assert [c.data for c in seen if isinstance(c, Rlhf)] == [
        "brook:requests*0.5,brook:red-team*0.5",
        "brook:requests*0.1,brook:red-team*0.9",
    ]
    assert len(studied.runs) == 3
    ends = studied.report.estimate("helpful Elo", "0.5 harmless, 0.9 attacks")
    assert ends.n == 1 and not ends.headline
    assert {row[2] for row in studied.report.tables[0].rows} == {0, 1, 2}
