"""Two models trained on two halves of Brook's facts: does a head tell what its own model knows, and what a source does.

What they know is planted: each fact is stated 1 to 256 times in the corpus of one of the two, and never in the other's.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import gnomon
from gnomon.report.base import Estimate, Report
from gnomon.store.run import Run, list_runs
from gnomon.trial.compare import compare

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

HALVES = ("first", "second")
SETTINGS = {
    "only": ("pik",),
    "data": ("brook:knowledge",),
    "n": 300,
    "head_questions": 800,
    "samples": 20,
    "resamples": 500,
}


class Asked(NamedTuple):
    """A model's head on one model's answers."""

    run: Run
    report: Report


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def models(runs: Path) -> dict[str, str]:
    """A model for each half, trained side by side."""
    words = "train pretrain --model-size s --preset knowledge --tokens 3000000 --peak-rate 0.001 --watch-every 0 --out"
    call = [sys.executable, "-m", "gnomon", *words.split(), str(runs), "--half"]
    started = [subprocess.Popen([*call, half], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for half in HALVES]
    assert [training.wait() for training in started] == [0, 0]
    return {str(m.identity["config"]["half"]): f"run:{m.id}" for m in list_runs(runs)}


@pytest.fixture(scope="module")
def asked(runs: Path, models: dict[str, str]) -> dict[tuple[str, str], Asked]:
    """Whose weights, and whose answers are to be foretold."""
    patched = pytest.MonkeyPatch()
    patched.setenv("GNOMON_RUNS", str(runs))
    found = {}
    for weights in HALVES:
        for answers in HALVES:
            labels = "" if answers == weights else models[answers]
            before = {m.id for m in list_runs(runs)}
            report = gnomon.assay("self-knowledge", models[weights], root=runs, labels=labels, **SETTINGS)
            [new] = {m.id for m in list_runs(runs)} - before
            found[weights, answers] = Asked(Run.find(new, root=runs), report)
    patched.undo()
    return found


def above(e: Estimate, least: float) -> bool:
    return e.low is not None and e.low > least


@pytest.mark.parametrize("half", HALVES)
def test_a_head_tells_what_its_model_knows(asked: dict[tuple[str, str], Asked], half: str) -> None:
    report = asked[half, half].report

    area = report.estimate("AUROC", "P(IK)")
    assert area.value is not None and area.value > 0.8 and above(area, 0.5), area
    assert above(report.estimate("Spearman with truth", "P(IK)"), 0.3)


@pytest.mark.parametrize("half", HALVES)
def test_a_note_with_the_source_lifts_what_it_foretells(asked: dict[tuple[str, str], Asked], half: str) -> None:
    assert above(asked[half, half].report.estimate("P(IK) gained", "source"), 0.0)


@pytest.mark.parametrize("answers", HALVES)
def test_own_and_other_weights_are_compared_on_the_same_answers(
    asked: dict[tuple[str, str], Asked], answers: str
) -> None:
    other = HALVES[answers == HALVES[0]]

    report = compare(asked[other, answers].run, asked[answers, answers].run)

    assert report.estimate("difference of accuracy", "pik").value == 0
    brier = report.estimate("difference of Brier", "pik")
    assert brier.low is not None and brier.high is not None and brier.value is not None
    assert brier.low < brier.value < brier.high
    # Own weights may win or not be told apart; clearly worse they cannot be.
    assert brier.low <= 0, brier


def test_the_two_models_know_different_things(asked: dict[tuple[str, str], Asked]) -> None:
    truths = [{r.key: r.evidence["truth"] for r in asked[half, half].run.rows()} for half in HALVES]
    both = truths[0].keys() & truths[1].keys()
    only = [sum(truths[i][k] > 0.5 > truths[1 - i][k] for k in both) for i in (0, 1)]

    assert len(both) >= 200
    assert min(only) >= 10, only
