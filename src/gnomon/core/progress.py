"""Progress of long work on stderr: rate, time left and the estimate so far; nothing for work under two seconds.

    with progress(total=len(items), label="calibration") as bar:
        bar.advance(1, estimate="accuracy 0.71 ± 0.03")

A terminal gets a bar that moves; a log file or pipe gets a plain line every ten seconds. Inside `unseen`, as in a
worker process or within a larger count, nothing is shown.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Bar", "progress", "unseen"]

_UNSEEN: ContextVar[bool] = ContextVar("unseen", default=False)

_QUIET_SECONDS = 2.0
_LINE_SECONDS = 10.0


class Bar(Protocol):
    """What the caller of `progress` holds."""

    def advance(self, n: int = 1, estimate: str = "") -> None:
        """Counts `n` more items done; `estimate`, when given, replaces the text shown."""
        ...


@contextlib.contextmanager
def progress(
    total: int | None,
    label: str,
    *,
    done: int = 0,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Bar]:
    """Shows how far the block has come.

    Args:
        total: items in all, those done before included; None when nobody knows.
        label: what is being done, in a word or two.
        done: items that an earlier process did; not part of the rate.
        stream: where to write; stderr by default.
        clock: seconds that only grow, for the plain lines.
    """
    stream = stream or sys.stderr
    if _UNSEEN.get():
        yield _Nothing()
        return
    bar = _Rich(total, label, done, stream) if stream.isatty() else _Lines(total, label, done, stream, clock)
    try:
        yield bar
    finally:
        bar.close()


@contextlib.contextmanager
def unseen() -> Iterator[None]:
    """Inside, `progress` shows nothing: what is done is part of a count that is shown elsewhere."""
    token = _UNSEEN.set(True)
    try:
        yield
    finally:
        _UNSEEN.reset(token)


class _Nothing:
    """Counts for nobody."""

    def advance(self, n: int = 1, estimate: str = "") -> None:
        return


class _Lines:
    """Plain lines for logs."""

    def __init__(self, total: int | None, label: str, done: int, stream: TextIO, clock: Callable[[], float]) -> None:
        self._total, self._label, self._stream, self._clock = total, label, stream, clock
        self._before = self._done = done
        self._estimate = ""
        self._started = clock()
        self._next = self._started + _QUIET_SECONDS
        self._shown: int | None = None

    def advance(self, n: int = 1, estimate: str = "") -> None:
        self._done += n
        self._estimate = estimate or self._estimate
        if self._clock() >= self._next:
            self._write()

    def close(self) -> None:
        if self._shown is not None and self._shown != self._done:
            self._write()

    def _write(self) -> None:
        now = self._clock()
        self._shown, self._next = self._done, now + _LINE_SECONDS
        rate = (self._done - self._before) / max(now - self._started, 1e-9)
        count = f"{self._done}" if self._total is None else f"{self._done}/{self._total}"
        parts = [f"{self._label}: {count}", _rate(rate)]
        if self._total is not None and self._done < self._total and rate > 0:
            parts.append(f"{_duration((self._total - self._done) / rate)} left")
        if self._estimate:
            parts.append(self._estimate)
        print(", ".join(parts), file=self._stream, flush=True)


class _Rich:
    """A moving bar for terminals."""

    def __init__(self, total: int | None, label: str, done: int, stream: TextIO) -> None:
        self._total, self._label, self._stream = total, label, stream
        self._before = self._done = done
        self._estimate = ""
        self._started = time.monotonic()
        self._bar: Progress | None = None
        self._closed = False
        self._lock = threading.Lock()
        # A timer rather than a look at the clock: the first item may take a minute and the bar must be there.
        self._timer = threading.Timer(_QUIET_SECONDS, self._show)
        self._timer.daemon = True
        self._timer.start()

    def advance(self, n: int = 1, estimate: str = "") -> None:
        with self._lock:
            self._done += n
            self._estimate = estimate or self._estimate
            if self._bar:
                rate, estimate = self._rate(), self._estimate
                self._bar.update(self._bar.task_ids[0], completed=self._done, rate=rate, estimate=estimate)

    def close(self) -> None:
        self._timer.cancel()
        with self._lock:
            self._closed = True
            if self._bar:
                self._bar.stop()

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        texts = [TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in ("rate", "estimate")]
        columns = [
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            *texts,
        ]
        with self._lock:
            if self._closed:
                return
            self._bar = Progress(*columns, console=Console(file=self._stream))
            rate, estimate = self._rate(), self._estimate
            self._bar.add_task(self._label, total=self._total, completed=self._done, rate=rate, estimate=estimate)
            self._bar.start()

    def _rate(self) -> str:
        return _rate((self._done - self._before) / max(time.monotonic() - self._started, 1e-9))


def _rate(per_second: float) -> str:
    """`12.3/s`, or `4.1/min` for slow work."""
    return f"{per_second:.3g}/s" if per_second >= 1 or per_second == 0 else f"{per_second * 60:.3g}/min"


def _duration(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
