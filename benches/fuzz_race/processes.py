"""Processes of the race: started in a group of their own, watched as trees, ended together."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["Tree", "free_port", "ready", "start"]

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_EVERY_SECONDS = 0.5


class Tree:
    """A process and its descendants.

    Attributes:
        cpu: processor seconds of the tree, those of children that have ended too, when last looked.
        peak: most resident bytes of the tree at one time, pages that processes share counted for each.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.cpu, self.peak = 0.0, 0
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look_often, daemon=True)
        self._watch.start()

    def looked(self) -> float:
        """Looks at the tree now; its processor seconds so far."""
        cpu, resident = 0.0, 0
        for pid in _family(self.process.pid):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:
                continue
            cpu += sum(map(int, fields[11:15])) / _TICK
            resident += int(fields[21]) * _PAGE
        self.cpu, self.peak = max(self.cpu, cpu), max(self.peak, resident)
        return self.cpu

    def wait(self, seconds: float) -> bool:
        """Whether it ended by itself within the time; else it is interrupted, and ended 10 s later.

        `cpu` is then what the system says of the whole tree; no other child may end meanwhile.
        """
        before = _children_seconds()
        in_time = True
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            in_time = False
            self._signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        self.end()
        self.cpu = _children_seconds() - before
        return in_time

    def end(self, grace: float = 5) -> None:
        """Ends what is left of the tree."""
        if self.process.poll() is None:
            self.looked()
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(grace)
        self._signal(signal.SIGKILL)
        self.process.wait()
        self._over.set()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def _look_often(self) -> None:
        while not self._over.wait(_EVERY_SECONDS):
            self.looked()


def start(
    command: Sequence[str], *, out: Path, cwd: Path, env: Mapping[str, str] | None = None, piped: bool = False
) -> Tree:
    """A tree; what it prints goes to `out`, or where `piped` its stdout can be read."""
    with out.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else file,
            stderr=file,
            text=True,
            cwd=cwd,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
        )
    return Tree(process)


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def ready(url: str, tree: Tree, seconds: float = 90) -> None:
    """Returns once the address answers anything; RuntimeError where it ends or never does."""
    import urllib.error
    import urllib.request

    until = time.monotonic() + seconds
    while time.monotonic() < until and tree.process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"{url} does not answer; see the service's output")


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _family(pid: int) -> list[int]:
    found, at = [pid], 0
    while at < len(found):
        try:
            for task in Path(f"/proc/{found[at]}/task").iterdir():
                found += map(int, (task / "children").read_text(encoding="utf-8").split())
        except OSError:
            pass
        at += 1
    return found
