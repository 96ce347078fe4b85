"""A small warm interpreter that forks a fresh process for each candidate, confines it, and ends it.

It is a program of its own, started without site packages, and holds no tests, references or candidates: the source
goes from the judge straight to the forked process. One candidate at a time.
"""

from __future__ import annotations

import array
import contextlib
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from typing import Any

from gnomon.sandbox import child, kernel, landlock, seccomp

__all__ = ["MODULES", "READABLE", "main"]

# What solutions import most; anything else of the standard library is imported when it is asked for.
MODULES = (
    *("typing", "math", "re", "collections", "itertools", "functools", "heapq", "bisect", "string", "random"),
    *("copy", "operator", "datetime", "fractions", "decimal", "statistics", "hashlib", "json"),
)

_END_SECONDS = 0.5
_GET_NO_NEW_PRIVS = 39
_TYPICAL = '''
import math
from typing import Dict, List, Optional, Tuple

def f(numbers: List[float], word: str = "a", *, limit: Optional[int] = None) -> Tuple[Dict[str, int], List[float]]:
    """What a solution looks like.

    >>> f([1.0])
    """
    counts: Dict[str, int] = {}
    for place, letter in enumerate(word.lower().split()):
        counts[letter] = counts.get(letter, 0) + place
    found = sorted((math.floor(x) + 1 for x in numbers if x > 0), key=lambda x: -x)
    while found and limit is not None and len(found) > limit:
        found.pop()
    return counts, [float(x) for x in found]
'''
_HIDDEN = frozenset({"site-packages", "dist-packages", "test", "idlelib", "ensurepip"})
_LIBRARIES = (
    *("/lib64", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu"),
    *("/usr/lib/aarch64-linux-gnu", "/etc/ld.so.cache", "/usr/share/zoneinfo", "/dev/null", "/dev/urandom"),
)


def _standard_library() -> list[str]:
    """The standard library without installed packages, which may hold data sets, and the shared libraries it loads."""
    folder = os.path.dirname(os.__file__)
    return [*(os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name not in _HIDDEN), *_LIBRARIES]


READABLE = _standard_library()


def main(control: int) -> None:
    """Serves one judge over the socket `control` until it closes."""
    for name in MODULES:
        __import__(name)
    _Zygote(socket.socket(fileno=control)).serve()


class _Zygote:
    """The loop: fork, look, end."""

    def __init__(self, control: socket.socket) -> None:
        self.control, self.pid, self.child = control, os.getpid(), 0
        setup = json.loads(control.recv(1 << 16))
        self.layers = frozenset(setup["layers"])
        self._silence()
        self._lower()
        self.rules = landlock.ruleset(READABLE) if "landlock" in self.layers else -1
        _warm_up()
        gc.collect()
        gc.disable()
        gc.freeze()
        control.send(b"ready")

    def serve(self) -> None:
        """Takes orders; a closed socket ends the candidate and this process."""
        while True:
            order, fds = self._order()
            if not order:
                self._end()
                os._exit(0)
            if order[:1] == b"F":
                self._fork(json.loads(order[1:]), fds)
            elif order[:1] == b"L":
                self.control.send(json.dumps(self._look()).encode())
            else:
                self.control.send(json.dumps(self._end(wait=order == b"W")).encode())

    def _order(self) -> tuple[bytes, list[int]]:
        fds = array.array("i")
        message, extra, _, _ = self.control.recvmsg(1 << 16, socket.CMSG_SPACE(2 * fds.itemsize))
        for level, kind, data in extra:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
        return message, list(fds)

    def _silence(self) -> None:
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.close(null)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115  # for as long as this process lives
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _lower(self) -> None:
        """What candidates inherit from here: no capability, no way to gain one."""
        os.environ.clear()
        os.chdir("/")
        if sys.platform == "linux":
            kernel.adopt_orphans()
            kernel.no_new_privileges()
            kernel.drop_privileges(os.path.dirname(os.__file__))

    def _fork(self, limits: dict[str, Any], fds: list[int]) -> None:
        self.child = os.fork()
        if self.child == 0:
            try:
                self._become(limits, fds)
                child.serve()
            finally:
                os._exit(71)
        for fd in fds:
            os.close(fd)

    def _become(self, limits: dict[str, Any], fds: list[int]) -> None:
        """Turns a fresh fork into a candidate's process: two pipes, limits, and no way out."""
        if sys.platform == "linux":
            kernel.die_with_parent(self.pid)
            _first_to_go()
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        # Moved out of the way first, for a descriptor may already have the other's number.
        ask, reply, rules = (os.dup(fd) if fd >= 0 else -1 for fd in (*fds, self.rules))
        if rules >= 0:
            landlock.restrict_self(rules)
        os.dup2(ask, child.ASK)
        os.dup2(reply, child.REPLY)
        os.closerange(child.REPLY + 1, 1024)
        _limit(limits, "seccomp" in self.layers)
        if "seccomp" in self.layers:
            seccomp.install(os.getpid())

    def _look(self) -> dict[str, Any]:
        """The candidate's processor time in seconds, and whether one of its threads computes or waits to."""
        try:
            seconds = time.clock_gettime(kernel.cpu_clock(self.child))
            threads = os.listdir(f"/proc/{self.child}/task")
        except OSError:
            return {"cpu": 0.0, "awake": True}
        return {"cpu": seconds, "awake": any(_state(self.child, thread) in "RD" for thread in threads)}

    def _end(self, wait: bool = False) -> dict[str, Any]:
        """Ends the candidate and all it left; says how it ended by itself, if it did.

        Its pipes close a moment before it has ended; `wait` gives it that moment.
        """
        if not self.child:
            return {"status": 0, "cpu": 0.0}
        pid, self.child = self.child, 0
        if wait:
            _await(pid)
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        if not ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            _, status, usage = os.wait4(pid, 0)
            status = 0
        if "seccomp" not in self.layers:
            _end_orphans(self.pid)
        return {"status": status, "cpu": usage.ru_utime + usage.ru_stime, "rss": usage.ru_maxrss * 1024}


def _warm_up() -> None:
    """Does once what every fork will do. The interpreter rewrites code as it runs it, and each page of it that a fork
    rewrites is copied: without this a fork takes half as long again.
    """
    limits = {"cpu_seconds": 1 << 40, "memory_bytes": 1 << 60, "open_files": 1 << 20}
    for _ in range(24):
        read, write = os.pipe()
        child.rehearse(_TYPICAL, read, write)
        os.close(read)
        os.close(write)
        _limit(limits, True)
        if sys.platform == "linux":
            kernel.prctl(_GET_NO_NEW_PRIVS)


def _first_to_go() -> None:
    """Where the machine runs out of memory, the candidate ends and not what watches it."""
    with contextlib.suppress(OSError):
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        try:
            os.write(fd, b"1000")
        finally:
            os.close(fd)


def _state(pid: int, thread: str) -> str:
    try:
        with open(f"/proc/{pid}/task/{thread}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0].decode()
    except OSError:
        return "Z"


def _await(pid: int) -> None:
    handle = os.pidfd_open(pid)
    select.select([handle], [], [], _END_SECONDS)
    os.close(handle)


def _limit(limits: dict[str, Any], threads_only: bool) -> None:
    seconds = int(limits["cpu_seconds"]) + 2
    memory = int(limits["memory_bytes"])
    bounds = {
        resource.RLIMIT_CPU: (seconds, seconds + 1),
        resource.RLIMIT_AS: (memory, memory),
        resource.RLIMIT_FSIZE: (1 << 20, 1 << 20),
        resource.RLIMIT_NOFILE: (limits["open_files"], limits["open_files"]),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_MEMLOCK: (0, 0),
    }
    if not threads_only:
        bounds[resource.RLIMIT_NPROC] = (0, 0)
    for what, pair in bounds.items():
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, pair if hard == resource.RLIM_INFINITY else (min(pair[0], hard), min(pair[1], hard)))


def _end_orphans(parent: int) -> None:
    """Kills children that this process was given when their own parent ended, until none is left."""
    while True:
        found = [pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if _parent(pid) == parent]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0
