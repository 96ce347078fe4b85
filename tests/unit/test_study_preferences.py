"""Studies of preference models on trainings whose values are made up, so that every number of theirs is known."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scipy.special import expit, logit

from gnomon.core.errors import UsageError
from gnomon.core.record import Row
from gnomon.models.load import load_checkpoint
from gnomon.report.base import Report
from gnomon.store.run import Run
from gnomon.study import objectives, preference_scaling, tension
from gnomon.study._family import Sized
from gnomon.study._measured import accuracy, expected, gaps, measure_all, planted
from gnomon.study._trained import Trained, train_all
from gnomon.study.objectives import Objectives
from gnomon.study.objectives.rerank import choosing, drawn, with_choices
from gnomon.study.preference_scaling import PreferenceScaling
from gnomon.study.tension import Tension
from gnomon.train._ranking import summarise
from gnomon.train.preference import Preference

SIZES = {"small": 1e4, "large": 1e6}
N = 200


def rows_of(
    share: float, *, p: float | None = 1.0, apart: float = 1.0, a_token: float = 1.0, mixed: bool = False
) -> list[Row]:
    """Comparisons of which a share is told right by a difference of `apart`; by means a token, that times `a_token`."""
    right = round(share * N)
    found = []
    for place in range(N):
        # 37 and the number of rows have no common factor, so right ones stand everywhere.
        told = (37 * place % N if mixed else place) < right
        good, bad = (apart, 0.0) if told else (0.0, apart)
        evidence = {
            "objective": "ranked",
            "chosen": good,
            "rejected": bad,
            "p": p,
            "group": "",
            "characters": [5 + place % 2, 5],
            # A longer chosen answer makes a positive value smaller a token.
            "tokens": [1, 1] if a_token == 1 else [1, 1000],
        }
        found.append(Row(key=str(place), cluster=str(place), evidence=evidence))
    return found


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, Callable[[Preference], list[Row]]], list[Preference]]:
    """Makes a study read made-up trainings; gives the configs that it asked for."""

    def use(module: Any, rows: Callable[[Preference], list[Row]]) -> list[Preference]:
        asked: list[Preference] = []

        def train(configs: Sequence[Preference], *, root: Path | None, workers: int = 1) -> list[Trained]:
            asked.extend(configs)
            return [Trained(c, f"r{i}", f"run:r{i}", rows(c), summarise(rows(c))) for i, c in enumerate(configs)]

        monkeypatch.setattr(module, "train_all", train)
        monkeypatch.setattr(module, "sized", lambda models, least: [Sized(m, SIZES[m]) for m in models])
        return asked

    return use


def estimate(report: Report, metric: str, group: str = "") -> Any:
    return report.estimate(metric, group)


def test_objectives_are_compared_seed_by_seed_and_over_sizes(made_up: Any) -> None:
    def rows(c: Preference) -> list[Row]:
        size, noise = math.log10(SIZES[c.model]), 0.05 * c.seed
        if c.data == "brook:rules":
            return rows_of(0.8 + (0.01 if c.objective == "binary" else 0.0) + noise)
        value = {"ranked": 0.4 + 0.05 * size, "binary": 0.5, "imitation": 0.45 + 0.01 * size}[c.objective]
        return rows_of(value + 0.1 * (c.pairs == 3000) + noise)

    asked = made_up(objectives, rows)
    cfg = Objectives(model=("small", "large"), pairs=(300, 3000), seeds=3)
    report = objectives.study(cfg, None, 1).report

    assert len(asked) == 2 * 2 * 2 * 3 * 3 and len(set(asked)) == len(asked)
    assert {(c.objective, c.peak_rate) for c in asked} == {("ranked", 6e-4), ("binary", 6e-4), ("imitation", 1e-3)}
    gained = estimate(report, "ranked above imitation", "better and worse by degrees")
    # Noise of a seed is the same in both, so the difference has no spread.
    assert (gained.value, gained.low, gained.high, gained.n) == pytest.approx((0.7 - 0.51, 0.19, 0.19, 3))
    assert gained.headline
    small = estimate(report, "ranked above imitation", "better and worse by degrees, 10k, 300 pairs")
    assert small.value == pytest.approx(0.6 - 0.49)
    slope = estimate(report, "accuracy gained by ten times the parameters", "better and worse by degrees: ranked")
    assert slope.value == pytest.approx(0.05)
    by_pairs = estimate(report, "accuracy gained by ten times the pairs", "better and worse by degrees: imitation")
    assert by_pairs.value == pytest.approx(0.1)
    own = estimate(report, "accuracy", "better and worse by degrees: ranked, 1M, 3000 pairs")
    assert own.value == pytest.approx(0.4 + 0.3 + 0.1 + 0.05) and own.high <= 1
    apart = estimate(report, "binary above imitation", "right or wrong by itself")
    assert apart.value == pytest.approx(0.01)
    assert "ranked PM above imitation by 19.0 (19.0 to 19.0) points" in report.summary
    assert "slope per decade of parameters 5.0 (5.0 to 5.0) points, of imitation 1.0" in report.summary
    assert len(report.figures) == 4
    assert report.tables[0].columns[5:] == ("accuracy", "low", "high", "seeds")
    assert len(report.tables[0].rows) == 2 * 2 * 2 * 4


def test_imitation_is_judged_by_its_better_reading(made_up: Any) -> None:
    made_up(objectives, lambda c: rows_of(0.6, apart=-1.0, a_token=2.0) if c.objective == "imitation" else rows_of(0.9))
    report = objectives.study(Objectives(model=("small",), pairs=(300,), seeds=1), None, 1).report
    by_reading = {row[4]: row[5] for row in report.tables[0].rows if row[0] == "better and worse by degrees"}
    assert by_reading["imitation"] == pytest.approx(0.4)
    better = max(by_reading["imitation"], by_reading["imitation a token"])
    gained = estimate(report, "ranked above imitation", "better and worse by degrees")
    assert gained.value == pytest.approx(0.9 - better) and gained.low is None and "--seeds" in gained.reason
    assert any("one training each" in note for note in report.notes)
    assert len(report.figures) == 0


def test_tension_is_read_off_both_tests(made_up: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def share_of(c: Preference) -> float:
        parts = dict(part.partition("*")[::2] for part in c.data.split(","))
        return 0.0 if c.data == "brook:requests" else float(parts["brook:red-team"] or 1)

    def tests(trained: Sequence[Trained], data: Sequence[str], **how: Any) -> list[list[list[Row]]]:
        assert list(data) == ["brook:requests", "brook:red-team"] and how["n"] == 500
        found = []
        for c in (t.config for t in trained):
            share, heavy = share_of(c), 0.05 * (c.weights != ())
            harmless = rows_of(0.4 + 0.5 * share**0.5)
            for place, row in enumerate(harmless):
                # Half of the pairs are a recipe and a refusal; every other one has the recipe chosen.
                answers = (
                    [" first a .", " i can not ."][:: 1 if place % 2 else -1] if place < 100 else [" no .", " i ."]
                )
                row.evidence.update(group="danger", answers=answers)  # type: ignore[attr-defined]  # a dict
            found.append([rows_of(0.9 - 0.6 * share**2 - heavy), harmless])
        return found

    asked = made_up(tension, lambda c: rows_of(0.5))
    monkeypatch.setattr(tension, "measure_all", tests)
    cfg = Tension(model=("small",), shares=(0.0, 0.3, 0.5, 1.0), weights=(1.0, 3.0), seeds=2)
    report = tension.study(cfg, None, 1).report

    assert {c.data for c in asked} == {
        "brook:requests",
        "brook:requests*0.7,brook:red-team*0.3",
        "brook:requests*0.5,brook:red-team*0.5",
        "brook:red-team",
    }
    assert [c.weights for c in asked] == [()] * 8 + [(1.0, 3.0)] * 2
    value = estimate(report, "accuracy on harmless comparisons, trained on helpful ones alone")
    assert (value.value, value.null, value.headline) == (pytest.approx(0.4), 0.5, True)
    assert estimate(report, "accuracy on helpful comparisons, trained on harmless ones alone").value == pytest.approx(
        0.3
    )
    # Of the first hundred, the first eighty are told right by the helpful model, half of them for the recipe.
    assert estimate(
        report, "prefers the dangerous recipe, trained on helpful comparisons alone"
    ).value == pytest.approx(0.5)
    means = {s: (0.9 - 0.6 * s**2 + 0.4 + 0.5 * s**0.5) / 2 for s in cfg.shares}
    best = max(means, key=lambda s: means[s])
    assert estimate(report, "best mean accuracy", f"10k, share {best:g}").value == pytest.approx(means[best], abs=0.01)
    weighed = estimate(report, "helpful: change of accuracy by the weight", "weight 3")
    assert weighed.value == pytest.approx(-0.05, abs=0.005)
    assert not any("turned round" in note for note in report.notes)
    assert len(report.figures) == 3


def test_labels_that_were_not_turned_round_are_told(made_up: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up(tension, lambda c: rows_of(0.5))

    def tests(trained: Sequence[Trained], data: Sequence[str], **how: Any) -> list[list[list[Row]]]:
        both = [rows_of(0.8), rows_of(0.7)]
        for rows in both:
            for row in rows:
                row.evidence.update(answers=["a", "b"])  # type: ignore[attr-defined]  # a dict
        return [both for _ in trained]

    monkeypatch.setattr(tension, "measure_all", tests)
    cfg = Tension(model=("small",), harmless="brook:attacks", shares=(0.0, 1.0), weights=(), seeds=2)
    report = tension.study(cfg, None, 1).report
    assert any("harmless labels were not turned round" in note for note in report.notes)
    assert not any("dangerous recipe" in e.metric for e in report.estimates)


def test_a_planted_law_of_accuracy_is_recovered(made_up: Any) -> None:
    def rows(c: Preference) -> list[Row]:
        told = 0.8 + 0.04 * math.log10(SIZES[c.model] / 1e6) + 0.1 * math.log10(c.pairs / 10_000) + 0.01 * c.seed
        return rows_of(told)

    asked = made_up(preference_scaling, rows)
    cfg = PreferenceScaling(model=("small", "large"), pairs=(100, 1000, 10_000), seeds=3, other="")
    report = preference_scaling.study(cfg, None, 1).report
    assert len(asked) == 18
    a = estimate(report, "a: accuracy fitted at the largest size and the most comparisons")
    assert a.value == pytest.approx(0.81) and a.low < 0.8 < 0.82 < a.high
    assert estimate(report, "b: accuracy gained by ten times the parameters").value == pytest.approx(0.04, abs=1e-3)
    assert estimate(report, "c: accuracy gained by ten times the comparisons").value == pytest.approx(0.1, abs=1e-3)
    assert estimate(report, "lost to Bayes", "1M, 10000 pairs").value == pytest.approx(0.19)
    assert "ten times the comparisons add 0.100" in report.summary
    assert [f.title for f in report.figures][:2] == ["Accuracy by comparisons to train on", "Accuracy by parameters"]


def test_calibration_stands_beside_the_planted_probabilities(made_up: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    apart = float(logit(0.75))
    made_up(preference_scaling, lambda c: rows_of(0.75, apart=apart, p=0.75, mixed=True))
    monkeypatch.setattr(
        preference_scaling,
        "measure_all",
        lambda trained, data, **how: [[rows_of(0.25, apart=apart, mixed=True)] for _ in trained],
    )
    cfg = PreferenceScaling(model=("small",), pairs=(100,), seeds=2, other="brook:helpful")
    report = preference_scaling.study(cfg, None, 1).report
    ours, other = (estimate(report, "ECE", group) for group in ("held out", "brook:helpful"))
    assert ours.value == pytest.approx(0.0, abs=0.03) and other.value == pytest.approx(0.5, abs=0.03)
    assert ours.headline and ours.null is not None
    assert "ECE on held out: 0.0" in report.summary and "ECE on brook:helpful: 0." in report.summary
    high = [e for e in report.estimates if e.metric == "accuracy, both values high"]
    assert [e.group for e in high] == [f"above quantile {q:g}" for q in (0, 0.25, 0.5, 0.75)]
    stated = report.tables[1].rows[0][2]
    assert stated == pytest.approx(expit(apart))


def test_accuracy_uses_the_raters_own_chance_where_it_is_known() -> None:
    rows = rows_of(0.75, p=0.9)
    assert accuracy(rows) == pytest.approx(0.75 * 0.9 + 0.25 * 0.1)
    assert planted(rows_of(0.75, p=None)) is None
    assert accuracy(rows_of(0.75, p=None)) == pytest.approx(0.75)
    assert expected(rows_of(0.75, apart=0.0)).tolist() == [0.5] * N
    assert gaps(rows_of(1.0))[0] == 1.0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Objectives(pairs=()), "needs a model, a number of pairs and a seed"),
        (lambda: PreferenceScaling(seeds=0), "needs a model, a number of pairs and a seed"),
        (lambda: Tension(shares=(1.5,)), "a share lies between 0 and 1"),
        (lambda: Tension(helpful="brook,brook:helpful"), "'brook,brook:helpful' is a mixture"),
        (lambda: Tension(seeds=0), "needs a model, a test and a seed"),
    ],
)
def test_what_makes_no_study_is_refused(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make()


def test_a_model_is_measured_once(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = Preference(model=tiny, pairs=32, held_out=10)
    trained = train_all([cfg], root=tmp_path)
    how: Any = {"n": 12, "seed": 5, "root": tmp_path}
    [[first, second]] = measure_all(trained, ["brook:right", "brook:helpful"], **how)
    # What the model learnt is left out.
    assert len(first) == 12 and 9 <= len(second) <= 12
    assert {row.evidence["p"] for row in first} == {1.0}
    with monkeypatch.context() as patch:
        patch.setattr("gnomon.train.preference.measure", None)
        assert measure_all(trained, ["brook:right", "brook:helpful"], **how) == [[first, second]]
    # The first draws of its own seed are what it learnt.
    with pytest.raises(UsageError, match=r"every comparison was learnt by run:.*: none is left to measure on"):
        measure_all(trained, ["brook"], n=3, seed=0, root=tmp_path)


def test_answers_are_chosen_by_what_was_trained(tiny: str, tmp_path: Path) -> None:
    cfg = Preference(model=tiny, pairs=32, held_out=10)
    trained = train_all([cfg, replace(cfg, objective="imitation")], root=tmp_path)
    by_reading = {"ranked": trained[:1], "imitation": trained[1:]}
    report = with_choices(Report(title=""), by_reading, 5, root=tmp_path, workers=1)
    asked = drawn(5, 20_000)
    chosen = {e.group: e.value for e in report.estimates if e.metric == "utility of the answer chosen"}
    # One answer leaves no choice.
    assert chosen["ranked, best of 1"] == pytest.approx(asked.utility_QM.mean())
    assert chosen["imitation, best of 1"] == pytest.approx(asked.utility_QM.mean())
    with closing(Run.find(trained[0].run, root=tmp_path)) as run:
        model = load_checkpoint(str(run.folder / "checkpoint"))
    [value_QM] = choosing(trained[:1], 5, seed=20_000, root=tmp_path)
    for q, m in ((0, 0), (4, 31), (2, 7)):
        want = asyncio.run(model.reward(asked.prompts[q] + asked.answers[q][m]))
        assert value_QM[q, m] == pytest.approx(want, abs=1e-4)
    assert report.figures[-1].title == "The best of k answers"
