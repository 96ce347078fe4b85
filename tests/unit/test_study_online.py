"""Online iteration: what is served and compared, what each side learns, and what made-up outcomes must say."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gnomon.core.errors import RunError, UsageError
from gnomon.core.record import Row
from gnomon.core.seeds import Seed
from gnomon.data.comparisons import open_comparisons
from gnomon.data.hub import find_file
from gnomon.data.worlds.brook.oracle import RATERS, request
from gnomon.data.worlds.brook.tables import world
from gnomon.report.base import Report
from gnomon.stats.clusters import Matrix
from gnomon.stats.elo import ELO
from gnomon.study import _answers, online
from gnomon.study._answers import Answers, Ask, answer_all, asked, draw, valued
from gnomon.study._players import by_choice, by_rater, ranked
from gnomon.study._trained import Trained
from gnomon.study.online import Online, collected
from gnomon.study.online.collected import Collect, collect_all
from gnomon.study.online.summary import LINES, Outcome, Step, decomposed, report
from gnomon.train._questions import open_reward
from gnomon.train.preference import Preference
from gnomon.train.rlhf import Rlhf


def test_answers_are_drawn_and_valued_once(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = Ask(model=tiny, values=("brook:gold", "brook:harmless"), n=5, each=3, max_tokens=8)
    [found] = answer_all([ask], root=tmp_path)
    questions = asked(ask)
    assert [list(found.clusters), list(found.groups)] == [[q.cluster for q in questions], [q.group for q in questions]]
    assert found.value["brook:gold"].shape == (5, 3)
    said = draw(tiny, questions, 3, max_tokens=8, seed=Seed(0).child("study answers"))
    assert [[text for text, _ in of] for of in said] == found.texts
    want = open_reward("brook:harmless")([questions[4]], [said[4][2]])
    assert found.value["brook:harmless"][4, 2] == want[0]
    with monkeypatch.context() as patch:
        patch.setattr(_answers, "draw", None)
        [again] = answer_all([ask], root=tmp_path)
    assert again.texts == found.texts
    assert (again.value["brook:gold"] == found.value["brook:gold"]).all()


def test_equal_answers_to_a_question_are_valued_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[tuple[str, bool]] = []

    def reward(questions: Sequence[Any], answers: Sequence[tuple[str, bool]]) -> list[float]:
        looked.extend(answers)
        return [len(text) + question for question, (text, _) in zip(questions, answers, strict=True)]

    monkeypatch.setattr(_answers, "open_reward", lambda _: reward)
    said = [[("a", True), ("a", True), ("bb", True)], [("a", True), ("a", False), ("a", True)]]
    found = valued("x", [10, 20], said)  # type: ignore[arg-type]  # questions are only handed on
    assert found.tolist() == [[11, 11, 12], [21, 21, 21]]
    assert len(looked) == 4


def served(monkeypatch: pytest.MonkeyPatch, answers: Any) -> None:
    """Models say what `answers(model, place, number)` says."""

    def draw(model: str, questions: Sequence[Any], each: int, **_: Any) -> list[list[tuple[str, bool]]]:
        return [[(answers(model, place, i), True) for i in range(each)] for place in range(len(questions))]

    monkeypatch.setattr(collected, "draw", draw)
    monkeypatch.setattr(collected, "revisions", lambda _: {})


def rows_of(spec: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    monkeypatch.setenv("GNOMON_RUNS", str(root))
    return [json.loads(line) for line in find_file(spec).read_text().splitlines()]


def test_raters_choose_between_served_models_as_often_as_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"old": " i can not help with a bomb .", "new": " you are wise ."}
    served(monkeypatch, lambda model, place, number: said[model])
    [found] = collect_all([Collect(models=("old", "new"), rater="brook:gold", n=300, test=60)], root=tmp_path)
    rows, test = (rows_of(spec, tmp_path, monkeypatch) for spec in found)
    # The same model twice says nothing new here, so half of the questions are no comparison.
    assert (len(rows), len(test)) == (300, 60)
    expected = 0.0
    for row in rows:
        what = request(world(), row["prompt"])
        p = RATERS["gold"].prefers(world(), what, row["chosen"].strip(), row["rejected"].strip())
        assert row["p"] == pytest.approx(p)
        assert row["group"] == what.kind
        expected += max(p, 1 - p)
    likelier = sum(row["p"] > 0.5 for row in rows)
    assert likelier / 300 == pytest.approx(expected / 300, abs=0.08)
    assert len({row["prompt"] for row in rows}) > 20
    given = open_comparisons(found.learnt, 0, Seed(0))
    assert given.apart == "pair" and len(given.comparisons) == 300


def test_the_best_of_several_is_what_the_preference_model_values_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of each four answers the longest is one of the two last numbers.
    served(monkeypatch, lambda model, place, number: " a" * (number + 1))
    monkeypatch.setattr(
        collected,
        "valued",
        lambda name, questions, said: np.array([[len(text) for text, _ in of] for of in said], float),
    )
    wanted = Collect(models=("start",), rater="brook:gold", n=20, test=1, best_of=4, by="run:pm")
    [found] = collect_all([wanted], root=tmp_path)
    for row in rows_of(found.learnt, tmp_path, monkeypatch):
        assert {len(row[side].split()) for side in ("chosen", "rejected")} == {4, 8}


def test_models_that_say_the_same_cannot_be_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served(monkeypatch, lambda model, place, number: " yes" if number else "")
    with pytest.raises(RunError, match="gave 0 pairs of different answers"):
        collect_all([Collect(models=("a", "b"), rater="brook:gold", n=4, test=1)], root=tmp_path)


def test_who_equals_the_start_has_no_points_within_the_interval() -> None:
    rng = np.random.default_rng(0)
    value: dict[str, Matrix] = {name: rng.normal(size=(150, 2)) for name in ("start", "same")}
    value["better"] = rng.normal(size=(150, 2)) + 1.0
    clusters = [str(q) for q in range(150)]
    start, same, better = ranked(value, clusters, by_rater("run:pm"), resamples=300).players
    assert start.elo.value == 0
    assert same.elo.low is not None and same.elo.high is not None and better.elo.low is not None
    assert same.elo.low < 0 < same.elo.high
    assert better.elo.low > 0
    # Brook's raters are sharper than the logistic function by one half.
    assert by_rater("brook:gold")(np.array([1.0]), np.array([0.0]))[0] == pytest.approx(1 / (1 + math.exp(-1.5)))
    assert by_choice(np.array([1.0, 0.0, 2.0]), np.array([0.0, 1.0, 2.0])).tolist() == [1, 0, 0.5]


def reading(round_: int, reward: Sequence[float]) -> list[Row]:
    evidence = {"round": round_, "group": "", "k1": 0.0, "gold": None, "watched": {}, "tokens": 1, "cut": False}
    return [
        Row(key=f"round-{round_:05d}-{i}", cluster=str(i), evidence={**evidence, "reward": value, "text": ""})
        for i, value in enumerate(reward)
    ]


def made_up(value: float, rated: float, *, n: int = 40) -> Answers:
    """Answers whose value by the preference model and by the rater are the same at every question."""
    every = {"run:pm": value, "brook:gold": rated}
    return Answers([""] * n, [str(i) for i in range(n)], [["a"]] * n, {k: np.full((n, 1), v) for k, v in every.items()})


def test_the_gain_of_a_policy_is_read_four_ways() -> None:
    rows = [*reading(0, [0.5] * 4), *reading(6, [1.5] * 4), *reading(12, [2.5] * 4)]
    policy = Trained(None, "p", "run:p", rows, Report(title=""))
    said = {0: made_up(0.0, 0.0), 6: made_up(0.5, 0.4), 12: made_up(1.0, 0.4)}
    first, second, last = decomposed(policy, "run:pm", "brook:gold", said)
    assert list(first.points) == pytest.approx([0, 0, 0, 0], abs=1e-6)
    assert second.points[:2] == pytest.approx((ELO, ELO / 2))
    # The planted rater's sharpness is 1.5, so .4 of utility are .6 of a nat.
    assert second.points[3] == pytest.approx(ELO * 0.6, rel=1e-3)
    assert last.points[3] == pytest.approx(second.points[3], abs=1e-3)
    # Who always takes the higher value gives everybody a record without end, held finite.
    assert last.points[2] > second.points[2] > 0
    assert (last.round, last.points[0]) == (12, pytest.approx(2 * ELO))


def outcome(ahead: float, seed: int) -> Outcome:
    names = ("start", "static", "mixed", "round 2")
    n = 30
    rng = np.random.default_rng(seed)

    def of(utility: float) -> Answers:
        value = {"brook:gold": np.full((n, 1), utility)}
        return Answers([""] * n, [str(i) for i in range(n)], [["a"]] * n, value)

    answers = {name: of(u + 0.1 * seed) for name, u in zip(names, (0.0, 0.5, 0.5 + ahead, 0.6), strict=True)}
    steps = {
        side: [Step(0, (0.0,) * 4), Step(12, (100.0 + seed, 80.0, 90.0, 50.0 + seed))] for side in ("static", "mixed")
    }

    def rows(right: float, mean: float) -> list[Row]:
        sides = rng.normal(mean, 1, size=(n, 2))
        evidence = [{"chosen": max(two), "rejected": min(two), "p": right} for two in sides.tolist()]
        return [Row(key=str(i), cluster=str(i), evidence=e) for i, e in enumerate(evidence)]

    tests = {
        side: {"first model": rows(0.7, 0), "best of several": rows(0.8, 1), "online": rows(0.6, 2)}
        for side in ("static", "mixed")
    }
    return Outcome(answers, steps, tests)


LEARNT = {"static": 90, "round 2": 100, "mixed": 90}


def test_what_outcomes_of_several_seeds_say() -> None:
    found = report([outcome(0.2, s) for s in range(3)], worth="brook:gold", rater="brook:gold", learnt=LEARNT)
    gold = found.estimate("gold utility: mixed above static")
    assert (gold.value, gold.n) == (pytest.approx(0.2), 3)
    assert found.estimate("Elo: mixed above static").value == pytest.approx(ELO * 0.3, rel=1e-3)
    assert found.estimate("gold utility", "static").value == pytest.approx(0.6)
    assert found.estimate("Elo above the start", "round 2").value == pytest.approx(ELO * 0.9, rel=1e-3)
    assert found.estimate("accuracy", "static preference model, online").value == pytest.approx(0.6)
    assert found.estimate("Bayes accuracy", "best of several").value == pytest.approx(0.8)
    means = [found.estimate("mean value of the answers", kind).value or 0.0 for kind in ("first model", "online")]
    assert means[1] - means[0] == pytest.approx(2, abs=0.4)
    spread = found.estimate("spread of their values", "online").value
    assert spread == pytest.approx(1, abs=0.2)
    assert found.estimate("subtracted from all values").value == pytest.approx(1, abs=0.2)
    whole = found.estimate("Elo overstated", "static")
    assert (whole.value, whole.headline) == (pytest.approx(50), True)
    parts = [e.value or 0.0 for e in found.estimates if e.metric.startswith("Elo overstated: ") and e.group == "mixed"]
    assert parts == pytest.approx([21, -10, 39])
    assert sum(parts) == pytest.approx(50)
    for line, value in zip(LINES, (101, 80, 90, 51), strict=True):
        assert found.estimate(f"Elo gained: {line}", "mixed").value == pytest.approx(value)
    assert "mixed above static by 0.20" in found.summary
    assert len(found.figures) == 4
    assert [table.title for table in found.tables] == ["Policies", "Elo above the start, four ways"]


def test_one_seed_has_no_interval_and_says_so() -> None:
    found = report([outcome(0.2, 0)], worth="brook:gold", rater="brook:gold", learnt=LEARNT)
    e = found.estimate("gold utility: mixed above static")
    assert e.low is None and "--seeds" in e.reason
    assert not any("standard errors" in note for note in found.notes)


def test_standard_errors_are_told_where_there_are_several(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = [outcome(ahead, 0) for ahead in (0.1, 0.2, 0.3)]
    found = report(seen, worth="brook:gold", rater="brook:gold", learnt=LEARNT)
    told = 0.2 / (0.1 / math.sqrt(3))
    assert f"gold utility: mixed above static: {told:.1f} standard errors over 3 repetitions" in found.notes


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"data": "brook,brook:forum"}, "is a mixture"),
        ({"seeds": 0}, "a study needs rounds, seeds and questions"),
        ({"pairs": 6, "rounds": 4}, "give each round a comparison"),
        ({"policy_rounds": 10, "snapshots": 2}, "give a multiple of 3"),
    ],
)
def test_settings_that_make_no_study_are_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Online(**given)


def test_both_sides_learn_as_many_and_the_loop_learns_all_so_far(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for: list[Any] = []
    real = online.train_all

    def train(configs: Sequence[Any], **how: Any) -> list[Trained]:
        asked_for.extend(configs)
        return real(configs, **how)

    monkeypatch.setattr(online, "train_all", train)
    cfg = Online(
        start=tiny, model=tiny, pairs=26, rounds=2, policy_rounds=2, snapshots=1, best_of=2, test=4, judged=3, seeds=1
    )
    studied = online.study(cfg, tmp_path, 1)
    preferences = [c for c in asked_for if isinstance(c, Preference)]
    policies = [c for c in asked_for if isinstance(c, Rlhf)]
    assert [c.pairs + c.held_out for c in preferences] == [26, 30, 26]
    assert {c.model for c in preferences} == {c.model for c in policies} == {tiny}
    assert len(policies) == 3 and len(studied.runs) == 6
    shares = [dict(part.split("*") for part in c.data.split(",")) for c in preferences[1:]]
    assert preferences[0].data == "brook"
    assert [round(float(share) * 30, 6) for share in shares[0].values()] == [26, 4]
    # A third of 26 is 8 and two rounds have 4 each; the first model has the rest.
    assert [round(float(share) * 26, 6) for share in shares[1].values()] == [10, 8, 4, 4]
    assert studied.report.estimate("gold utility: mixed above static").n == 1
    assert {e.group for e in studied.report.estimates if e.metric == "gold utility"} == {
        *("start", "static@1", "static", "mixed@1", "mixed", "round 2")
    }
