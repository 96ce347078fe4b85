"""Studies of several models recover what was planted: numbers against size, and who judges whose answers."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from gnomon.assay.self_knowledge import SelfKnowledge
from gnomon.assay.self_knowledge.truths import choice_truth
from gnomon.core.errors import UsageError
from gnomon.core.record import Row
from gnomon.report.base import Estimate, Report
from gnomon.study import judges, sizes
from gnomon.study._family import Asked, keep_study, per_tenfold, sized, spoken
from gnomon.study.judges import Judges
from gnomon.study.sizes import Sizes
from gnomon.trial.runner import Finished, run_evaluation

CHOICE = SelfKnowledge(
    only=("calibration",), data=("synthetic",), forms=("lettered",), shots=(0,), n=600, resamples=200
)
P_TRUE = SelfKnowledge(data=("synthetic",), shots=(0,), worked=(0,), n=400, resamples=200)
SMALL, LARGE = "planted:calibrated?b=0.4", "planted:calibrated?b=2.5"
WEAK, STRONG = "planted:selfeval?single=0.5", "planted:selfeval?single=1.5"


class Asking:
    """Runs evaluations in a folder, and remembers what was asked."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.finished: list[Finished] = []

    def __call__(self, config: Any, model: str) -> Finished:
        found = asyncio.run(run_evaluation(config, "self-knowledge", {"subject": model}, root=self.root))
        self.finished.append(found)
        return found


@pytest.fixture
def ask(tmp_path: Path) -> Asking:
    return Asking(tmp_path)


def holds(e: Estimate, truth: float) -> bool:
    assert e.low is not None and e.high is not None
    return e.low <= truth <= e.high


def test_numbers_of_each_size_and_their_change_are_recovered(ask: Asking) -> None:
    cfg = Sizes(model=(LARGE, SMALL), parameters=(1e9, 1e6))

    report = sizes.study(cfg, CHOICE, "self-knowledge", ask).report

    truths = {SMALL: choice_truth(0, 0.4), LARGE: choice_truth(0, 2.5)}
    for model, truth in truths.items():
        assert holds(report.estimate("accuracy", f"lettered 0-shot · {model}"), truth["accuracy"])
        assert holds(report.estimate("calibration slope", f"lettered 0-shot · {model}"), truth["calibration slope"])
    change = report.estimate("change of accuracy for ten times the parameters", "calibration lettered 0-shot")
    gained = truths[LARGE]["accuracy"] - truths[SMALL]["accuracy"]
    assert gained > 0.1 and holds(change, gained / 3) and change.low is not None and change.low > 0
    step = report.estimate("difference of accuracy", f"calibration lettered 0-shot: {LARGE} less {SMALL}")
    assert step.value == pytest.approx(3 * (change.value or 0)) and holds(step, gained)
    assert [run.model for run in _runs(report)] == [SMALL, LARGE]


def test_models_that_do_not_differ_show_no_change(ask: Asking) -> None:
    cfg = Sizes(model=("planted:calibrated?b=1", "planted:calibrated?b=1.0"), parameters=(1e6, 1e9))

    report = sizes.study(cfg, replace(CHOICE, n=80), "self-knowledge", ask).report

    changes = [e for e in report.estimates if e.metric.startswith(("change of", "difference of"))]
    assert len(changes) >= 4
    assert {e.value for e in changes} == {0.0}


class _Line:
    def __init__(self, row: Sequence[Any]) -> None:
        self.model, self.parameters, self.run, self.rows = row


def _runs(report: Report) -> list[_Line]:
    return [_Line(row) for row in next(t for t in report.tables if t.title == "Runs").rows]


def test_a_study_asks_nothing_that_a_run_holds(ask: Asking) -> None:
    cfg = Sizes(model=(SMALL, LARGE), parameters=(1e6, 1e9))
    few = replace(CHOICE, n=60)

    first = sizes.study(cfg, few, "self-knowledge", ask)
    again = sizes.study(cfg, few, "self-knowledge", ask)

    assert [f.asked for f in ask.finished] == [60, 60, 0, 0]
    assert again.report.estimates == first.report.estimates
    identity = {"study": "s", "seed": 0}
    kept = [keep_study("sizes", identity, studied, root=ask.root) for studied in (first, again)]
    assert kept[0].id == kept[1].id
    assert json.loads((kept[0].folder / "run.json").read_text())["identity"]["runs"] == [r.run for r in first.runs]


def test_the_pictures_are_those_of_the_paper_with_intervals(ask: Asking) -> None:
    cfg = Sizes(model=(SMALL, LARGE), parameters=(1e6, 1e9))

    figures = sizes.study(cfg, replace(CHOICE, n=60), "self-knowledge", ask).report.figures

    titles = [f.title for f in figures]
    assert titles[:4] == [f"{m}, by size" for m in ("accuracy", "ECE", "RMS calibration error", "calibration slope")]
    assert titles[-1] == "Calibration: Multiple choice, lettered 0-shot"
    text = json.dumps(figures[0].spec)
    assert '"type": "log"' in text and '"low": 0.' in text and '"x": 1000000.0' in text
    assert "if calibrated" in json.dumps(figures[1].spec)


