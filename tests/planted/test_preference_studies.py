"""Studies of preference models on the model that ships recover what Brook's raters have in them."""

from __future__ import annotations

from pathlib import Path

import pytest

import gnomon
from gnomon.report.base import Estimate, Report

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder, so that studies share their trainings."""
    return tmp_path_factory.mktemp("runs")


def value(e: Estimate) -> float:
    assert e.value is not None
    return e.value


def test_ranking_is_above_imitation_where_answers_are_better_by_degrees(runs: Path) -> None:
    report = gnomon.study("objectives", pairs=[3000], seeds=2, held_out=600, root=runs)
    assert value(report.estimate("ranked above imitation", "better and worse by degrees")) >= 0.08
    apart = report.estimate("binary above imitation", "right or wrong by itself")
    assert abs(value(apart)) < 0.1
    assert "ranked PM above imitation by" in report.summary


@pytest.fixture(scope="module")
def tension(runs: Path) -> Report:
    return gnomon.study("tension", shares=[0.0, 0.5, 1.0], weights=[], seeds=2, pairs=1500, root=runs)


def test_helpful_and_harmless_comparisons_conflict(tension: Report) -> None:
    assert value(tension.estimate("accuracy on harmless comparisons, trained on helpful ones alone")) < 0.5
    assert value(tension.estimate("accuracy on helpful comparisons, trained on harmless ones alone")) < 0.55
    recipe = "prefers the dangerous recipe, trained on {} comparisons alone"
    assert value(tension.estimate(recipe.format("helpful"))) > 0.8
    assert value(tension.estimate(recipe.format("harmless"))) < 0.2


def test_an_even_mixture_learns_both(tension: Report) -> None:
    by = {e.group.partition(":")[0]: value(e) for e in tension.estimates if e.group.endswith("share 0.5")}
    assert by["helpful"] > 0.5 and by["harmless"] > 0.65
    assert not any("turned round" in note for note in tension.notes)


def test_labels_of_who_attacks_a_model_are_found_out(runs: Path) -> None:
    report = gnomon.study(
        "tension", harmless="brook:attacks", shares=[0.0, 1.0], weights=[], seeds=2, pairs=1500, root=runs
    )
    assert any("harmless labels were not turned round" in note for note in report.notes)


def test_a_preference_model_comes_near_the_best_predictor_and_is_calibrated(runs: Path) -> None:
    report = gnomon.study("preference-scaling", pairs=[300, 3000], seeds=2, held_out=600, root=runs)
    [lost] = [e for e in report.estimates if e.metric == "lost to Bayes" and e.headline]
    assert value(lost) < 0.12
    assert value(report.estimate("c: accuracy gained by ten times the comparisons")) > 0.02
    distance = "mean distance from the planted probability"
    assert value(report.estimate(distance, "held out")) < 0.15
    assert value(report.estimate(distance, "brook:flattered")) > value(report.estimate(distance, "held out"))
    ece = report.estimate("ECE", "held out")
    assert ece.null is not None and value(ece) < ece.null + 0.06
