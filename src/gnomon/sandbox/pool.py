"""Judges in processes of their own, as many as asked for; candidates in, verdicts out.

    with Judges(2) as judges:
        for key, verdict in judges.all([Job("a", check, source), ...]):
            ...

A timeout counts only if it happens again with nothing else running here.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from gnomon.sandbox.frames import pack, read_frame, write_all
from gnomon.sandbox.limits import Limits
from gnomon.sandbox.protection import Protection, protect
from gnomon.sandbox.verdict import Check, Verdict
from gnomon.sandbox.worker import TEST_SECONDS

__all__ = ["Job", "Judges"]

_BROKEN = (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGILL, -signal.SIGFPE)
_BOOT = """import sys, types
for name, below in (("gnomon", ""), ("gnomon.sandbox", "/sandbox"), ("gnomon.core", "/core")):
    path = {root!r} + below
    module = types.ModuleType(name)
    module.__path__ = [path]
    sys.modules[name] = module
from gnomon.sandbox.worker import main
main()
"""


class Job(NamedTuple):
    """A candidate to judge; `key` is given back with its verdict."""

    key: str
    check: Check
    source: str


class Judges:
    """A pool of judges; a context manager, which ends them all.

    Args:
        workers: processes.
        limits: what each candidate may use.
        protection: what holds candidates; found by trying where it is None.
    """

    def __init__(self, workers: int = 1, limits: Limits | None = None, protection: Protection | None = None) -> None:
        self.limits = limits or Limits()
        self.protection = protection or protect()
        self._all = [_Worker(self.protection, self.limits) for _ in range(workers)]
        self._free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for worker in self._all:
            self._free.put(worker)
        self._alone = threading.Lock()

    def verdict(self, check: Check, source: str) -> Verdict:
        """What becomes of one candidate; threads may call this side by side."""
        worker = self._free.get()
        try:
            found = worker.verdict(check, source)
        finally:
            self._free.put(worker)
        return self._again(check, source) if found.cause == "timeout" else found

    def all(self, jobs: Iterable[Job]) -> Iterator[tuple[str, Verdict]]:
        """Each job's key and verdict as they come, timeouts last."""
        line = iter(jobs)
        late: list[Job] = []
        busy: dict[int, tuple[_Worker, Job]] = {}
        poll = select.poll()
        for worker in self._all:
            self._give(worker, line, busy, poll)
        while busy:
            for fd, _ in poll.poll():
                worker, job = busy.pop(fd)
                poll.unregister(fd)
                found = worker.collect(job.check, job.source)
                self._give(worker, line, busy, poll)
                if found.cause == "timeout":
                    late.append(job)
                else:
                    yield job.key, found
        for job in late:
            yield job.key, self._again(job.check, job.source)

    def close(self) -> None:
        """Ends the judges and what they hold."""
        for worker in self._all:
            worker.close()

    def __enter__(self) -> Judges:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _give(
        self, worker: _Worker, line: Iterator[Job], busy: dict[int, tuple[_Worker, Job]], poll: select.poll
    ) -> None:
        for job in line:
            worker.send(job.check, job.source)
            busy[worker.fd] = worker, job
            poll.register(worker.fd, select.POLLIN)
            return

    def _again(self, check: Check, source: str) -> Verdict:
        """Judges once more while every other judge of this pool waits."""
        with self._alone:
            held = [self._free.get() for _ in self._all]
            try:
                return held[0].verdict(check, source)
            finally:
                for worker in held:
                    self._free.put(worker)


class _Worker:
    """One judge's process."""

    def __init__(self, protection: Protection, limits: Limits) -> None:
        self._protection, self._limits = protection, limits
        # Tests are sent once; their numbers are known to this process.
        self._checks: dict[Check, int] = {}
        self._process = self._started()

    @property
    def fd(self) -> int:
        """The descriptor that verdicts come from."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def verdict(self, check: Check, source: str) -> Verdict:
        """Judges one candidate."""
        self.send(check, source)
        return self.collect(check, source)

    def send(self, check: Check, source: str) -> None:
        """Hands a candidate over; `collect` has the verdict."""
        number = self._checks.get(check)
        order: dict[str, object] = {"source": source, "number": number}
        if number is None:
            order["number"] = self._checks[check] = len(self._checks)
            order["check"] = asdict(check)
        with contextlib.suppress(BrokenPipeError):  # `collect` finds out
            self._write(json.dumps(order).encode())

    def collect(self, check: Check, source: str, *, tries: int = 2) -> Verdict:
        """The verdict on what was sent; a judge that ended is replaced, and asked once more unless the test hung."""
        try:
            return Verdict(**json.loads(read_frame(self.fd)))
        except (EOFError, OSError):
            ended = self._process.wait()
            self.close()
            self._process = self._started()
        if ended == -signal.SIGXCPU:
            detail = f"the test was not done with its answers after {TEST_SECONDS} s"
            return Verdict(cause="unreadable answer", detail=detail)
        if tries > 1:
            self.send(check, source)
            return self.collect(check, source, tries=tries - 1)
        if ended in _BROKEN:
            # twice for the same candidate: its source broke the compiler, and it is not left out of what is counted
            return Verdict(cause="crash", detail=f"the judge itself was ended by {signal.Signals(-ended).name}")
        return Verdict(cause="infrastructure", detail=f"the judge's process ended with {ended}")

    def close(self) -> None:
        """Ends the process; its zygote and candidate end with it."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        root = str(Path(__file__).resolve().parent.parent)
        self._process = subprocess.Popen(
            # As -I but for the seed of hashes: it orders the constants of the candidates that are compiled here.
            [sys.executable, "-P", "-s", "-S", "-c", _BOOT.format(root=root)],
            env={k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | {"PYTHONHASHSEED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        self._checks.clear()
        layers = [name for name in self._protection.layers if name != "bubblewrap"]
        setup = {"layers": layers, "wrapper": self._protection.wrapper, "limits": asdict(self._limits)}
        self._write(json.dumps({**setup, "path": [p for p in sys.path if p]}).encode())
        return self._process

    def _write(self, payload: bytes) -> None:
        assert self._process.stdin is not None
        write_all(self._process.stdin.fileno(), pack(payload))
