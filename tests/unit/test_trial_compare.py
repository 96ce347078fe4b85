"""Two runs paired by item, against statistics computed apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_rel

from gnomon.core.errors import DataError
from gnomon.core.record import Row
from gnomon.report.base import Report
from gnomon.store.run import Run
from gnomon.trial.compare import compare

Scores = Mapping[str, float | None]


def made(root: Path, name: str, scores: Sequence[Scores], clusters: Sequence[str] = (), first: int = 0) -> Run:
    identity = {"cast": {"subject": name}}
    with Run.open("assay", name, identity, root=root) as run:
        rows = [
            Row(key=f"{first + i}", cluster=clusters[i] if clusters else f"{first + i}", evidence={"scores": s})
            for i, s in enumerate(scores)
        ]
        run.add(rows)
    return Run.find(str(run.folder))


def lines(report: Report) -> list[dict[str, Any]]:
    """The table's rows by column."""
    [table] = report.tables
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def right(values: Sequence[float]) -> list[Scores]:
    return [{"accuracy": float(v)} for v in values]


def test_single_answers_to_separate_items_take_mcnemars_exact_test(tmp_path: Path) -> None:
    first = [1] * 20 + [0] * 12 + [1] * 3
    second = [1] * 20 + [1] * 12 + [0] * 3

    report = compare(made(tmp_path, "a", right(first)), made(tmp_path, "b", right(second)))

    [estimate] = report.estimates
    assert (estimate.metric, estimate.value, estimate.n) == ("difference of accuracy", pytest.approx(9 / 35), 35)
    [line] = lines(report)
    assert line["p (Holm)"] == pytest.approx(binomtest(3, 15, 0.5).pvalue)


def test_continuous_scores_take_the_paired_t_test(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    base = rng.random(40)
    a, b = base + rng.normal(0, 0.05, 40), base + 0.03 + rng.normal(0, 0.05, 40)

    report = compare(made(tmp_path, "a", right(a)), made(tmp_path, "b", right(b)))

    oracle = ttest_rel(b, a)
    [line] = lines(report)
    interval = oracle.confidence_interval()
    assert line["p (Holm)"] == pytest.approx(oracle.pvalue)
    assert (report.estimates[0].low, report.estimates[0].high) == pytest.approx((interval.low, interval.high))
    assert line["SE paired"] < line["SE unpaired"]


def test_items_of_a_cluster_count_as_one(tmp_path: Path) -> None:
    """Copies of an item in its cluster must not make the difference look surer, nor let McNemar in."""
    first, second = [1, 0] * 10, [1, 1] * 10
    clusters = [f"c{i // 4}" for i in range(80)]
    once = compare(made(tmp_path, "a", right(first)), made(tmp_path, "b", right(second))).estimates[0]

    twice = [right(np.repeat(scores, 4)) for scores in (first, second)]
    copied = compare(made(tmp_path, "aa", twice[0], clusters), made(tmp_path, "bb", twice[1], clusters))

    again = copied.estimates[0]
    assert (again.value, again.low, again.high) == pytest.approx((once.value, once.low, once.high))
    assert (again.n, again.clusters) == (80, 20)
    assert lines(copied)[0]["p (Holm)"] > binomtest(0, 40, 0.5).pvalue * 1e3


def test_only_shared_items_count_and_the_others_are_told(tmp_path: Path) -> None:
    a = made(tmp_path, "a", right([1, 0, 1, 1, 0, 1]))
    b = made(tmp_path, "b", right([1, 1, 1, 1, 0, 0]), first=2)

    report = compare(a, b)

    assert report.estimates[0].n == 4
    assert report.notes == ["4 items are in one run only and left out"]


def test_scores_in_one_run_only_are_left_out_and_several_are_adjusted_together(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)

    def rows(shift: float) -> list[Scores]:
        return [{"x": rng.random() + shift, "y": rng.random() + shift, "z": rng.random()} for _ in range(30)]

    report = compare(made(tmp_path, "a", rows(0)), made(tmp_path, "b", [{**r, "own": 1.0} for r in rows(0.5)]))

    assert [e.metric for e in report.estimates] == ["difference of x", "difference of y", "difference of z"]
    alone = [ttest_rel_p(tmp_path, m) for m in "xyz"]
    adjusted = [line["p (Holm)"] for line in lines(report)]
    assert adjusted[0] >= alone[0] and max(adjusted) <= 1
    assert min(adjusted) == pytest.approx(3 * min(alone))


def ttest_rel_p(root: Path, metric: str) -> float:
    columns = []
    for name in "ab":
        [run] = [Run.find(str(f)) for f in root.iterdir() if f.name.startswith(f"assay-{name}-")]
        columns.append([row.evidence["scores"][metric] for row in run.rows()])
    return float(ttest_rel(columns[1], columns[0]).pvalue)


def test_runs_without_a_common_score_cannot_be_compared(tmp_path: Path) -> None:
    a, b = made(tmp_path, "a", [{"x": 1.0}, {"x": None}]), made(tmp_path, "b", [{"y": 1.0}, {"x": 1.0}])

    with pytest.raises(DataError, match="share no item with a common score; compare two runs of the same evaluation"):
        compare(made(tmp_path, "c", [{"x": 1.0}]), made(tmp_path, "d", [{"y": 1.0}]))
    with pytest.raises(DataError, match="share no item with a common score"):
        compare(a, b)


def test_the_ways_an_item_was_asked_are_compared_apart(tmp_path: Path) -> None:
    def asked(name: str, lettered: float, listed: float) -> Run:
        with Run.open("assay", name, {"cast": {"subject": name}}, root=tmp_path) as run:
            for i in range(20):
                for series, score in (("lettered", lettered), ("listed", listed)):
                    evidence = {"series": series, "scores": {"p": score + 0.01 * (i % 3)}}
                    run.add([Row(key=f"{series}/{i}", cluster=str(i), evidence=evidence)])
        return Run.find(str(run.folder))

    report = compare(asked("a", 0.2, 0.5), asked("b", 0.3, 0.4))

    assert report.estimate("difference of p", "lettered").value == pytest.approx(0.1)
    assert report.estimate("difference of p", "listed").value == pytest.approx(-0.1)
