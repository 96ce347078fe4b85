"""Studies of trainings: each training once, by any number of workers, again after a kill; intervals over seeds."""

from __future__ import annotations

import csv
import io
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import t

from gnomon.cli import main
from gnomon.core.errors import UsageError
from gnomon.core.progress import progress, unseen
from gnomon.store.run import Run, list_runs
from gnomon.study._trained import over_seeds, train_all
from tests.unit._fakes import install


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The fake training method's module; `trained` counts what it really trained."""
    install(tmp_path, monkeypatch)
    module = import_module("gnomon_fake_fit")
    module.trained = []  # type: ignore[attr-defined]  # the test's own
    train = module.train

    def counted(cfg: Any, run: Run) -> Path:
        module.trained.append((cfg.steps, cfg.seed))
        return train(cfg, run)  # type: ignore[no-any-return]  # a fake

    monkeypatch.setattr(module, "train", counted)
    return module


def test_each_training_is_done_once_and_results_come_in_order(nothing: Any, tmp_path: Path) -> None:
    configs = [nothing.Nothing(steps=s) for s in (3, 2, 3, 5)]
    first = train_all(configs, root=tmp_path / "runs")
    assert nothing.trained == [(3, 0), (2, 0), (5, 0)]
    assert [done.config.steps for done in first] == [3, 2, 3, 5]
    assert [done.report.estimate("loss").value for done in first] == [1 / 3, 1 / 2, 1 / 3, 1 / 5]
    assert first[0].run == first[2].run and first[0].model == f"run:{first[0].run}"

    again = train_all([*configs, nothing.Nothing(steps=7)], root=tmp_path / "runs")
    assert nothing.trained[3:] == [(7, 0)]
    assert [done.run for done in again[:4]] == [done.run for done in first]


def test_a_killed_study_goes_on_where_it_stopped(nothing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs = [nothing.Nothing(steps=s) for s in (2, 3, 4)]
    train = nothing.train

    def killed(cfg: Any, run: Run) -> Path:
        if cfg.steps == 3:
            raise KeyboardInterrupt
        return train(cfg, run)  # type: ignore[no-any-return]  # a fake

    with monkeypatch.context() as patch:
        patch.setattr(nothing, "train", killed)
        with pytest.raises(KeyboardInterrupt):
            train_all(configs, root=tmp_path / "runs")
    assert len(train_all(configs, root=tmp_path / "runs")) == 3
    assert nothing.trained == [(2, 0), (3, 0), (4, 0)]


def test_worker_processes_leave_the_same_runs(nothing: Any, tmp_path: Path) -> None:
    configs = [nothing.Nothing(steps=s) for s in (2, 3, 4)]
    alone = train_all(configs, root=tmp_path / "alone")
    spread = train_all(configs, root=tmp_path / "spread", workers=2)
    assert [(d.run, d.report.estimates) for d in alone] == [(d.run, d.report.estimates) for d in spread]
    with pytest.raises(UsageError, match="--workers is 0"):
        train_all(configs, root=tmp_path, workers=0)


def test_a_trainings_model_is_found_in_the_folder_of_runs(nothing: Any, tmp_path: Path, monkeypatch: Any) -> None:
    seen = []
    monkeypatch.setattr(
        nothing, "identity", lambda cfg: seen.append(Run.place("a", "b", {}).parent) or {}, raising=False
    )
    monkeypatch.setenv("GNOMON_RUNS", "elsewhere")
    train_all([nothing.Nothing()], root=tmp_path / "runs")
    assert set(seen) == {tmp_path / "runs"}
    assert Run.place("a", "b", {}).parent == Path("elsewhere")


def test_the_interval_over_seeds_is_students(nothing: Any) -> None:
    values = [0.70, 0.74, 0.81, 0.77]
    found = over_seeds(values)
    mean, error = sum(values) / 4, (sum((v - sum(values) / 4) ** 2 for v in values) / 3 / 4) ** 0.5
    assert found.value == pytest.approx(mean)
    assert (found.low, found.high) == pytest.approx(t.interval(0.95, 3, mean, error))
    assert (found.n, found.clusters) == (4, 4)
    one = over_seeds([0.7])
    assert (one.value, one.low, one.high, one.n) == (0.7, None, None, 1)
    assert "--seeds" in one.reason
    assert over_seeds([]).value is None
    assert "no width" in over_seeds([0.7, 0.7]).reason


def test_a_study_of_trainings_is_one_word(nothing: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "steps", "--seeds", "3", "--json", "a.json"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("Steps\nIt says little.")
    assert len(nothing.trained) == 6
    [own] = [m for m in list_runs() if m.verb == "study"]
    assert f"page: {own.folder / 'report.html'}" in err
    told = json.loads(Path("a.json").read_text())
    assert told["name"] == "steps" and told["estimates"][0]["n"] == 6
    assert "gnomon study steps --seeds 3" in (own.folder / "report.html").read_text()
    rows = list(csv.reader(io.StringIO((own.folder / "loss-by-steps.csv").read_text())))
    assert rows[0] == ["steps", "loss"] and len(rows) == 7
    kept = Run.find(own.id)
    assert {row.evidence["config"]["steps"] for row in kept.rows()} == {2, 3}
    assert {row.evidence["run"] for row in kept.rows()} == {m.id for m in list_runs() if m.verb == "train"}
    kept.close()

    assert main(["study", "steps", "--seeds", "3", "--json", "b.json"]) == 0
    assert len(nothing.trained) == 6
    assert json.loads(Path("b.json").read_text())["estimates"] == told["estimates"]


def test_a_study_of_trainings_from_python(nothing: Any) -> None:
    import gnomon

    report = gnomon.study("steps", steps=[4], seeds=2)
    assert report.estimate("loss").value == 1 / 4
    assert nothing.trained == [(4, 0), (4, 1)]


def test_a_study_of_trainings_asks_no_evaluation(nothing: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "steps", "coin"]) == 2
    assert "steps trains models and asks no coin; leave coin out" in capsys.readouterr().err


def test_what_is_part_of_a_larger_count_is_not_shown() -> None:
    shown = io.StringIO()
    times = iter(range(0, 1000, 100))
    with unseen(), progress(2, "inner", stream=shown, clock=lambda: next(times)) as bar:
        bar.advance()
    assert not shown.getvalue()
    with progress(2, "outer", stream=shown, clock=lambda: next(times)) as bar:
        bar.advance()
    assert "outer" in shown.getvalue()
    assert sys.stderr is not shown
