"""Spreading independent work over processes; the caller's code is the same for one and for many.

    for row in spread(ask, items, where="processes:4"):
        ...

Results come as they are ready, so a result says itself what it belongs to. Draws must come from the item (its seed),
so the set of results is the same for any number of workers. A worker that dies (killed, out of memory) is replaced
and its items are given out again.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import pickle
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeAlias, TypeVar, cast

from gnomon.core.errors import GnomonError, RunError, UsageError

__all__ = ["parse_where", "spread"]

T = TypeVar("T")
R = TypeVar("R")

# Handing a chunk over costs about 0.1 ms, so chunks of 50 ms keep that below 1 % and the workers evenly busy.
_CHUNK_SECONDS = 0.05
_MOST_ITEMS = 1000
_MOST_DEATHS = 3
_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True)
class _Task:
    index: int
    item: Any
    deaths: int


@dataclass(frozen=True)
class _Answer:
    """One result, or the exception in its place with the worker's traceback."""

    index: int
    value: Any
    error: BaseException | None
    trace: str


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    tasks: list[_Task] = field(default_factory=list)
    chunk: int = 1


Tasks: TypeAlias = Iterator[_Task]


def spread(fn: Callable[[T], R], items: Iterable[T], *, where: str = "inline") -> Iterator[R]:
    """Yields `fn(item)` for every item, in the order in which results are ready.

    Closing the iterator, an exception in the loop around it, or Ctrl-C ends the workers.

    Args:
        fn: a module-level function or a picklable object; called in the worker.
        items: taken one by one as workers become free, so it may be long.
        where: "inline" or "processes:N".

    Raises:
        UsageError: `where` is neither.
        RunError: an item ended its worker three times.
        Exception: what `fn` raised, of its own type, with the item named.
    """
    workers = parse_where(where)
    if workers == 0:
        return _inline(fn, items)
    return _Pool(fn, items, workers).results()


def parse_where(where: str) -> int:
    """The number of worker processes that `where` names; 0 for inline.

    >>> parse_where("inline"), parse_where("processes:4")
    (0, 4)
    """
    kind, _, count = where.partition(":")
    if where == "inline":
        return 0
    if kind == "processes" and count.isdecimal() and int(count) > 0:
        return int(count)
    if kind == "ray":
        raise UsageError(f"{where!r} needs Ray, which this version does not speak", todo="use processes:N")
    raise UsageError(f"{where!r} is no place to work", todo="use inline or processes:N with N of at least 1")


