"""Spreading work: same results anywhere, dead workers replaced, errors that name the item, a clean stop."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gnomon.core.engine import parse_where, spread
from gnomon.core.errors import DataError, RunError, UsageError

PLACES = ["inline", "processes:1", "processes:2"]


@dataclass(frozen=True)
class Thing:
    id: str


@dataclass(frozen=True)
class DieOnce:
    """Dies at item 5, as often as `times` says; files count the deaths across processes."""

    folder: str
    times: int

    def __call__(self, x: int) -> int:
        if x == 5:
            deaths = len(os.listdir(self.folder))
            if deaths < self.times:
                (Path(self.folder) / str(deaths)).touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return -x


def square(x: int) -> int:
    return x * x


def own_pid(_: object) -> int:
    return os.getpid()


def refuse(x: object) -> object:
    if x == 3 or (isinstance(x, Thing) and x.id == "three"):
        raise DataError("no gold", where="gold", todo="mend it")
    return x


def crash(x: int) -> int:
    if x == 3:
        raise ZeroDivisionError("by three")
    return x


class Unpicklable(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


def raise_unpicklable(x: int) -> int:
    raise Unpicklable(x, x)


def return_unpicklable(x: int) -> object:
    return (lambda: x) if x == 3 else x


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("count", [0, 1, 500])
def test_every_item_is_done_once(where: str, count: int) -> None:
    assert sorted(spread(square, range(count), where=where)) == [i * i for i in range(count)]


def test_inline_keeps_the_order_and_the_process() -> None:
    assert list(spread(square, iter([3, 1, 2]))) == [9, 1, 4]
    assert set(spread(own_pid, range(3))) == {os.getpid()}


def test_processes_are_others_and_end_with_the_work() -> None:
    pids = set(spread(own_pid, range(200), where="processes:2"))
    assert 1 <= len(pids) <= 2 and os.getpid() not in pids
    assert multiprocessing.active_children() == []


def test_items_are_taken_as_workers_become_free() -> None:
    taken = []

    def items() -> Iterator[int]:
        for i in range(1_000_000):
            taken.append(i)
            yield i

    results = spread(square, items(), where="processes:2")
    next(results)
    assert len(taken) < 1000
    results.close()  # type: ignore[attr-defined]  # the iterator is a generator
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("times", [1, 2])
def test_a_dead_worker_is_replaced_and_its_items_done_again(tmp_path: Path, times: int) -> None:
    results = sorted(spread(DieOnce(str(tmp_path), times), range(20), where="processes:2"))
    assert results == sorted(-x for x in range(20))
    assert len(os.listdir(tmp_path)) == times


def test_an_item_that_keeps_ending_workers_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        list(spread(DieOnce(str(tmp_path), 99), range(20), where="processes:2"))
    assert "item 5 (5): the worker process ended 3 times (signal 9)" in str(caught.value)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("where", ["inline", "processes:1"])
def test_user_errors_name_the_item_in_one_line(where: str) -> None:
    with pytest.raises(DataError) as caught:
        list(spread(refuse, range(9), where=where))
    assert str(caught.value) == "item 3 (3), gold: no gold; mend it"
    with pytest.raises(DataError) as caught:
        list(spread(refuse, [Thing("one"), Thing("three")], where=where))
    assert caught.value.where == "item 'three', gold"


@pytest.mark.parametrize("where", ["inline", "processes:1"])
def test_other_errors_keep_their_type_and_note_the_item(where: str) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        list(spread(crash, range(9), where=where))
    assert "while working on item 3 (3)" in caught.value.__notes__
    if where != "inline":
        assert "in crash" in caught.value.__notes__[0]


def test_what_cannot_cross_processes_is_still_told() -> None:
    with pytest.raises(RunError, match=r"item 0 \(0\): Unpicklable: 0 and 0"):
        list(spread(raise_unpicklable, range(2), where="processes:1"))
    with pytest.raises(RunError, match=r"item 3 \(3\): its result, a function, cannot leave the worker process"):
        list(spread(return_unpicklable, range(9), where="processes:1"))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("ray:auto", "'ray:auto' needs Ray, which this version does not speak; use processes:N"),
        ("processes:0", "'processes:0' is no place to work; use inline or processes:N with N of at least 1"),
        ("processes", "'processes' is no place to work; use inline or processes:N with N of at least 1"),
        ("inline:2", "'inline:2' is no place to work; use inline or processes:N with N of at least 1"),
        ("", "'' is no place to work; use inline or processes:N with N of at least 1"),
    ],
)
def test_unknown_places_are_refused_at_once(where: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        spread(square, [1], where=where)
    assert str(caught.value) == message
    assert parse_where("processes:12") == 12


INTERRUPTED = """
import multiprocessing, time
from gnomon.core.engine import spread

def work(x):
    if x == 1:
        print("working", flush=True)
        time.sleep(60)
    return x

if __name__ == "__main__":
    try:
        for _ in spread(work, range(100), where="processes:2"):
            pass
    except KeyboardInterrupt:
        print("stopped", multiprocessing.active_children(), flush=True)
"""


def test_interrupt_stops_the_workers_without_noise(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "working\n"
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert (out, err, process.returncode) == ("stopped []\n", "", 0)
