"""Runs: identity, rows, metrics, labels, states, finding, and every refusal in the user's words."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.core.errors import DataError, RunError, Stopped, UsageError
from gnomon.core.record import Row
from gnomon.store import files
from gnomon.store.manifest import read_manifest
from gnomon.store.run import Counts, Label, Metric, Run, list_runs, readable
from gnomon.store.schema import MIGRATIONS
from tests.pace import within


@dataclass(frozen=True)
class Config:
    n: int = 3


IDENTITY = {"config": Config(), "models": {"subject": "brook@1"}}


def row(key: str, error: str | None = None, **evidence: Any) -> Row:
    return Row(key=key, cluster=f"c{key}", evidence=evidence, error=error)


def opened(root: Path, **more: Any) -> Run:
    return Run.open("assay", "try-out", IDENTITY, root=root, **more)


def test_a_run_is_a_folder_named_by_its_identity(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        assert run.folder == tmp_path / f"assay-try-out-{run.id}"
        assert len(run.id) == 8 and run.status == "running" and run.lock is not None
    names = {path.name for path in run.folder.iterdir()}
    assert names == {"run.json", "run.db", "run.lock"}
    held = json.loads((run.folder / "run.json").read_text())
    assert held["schema"] == 1 and held["identity"]["config"] == {"n": 3} and held["status"] == "done"
    assert held["versions"]["gnomon"] and held["started"] <= held["finished"]


def test_only_what_decides_the_numbers_decides_the_folder(tmp_path: Path) -> None:
    ids = set()
    for identity in (IDENTITY, {**IDENTITY, "config": Config(n=4)}, {**IDENTITY, "models": {"subject": "brook@2"}}):
        with Run.open("assay", "try-out", identity, root=tmp_path) as run:
            run.note(workers=len(ids))
            ids.add(run.id)
    with Run.open("train", "try-out", IDENTITY, root=tmp_path) as run:
        ids.add(run.id)
    assert len(ids) == 4
    with Run.open("assay", "try-out", dict(reversed(IDENTITY.items())), root=tmp_path) as run:
        assert run.id in ids and run.manifest.notes == {"workers": 0}


def test_the_root_comes_from_the_argument_the_environment_or_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GNOMON_RUNS", raising=False)
    with Run.open("a", "b", {}) as run:
        assert run.folder.parent == Path("runs")
    monkeypatch.setenv("GNOMON_RUNS", str(tmp_path / "there"))
    with Run.open("a", "b", {}) as run:
        assert run.folder.parent == tmp_path / "there"
    with Run.open("a", "b", {}, root=tmp_path / "given") as run:
        assert run.folder.parent == tmp_path / "given"


def test_rows_come_back_in_item_order_however_they_were_added(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        run.add([row("z", x=1)], [0])
        run.add([row("b"), row("a")], [1, 1])
        run.add([row("c", p=(0.25, 0.75), t="é\udc80", none=None)], [-1])
        assert [r.key for r in run.rows()] == ["c", "z", "a", "b"]
        assert run.rows()[0].evidence == {"p": [0.25, 0.75], "t": "é\udc80", "none": None}
        assert run.rows()[1] == row("z", x=1)


def test_rows_in_error_are_not_done_and_are_replaced(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        run.add([row("a"), row("b", error="timed out \udc80"), row("c", error="x")])
        assert run.keys() == {"a"} and run.counts() == Counts(rows=3, errors=2)
        assert [r.error for r in run.rows()] == [None, "timed out \\udc80", "x"]
        run.add([row("b", x=1)])
        assert run.keys() == {"a", "b"} and run.counts() == Counts(rows=3, errors=1)


@pytest.mark.parametrize("bad", [math.nan, math.inf, {1, 2, object()}, b"x", {"deep": [lambda: 0]}])
def test_evidence_that_is_not_json_names_its_row_and_writes_nothing(tmp_path: Path, bad: object) -> None:
    with opened(tmp_path) as run:
        with pytest.raises(DataError, match=r"^row 'b': evidence is not JSON \("):
            run.add([row("a"), row("b", x=bad)])
        assert run.rows() == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run.open("law", "rows", {}, root=tmp_path_factory.mktemp("runs"))


@settings(deadline=None, max_examples=50)
@given(st.text(), st.text(), st.dictionaries(st.text(), json_values), st.none() | st.text())
def test_a_row_comes_back_as_it_went_in(
    shared: Run, key: str, cluster: str, evidence: dict[str, Any], error: str | None
) -> None:
    given_row = Row(key=key, cluster=cluster, evidence=evidence, error=error)
    shared.add([given_row])
    assert given_row in shared.rows()


def test_metrics_are_by_step_and_replaced_when_a_step_is_done_again(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        run.add_metrics(10, {"loss": 2.0, "accuracy": 0.5})
        run.add_metrics(2, {"loss": math.inf})
        run.add_metrics(10, {"loss": 1.5})
        assert run.metrics() == [Metric(2, "loss", math.inf), Metric(10, "accuracy", 0.5), Metric(10, "loss", 1.5)]
        run.add_metrics(11, {"loss": math.nan})
        assert math.isnan(run.metrics()[-1].value)


def test_labels_are_one_a_rater(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        run.add_label("a", "harm", 3, rater="ann")
        run.add_label("a", "harm", {"n": 1}, rater="bob")
        run.add_label("a", "harm", 4, rater="ann")
        assert [label[:4] for label in run.labels()] == [("a", "ann", "harm", 4), ("a", "bob", "harm", {"n": 1})]
        assert isinstance(run.labels()[0], Label) and run.labels()[0].at.endswith("+00:00")


@pytest.mark.parametrize(
    ("raised", "status", "error"),
    [
        (None, "done", ""),
        (Stopped("by the user"), "stopped", ""),
        (KeyboardInterrupt(), "stopped", ""),
        (ValueError("two\nlines \udc80"), "failed", "ValueError: two lines \\udc80"),
    ],
)
def test_a_block_ends_its_run(tmp_path: Path, raised: BaseException | None, status: str, error: str) -> None:
    with contextlib.suppress(type(raised)), opened(tmp_path) as run:
        run.cache.put("k", 1)
        if raised:
            raise raised
    found = read_manifest(run.folder)
    assert (found.status, found.error) == (status, error) and found.finished
    with opened(tmp_path) as again:
        assert again.status == "running" and again.manifest.error == "" and again.cache.get("k") == 1
        assert again.manifest.started == found.started


def test_finish_before_the_end_of_the_block_stands(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        run.cache.put("k", 1)
        run.finish("stopped")
        with Run.find(run.id, root=tmp_path) as reader:
            assert reader.status == "stopped" and reader.cache.get("k") == 1
    assert read_manifest(run.folder).status == "stopped"


def test_fresh_empties_the_folder(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        run.add([row("a")])
        (run.folder / "checkpoint").mkdir()
        (run.folder / "checkpoint" / "w").touch()
    with opened(tmp_path, fresh=True) as run:
        assert run.rows() == [] and not (run.folder / "checkpoint").exists()
        with pytest.raises(RunError, match="is working on this run"):
            opened(tmp_path, fresh=True)


def test_two_writers_are_refused_and_the_first_is_named(tmp_path: Path) -> None:
    with opened(tmp_path) as run, pytest.raises(RunError) as caught:
        opened(tmp_path)
    assert str(caught.value) == (
        f"{run.folder}: process {os.getpid()} is working on this run; "
        "wait for it, or stop it and give the same command again"
    )
    opened(tmp_path).close()


def test_a_run_is_read_while_it_is_written(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        run.add([row("a")])
        reader = Run.find(run.id, root=tmp_path)
        run.add([row("b")])
        assert [r.key for r in reader.rows()] == ["a", "b"] and reader.status == "running" and reader.lock is None
        for write in (
            lambda: reader.add([row("c")]),
            lambda: reader.note(x=1),
            lambda: reader.finish("done"),
            lambda: reader.add_metrics(1, {"x": 1}),
        ):
            with pytest.raises(RunError, match="this run was opened for reading"):
                write()
        reader.close()
        assert run.counts().rows == 2


def test_a_folder_one_may_only_read_is_read_and_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as run:
        run.add([row("a")])
    # Root may write anywhere, so the answer of the system is planted.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with Run.find(run.id, root=tmp_path) as reader:
        assert reader.keys() == {"a"}
        assert {path.name for path in run.folder.iterdir()} == {"run.json", "run.db", "run.lock"}


def test_leaving_a_reader_changes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        run.finish("stopped")
    before = (run.folder / "run.json").read_text()
    with Run.find(run.id, root=tmp_path) as reader:
        assert reader.keys() == set()
    assert (run.folder / "run.json").read_text() == before


def test_runs_are_found_by_id_its_start_folder_or_path(tmp_path: Path) -> None:
    ids = []
    for n in range(17):
        with Run.open("a", "b", {"n": n}, root=tmp_path) as run:
            ids.append(run.id)
    last = ids[-1]
    for name in (last, last[:7], f"a-b-{last}", str(tmp_path / f"a-b-{last}")):
        with Run.find(name, root=tmp_path) as run:
            assert run.id == last
    twice = next(i[0] for i in ids if sum(j[0] == i[0] for j in ids) > 1)
    with pytest.raises(UsageError, match=rf"runs begin with '{twice}': a-b-.*; give more digits"):
        Run.find(twice, root=tmp_path)
    with pytest.raises(UsageError, match=r"no run is called 'zzzz'; `gnomon runs` lists them"):
        Run.find("zzzz", root=tmp_path)
    with pytest.raises(UsageError, match=r"no run is called ''"):
        Run.find("", root=tmp_path)
    with pytest.raises(UsageError, match=r"no run is called '7f3a'; there are no runs yet"):
        Run.find("7f3a", root=tmp_path / "none")


def test_the_list_has_the_latest_first_and_drops_nothing(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "none") == []
    with Run.open("a", "first", {}, root=tmp_path):
        pass
    with pytest.raises(ValueError, match="x"), Run.open("a", "second", {}, root=tmp_path):
        raise ValueError("x")
    (tmp_path / "a-third-00000000").mkdir()
    (tmp_path / "a-third-00000000" / "run.json").write_text("{")
    with Run.open("a", "fourth", {}, root=tmp_path):
        found = [(m.name, m.status) for m in list_runs(tmp_path)]
    assert found == [
        ("fourth", "running"),
        ("second", "failed"),
        ("first", "done"),
        ("third-00000000", "unreadable"),
    ]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"id": 1}', "\x00", ""])
def test_a_damaged_run_json_is_named_and_fresh_mends_it(tmp_path: Path, text: str) -> None:
    with opened(tmp_path) as run:
        run.add([row("a")])
    (run.folder / "run.json").write_text(text)
    for look in (lambda: opened(tmp_path), lambda: Run.find(run.id, root=tmp_path)):
        with pytest.raises(RunError) as caught:
            look()
        assert str(caught.value).startswith(f"{run.folder / 'run.json'}: damaged (")
        assert str(caught.value).endswith("; restore it, or start over with --fresh")
    with opened(tmp_path, fresh=True) as run:
        assert run.rows() == []


def test_an_edited_identity_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        pass
    path = run.folder / "run.json"
    path.write_text(path.read_text().replace("brook@1", "brook@9"))
    with pytest.raises(RunError, match=r"run.json was edited: its identity is another; use --fresh"):
        opened(tmp_path)


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        run.add([row("a")])
    (run.folder / "run.db").write_bytes(b"not a database at all" * 500)
    for look in (lambda: opened(tmp_path), lambda: Run.find(run.id, root=tmp_path)):
        with pytest.raises(RunError, match=r"run.db is damaged \(file is not a database\); restore it, or start over"):
            look()
    (run.folder / "run.db").unlink()
    with pytest.raises(RunError, match=r"the run has no run.db; give its command again"):
        Run.find(run.id, root=tmp_path)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        pass
    db = sqlite3.connect(run.folder / "run.db")
    db.execute("INSERT INTO migrations VALUES (99, 'later')")
    db.commit()
    db.close()
    with pytest.raises(RunError, match=rf"its schema is number 99 and this gnomon knows {len(MIGRATIONS)}; upgrade"):
        opened(tmp_path)


def test_names_that_are_no_folder_are_refused(tmp_path: Path) -> None:
    for verb, name in (("a", "../x"), ("", "x"), ("a b", "x"), ("a", "http://x")):
        with pytest.raises(UsageError, match="cannot name a run"):
            Run.open(verb, name, {}, root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(RunError, match=r"cannot open the run \(.*\); GNOMON_RUNS names another folder"):
        opened(tmp_path / "runs")


def test_threads_may_write_one_run(tmp_path: Path) -> None:
    with opened(tmp_path) as run:

        def write(name: str) -> None:
            for i in range(50):
                run.cache.put(f"{name}{i}", i)
                run.add([row(f"{name}{i}")])

        threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert run.counts().rows == 200 and len(run.cache) == 200


@pytest.mark.alone
def test_ten_thousand_rows_are_written_and_resumed_in_no_time(tmp_path: Path) -> None:
    rows = [row(f"{n:05}", p=[0.125, 0.25, 0.5, 0.125], text="x" * 80, correct=n % 3 == 0) for n in range(10_000)]
    with within(0.5), opened(tmp_path) as run:
        for start in range(0, len(rows), 100):
            run.add(rows[start : start + 100], range(start, start + 100))
    with within(0.3), opened(tmp_path) as run:
        assert len(run.keys()) == len(run.rows()) == 10_000


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.json"
    files.replace_file(path, "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError) as caught:
        files.replace_file(path, "new")
    assert str(caught.value) == (
        f"{path}: cannot write (No space left on device); the file before it stands; "
        "free space and give the same command again: it resumes"
    )
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["report.json"]


def test_rows_that_lack_what_is_read_are_said_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"its rows have no 'opened'.*--fresh"), readable(tmp_path):
        row("a", closed=1).evidence["opened"]
