"""The call cache: what was put is got, within a process and after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gnomon.core.errors import RunError
from gnomon.core.record import Row
from gnomon.store.run import Run


def reopened(run: Run) -> Run:
    return Run.find(str(run.folder))


def test_values_come_back_before_and_after_they_are_committed(tmp_path: Path) -> None:
    values: dict[str, Any] = {"a": [1, 2.5, None], "b": "é\udc80", "c": {"p": [0.1]}, "d": False}
    with Run.open("a", "b", {}, root=tmp_path) as run:
        for key, value in values.items():
            run.cache.put(key, value)
        assert {key: run.cache.get(key) for key in values} == values
        assert run.cache.get("e") is None
        assert len(run.cache) == 4
        run.cache.put("a", 2)
        assert run.cache.get("a") == 2 and len(run.cache) == 4
    assert {key: reopened(run).cache.get(key) for key in values} == {**values, "a": 2}


def test_calls_are_committed_with_the_next_rows(tmp_path: Path) -> None:
    with Run.open("a", "b", {}, root=tmp_path) as run:
        run.cache.put("k", 1)
        assert reopened(run).cache.get("k") is None
        run.add([Row(key="a", cluster="a", evidence={})])
        assert reopened(run).cache.get("k") == 1


def test_calls_are_committed_when_many_wait(tmp_path: Path) -> None:
    with Run.open("a", "b", {}, root=tmp_path) as run:
        for n in range(500):
            run.cache.put(str(n), n)
        assert reopened(run).cache.get("499") == 499


def test_a_failed_commit_keeps_the_calls(tmp_path: Path) -> None:
    with Run.open("a", "b", {}, root=tmp_path) as run:
        run.cache.put("k", 1)
        with pytest.raises(ZeroDivisionError), run.cache.transaction():
            raise ZeroDivisionError
        assert run.cache.get("k") == 1
        run.cache.flush()
        assert reopened(run).cache.get("k") == 1


def test_a_reader_may_not_keep_calls(tmp_path: Path) -> None:
    with Run.open("a", "b", {}, root=tmp_path) as run:
        pass
    reader = reopened(run)
    reader.cache.put("k", 1)
    with pytest.raises(RunError, match="opened for reading"):
        reader.cache.flush()


def test_what_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    with Run.open("a", "b", {}, root=tmp_path) as run, pytest.raises(TypeError):
        run.cache.put("k", object())