def _inline(fn: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    for index, item in enumerate(items):
        try:
            value = fn(item)
        except Exception as error:
            raise _named(error, index, item) from error.__cause__
        yield value


class _Pool(Generic[T, R]):
    """Worker processes, each with one chunk at a time, and the items still to give out."""

    def __init__(self, fn: Callable[[T], R], items: Iterable[T], workers: int) -> None:
        self._fn = pickle.dumps(fn)
        self._fresh: Tasks = (_Task(index, item, 0) for index, item in enumerate(items))
        self._again: deque[_Task] = deque()
        self._wanted = workers
        self._workers: list[_Worker] = []

    def results(self) -> Iterator[R]:
        try:
            while True:
                self._give_out()
                busy = {worker.pipe: worker for worker in self._workers if worker.tasks}
                if not busy:
                    return
                for pipe in wait(list(busy)):
                    yield from self._collect(busy[cast(Connection, pipe)])
        finally:
            self._stop()

    def _give_out(self) -> None:
        """A chunk to every idle worker, and new workers while there are items for them."""
        for worker in [w for w in self._workers if not w.tasks]:
            if tasks := self._next(worker.chunk):
                self._send(worker, tasks)
        while len(self._workers) < self._wanted and (tasks := self._next(1)):
            self._start()
            self._send(self._workers[-1], tasks)

    def _next(self, count: int) -> list[_Task]:
        # An item whose worker died goes out alone, so that a second death has one suspect.
        if self._again:
            return [self._again.popleft()]
        return list(itertools.islice(self._fresh, count))

    def _send(self, worker: _Worker, tasks: list[_Task]) -> None:
        worker.tasks = tasks
        message = pickle.dumps([(t.index, t.item) for t in tasks])
        with contextlib.suppress(OSError):  # it died while idle: its pipe tells so, and the tasks go out again
            worker.pipe.send_bytes(message)

    def _collect(self, worker: _Worker) -> Iterator[R]:
        try:
            seconds, answers = worker.pipe.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return
        items = {t.index: t.item for t in worker.tasks}
        worker.tasks = []
        if seconds > 0:
            worker.chunk = max(1, min(int(_CHUNK_SECONDS / seconds * len(items)), 2 * len(items), _MOST_ITEMS))
        for answer in answers:
            if answer.error is not None:
                if answer.trace:
                    answer.error.add_note(answer.trace)
                raise _named(answer.error, answer.index, items[answer.index])
            yield answer.value

    def _bury(self, worker: _Worker) -> None:
        """Puts a dead worker's tasks back, unless one has cost too many workers."""
        self._dismiss(worker)
        for task in worker.tasks:
            if task.deaths + 1 >= _MOST_DEATHS:
                raise RunError(
                    f"the worker process ended {_MOST_DEATHS} times ({_how_it_ended(worker.process.exitcode)})",
                    where=_name(task.index, task.item),
                    todo="look for its own message above; out of memory ends as signal 9",
                )
            self._again.append(replace(task, deaths=task.deaths + 1))

    def _start(self) -> None:
        # Spawned, not forked: torch's threads and open databases do not survive a fork.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(self._fn, theirs), daemon=True)
        with _interrupts_held():
            process.start()
            self._workers.append(_Worker(process, ours))
        theirs.close()

    def _dismiss(self, worker: _Worker) -> None:
        worker.pipe.close()
        worker.process.join(_PATIENCE_SECONDS)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        # Last, so that an interrupt in here leaves the worker to `_stop`.
        self._workers.remove(worker)

    def _stop(self) -> None:
        for worker in self._workers:
            worker.process.terminate()
        for worker in list(self._workers):
            self._dismiss(worker)


def _work(pickled: bytes, pipe: Connection) -> None:
    """A worker's life: chunks in, answers out, until the pipe closes."""
    fn: Callable[[Any], Any] | None = None
    while True:
        try:
            message = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        started = time.perf_counter()
        answers: list[_Answer] = []
        for index, item in pickle.loads(message):
            try:
                fn = pickle.loads(pickled) if fn is None else fn
                answers.append(_Answer(index, fn(item), None, ""))
            except Exception as error:
                answers.append(_Answer(index, None, _portable(error), traceback.format_exc()))
                break
        message = _packed(time.perf_counter() - started, answers)
        try:
            pipe.send_bytes(message)
        except OSError:  # the parent left
            return


def _packed(seconds: float, answers: list[_Answer]) -> bytes:
    """The answers pickled; a result that cannot be becomes an error in its place."""
    try:
        return pickle.dumps((seconds, answers))
    except Exception:
        return pickle.dumps((seconds, [_picklable(answer) for answer in answers]))


def _picklable(answer: _Answer) -> _Answer:
    try:
        pickle.dumps(answer)
    except Exception as error:
        unfit = RunError(f"its result, a {type(answer.value).__name__}, cannot leave the worker process ({error})")
        return _Answer(answer.index, None, unfit, "")
    return answer


def _portable(error: Exception) -> Exception:
    """The error itself when it survives pickling, else its text as a RunError."""
    try:
        same = pickle.loads(pickle.dumps(error))
    except Exception:
        same = None
    return error if type(same) is type(error) else RunError(f"{type(error).__name__}: {error}")


def _named(error: BaseException, index: int, item: object) -> BaseException:
    """The error with its item: in `where` for errors a user reads, as a note for the others."""
    name = _name(index, item)
    if not isinstance(error, GnomonError):
        error.add_note(f"while working on {name}")
        return error
    where = f"{name}, {error.where}" if error.where else name
    return type(error)(error.what, where=where, todo=error.todo)


def _name(index: int, item: object) -> str:
    known = getattr(item, "id", None)
    return f"item {known!r}" if isinstance(known, str) else f"item {index} ({item!r:.60})"


def _how_it_ended(exitcode: int | None) -> str:
    return f"signal {-exitcode}" if exitcode is not None and exitcode < 0 else f"exit code {exitcode}"


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C waits until the block ends, and never reaches a child started inside, which its parent ends.

    The terminal signals the whole process group; a child keeps the mask it was born with.
    """
    resource_tracker.ensure_running()  # it would lift the mask when it starts later
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