def rows(scores: Sequence[float | None]) -> list[Row]:
    return [
        Row(key=str(i), cluster=str(i // 2), evidence={"series": "s", "scores": {"x": s}}) for i, s in enumerate(scores)
    ]


def run_of(parameters: float, scores: Sequence[float | None]) -> Asked:
    return Asked(name=f"{parameters:g}", parameters=parameters, run="r", report=Report(title=""), rows=rows(scores))


def test_the_change_for_ten_times_the_parameters_is_the_slope_of_the_means() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((3, 40))

    [found] = per_tenfold([run_of(p, s.tolist()) for p, s in zip((1e6, 3e7, 1e9), scores, strict=True)])

    oracle = np.polyfit(np.log10([1e6, 3e7, 1e9]), scores.mean(axis=1), 1)[0]
    assert found.value == pytest.approx(oracle)
    assert (found.n, found.clusters, found.group) == (40, 20, "s")


def test_items_that_a_run_lacks_do_not_count() -> None:
    [found] = per_tenfold([run_of(1e6, [0.0, 0.5, 1.0]), run_of(1e7, [1.0, None, 1.0])])

    assert (found.n, found.value) == (2, pytest.approx(0.5))


def test_one_size_has_no_slope() -> None:
    assert per_tenfold([run_of(1e6, [0.0] * 4), run_of(1e6, [1.0] * 4)]) == []


def test_sizes_are_counted_in_the_weights_and_sorted(tmp_path: Path) -> None:
    from gnomon.models.families import save_folder
    from gnomon.models.load import load
    from gnomon.models.transformer import num_parameters

    brook: Any = load("brook")
    net = brook.net
    asyncio.run(brook.close())
    save_folder(net, tmp_path, tokenizer=brook.tokenizer)

    [one, two] = sized(("brook", f"hf:{tmp_path}"), ())

    assert one.parameters == two.parameters == num_parameters(net)
    assert [s.name for s in sized(("a", "b"), (2e6, 1e6))] == ["b", "a"]


@pytest.mark.parametrize(
    ("models", "parameters", "said"),
    [
        (("a",), (), "1 models are no family; name two or more: --model A,B"),
        (("a", "a"), (), "model 'a' is named twice"),
        (("a", "b"), (1.0,), "1 sizes for 2 models; give --parameters one a model"),
        (("a", "b"), (1.0, -2.0), "--parameters: a model of -2 parameters; give numbers above 0"),
        (
            ("planted:calibrated", "planted:selfeval"),
            (),
            "the size of 'planted:calibrated' is not known; give --parameters, one a model, such as 8e9,70e9",
        ),
    ],
)
def test_what_is_no_family_is_refused(models: tuple[str, ...], parameters: tuple[float, ...], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        sized(models, parameters)

    assert str(refused.value) == said


def test_sizes_are_said_as_people_say_them() -> None:
    assert [spoken(p) for p in (950, 9.13e5, 2.8e6, 52e9, 1e12)] == ["950", "913k", "2.8M", "52B", "1T"]


def test_every_cell_of_the_grid_is_its_judges_and_nobody_elses(ask: Asking) -> None:
    cfg = Judges(model=(STRONG, WEAK), parameters=(1e9, 1e6))

    report = judges.study(cfg, P_TRUE, "self-knowledge", ask).report

    for answers in (WEAK, STRONG):
        for judge, d in ((WEAK, 0.5), (STRONG, 1.5)):
            cell = report.estimate("AUROC", f"bare: {answers} judged by {judge}")
            assert holds(cell, float(norm.cdf(d / math.sqrt(2)))), (answers, judge)
        gain = report.estimate("AUROC gained by the larger judge", f"bare: samples of {answers}, {STRONG} less {WEAK}")
        assert holds(gain, float(norm.cdf(1.5 / math.sqrt(2)) - norm.cdf(0.5 / math.sqrt(2))))
        # Both judge alike where they see other samples.
        null = f"bare, comparison: samples of {answers}, {STRONG} less {WEAK}"
        assert report.estimate("AUROC gained by the larger judge", null).value == 0
    assert report.notes == []


def test_judges_of_one_model_see_the_same_answers(ask: Asking) -> None:
    cfg = Judges(model=(WEAK, STRONG), parameters=(1e6, 1e9))

    studied = judges.study(cfg, replace(P_TRUE, n=60), "self-knowledge", ask)

    [own, other] = [
        [r.evidence["samples"] for r in run.rows] for run in studied.runs if run.name.startswith(f"{WEAK} judged")
    ]
    assert own == other
    assert [f.cast["judge"].split("@")[0] for f in ask.finished] == [WEAK, STRONG, WEAK, STRONG]


def test_the_grid_is_one_picture_with_intervals(ask: Asking) -> None:
    cfg = Judges(model=(WEAK, STRONG), parameters=(1e6, 1e9))

    figures = judges.study(cfg, replace(P_TRUE, n=60), "self-knowledge", ask).report.figures

    assert [f.title for f in figures][:3] == [
        "AUROC of P(True), bare",
        "Brier of P(True), bare",
        "accuracy where P(True) > 0.5, bare",
    ]
    [values] = figures[0].spec["datasets"].values()
    assert len(values) == 4
    assert all(cell["interval"].startswith("[") for cell in values)


def test_an_evaluation_without_verdicts_has_no_grid(ask: Asking) -> None:
    with pytest.raises(UsageError, match="brook has no P\\(True\\)"):
        judges.study(Judges(model=(WEAK, STRONG), parameters=(1, 2)), object(), "brook", ask)
