"""A small warm interpreter that forks a fresh process for each candidate, confines it, and ends it.

It is a program of its own, started without site packages, and holds no tests, references or candidates: the code
goes from the judge straight to the forked process. One candidate at a time.

A fork costs by the pages that it has and by those that parent or child write after it. So all that candidates can
inherit is set here once (limits, Landlock, most of seccomp), and few modules are loaded: none of those that turn
constants into classes, such as socket and signal.
"""

from __future__ import annotations

import _socket
import contextlib
import gc
import json
import os
import resource
import sys
import time
from os import close, closerange, fork, getpid, setpgid
from resource import RLIMIT_CPU, RLIMIT_NPROC, setrlimit
from typing import Any

from gnomon.sandbox import child, kernel, landlock, seccomp
from gnomon.sandbox.asked import call_frame, compiled, load_frame
from gnomon.sandbox.child import ASK, REPLY
from gnomon.sandbox.frames import END
from gnomon.sandbox.kernel import die_with_parent
from gnomon.sandbox.seccomp import install
from gnomon.sandbox.watcher import ASLEEP, CROWDED, Watcher

__all__ = ["MODULES", "READABLE", "main"]

# What solutions import most; anything else of the standard library is imported when it is asked for.
MODULES = ("typing", "math", "re", "collections", "itertools", "functools", "operator", "string")

_SIGKILL = 9
_LINUX = sys.platform == "linux"
# A candidate that has closed its pipes is given half a second to end.
_LOOKS, _LOOK_SECONDS = 500, 0.001
# Answers 0 and does nothing.
_GET_KEEPCAPS = 7
_REHEARSALS = 24
# The control socket stands behind the descriptors that a candidate has.
_CONTROL = REPLY + 1
# How the interpreter's allocator shares out memory: small sizes, what bytes take beside their content, pools.
_SIZES, _BYTES_HEAD, _POOL, _POOL_HEAD = range(48, 513, 16), 33, 1 << 14, 48
_LARGE, _MOST_HOLES = 100_000, 1000
_PAIR_SPACE = _socket.CMSG_SPACE(8)
_TYPICAL = '''
import math
from typing import Any, Callable, Dict, List, Optional, Set, Tuple, Union

Common = Tuple[
    List[int], List[str], List[bool], List[List[int]], List[List[str]], List[Any], List[Tuple[int, int]], Set[int],
    Tuple[int, int], Tuple[float, float], Tuple[str, str], Tuple[int, ...], Dict[str, str], Dict[str, Any],
    Dict[int, int], Optional[str], Optional[float], Optional[List[int]], Union[int, float], Union[int, str],
]

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
    if control != _CONTROL:
        os.dup2(control, _CONTROL)
        # candidates close what lies below their limit of descriptors, and this may lie above
        os.close(control)
    _Zygote(_socket.socket(fileno=_CONTROL)).serve()


class _Zygote:
    """The loop: fork, look, end."""

    def __init__(self, control: _socket.socket) -> None:
        self.control, self.pid, self.child = control, os.getpid(), 0
        setup = json.loads(control.recv(1 << 16))
        self.layers = frozenset(setup["layers"])
        seconds, files = int(setup["limits"]["cpu_seconds"]) + 2, int(setup["limits"]["open_files"])
        self.held = self.pid, (seconds, seconds + 1), files, "seccomp" in self.layers
        _first_to_go()
        self._silence()
        self._lower()
        self._confine(setup["limits"])
        _warm_up()
        gc.collect()
        self.filling = _holes_filled()
        gc.disable()
        gc.freeze()
        # the lowest that are free, so a candidate's pipes come in as these two
        close(ASK)
        close(REPLY)
        control.send(b"ready")

    def serve(self) -> None:
        """Takes orders; a closed socket ends the candidate and this process."""
        while True:
            order = self.control.recvmsg(16, _PAIR_SPACE)[0]
            if not order:
                self._end()
                os._exit(0)
            if order == b"F":
                self._fork()
            elif order == b"L":
                self.control.send(json.dumps(self._look()).encode())
            else:
                self.control.send(self._end(wait=order == b"W"))

    def _silence(self) -> None:
        """Standard streams lead nowhere, and the two descriptors that a candidate's pipes take are held free."""
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2, ASK, REPLY):
            os.dup2(null, fd)
        if null > REPLY:  # else it is one of these
            os.close(null)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115  # for as long as this process lives
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115

    def _lower(self) -> None:
        """What candidates inherit from here: no capability, no way to gain one."""
        os.environ.clear()
        os.chdir("/")
        if _LINUX:
            kernel.adopt_orphans()
            kernel.no_new_privileges()
            kernel.drop_privileges(os.path.dirname(os.__file__))

    def _confine(self, limits: dict[str, Any]) -> None:
        """Limits and filters that candidates inherit too."""
        self.watcher = Watcher()
        for what, most in _bounds(limits).items():
            hard = resource.getrlimit(what)[1]
            least = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(what, (least, least))
        if "landlock" in self.layers:
            landlock.restrict_self(landlock.ruleset(READABLE, ["/dev/null"]))
        if "seccomp" in self.layers:
            seccomp.install_shared()

    def _fork(self) -> None:
        self.child = fork()
        if self.child == 0:
            try:
                _become(*self.held)
                child.serve()
            finally:
                os._exit(71)
        close(ASK)
        close(REPLY)

    def _look(self) -> dict[str, Any]:
        """The candidate's processor time in seconds, whether one of its threads computes or waits to, and whether they
        are too many.
        """
        try:
            seconds = time.clock_gettime(kernel.cpu_clock(self.child))
        except OSError:
            return {"cpu": 0.0, "awake": True, "crowded": False}
        seen = self.watcher.seen(self.child)
        return {"cpu": seconds, "awake": seen != ASLEEP, "crowded": seen == CROWDED}

    def _end(self, wait: bool = False) -> bytes:
        """Ends the candidate and all it left; says how it ended by itself, if it did.

        Its pipes close a moment before it has ended; `wait` gives it that moment.
        """
        if not self.child:
            return END.pack(0, 0.0, False, 0)
        pid, self.child = self.child, 0
        by_itself = wait and _ends(pid)
        # it is not waited for yet, so the number is still its own
        os.kill(pid, _SIGKILL)
        _, status, usage = os.wait4(pid, 0)
        if "seccomp" not in self.layers:
            self.watcher.end_orphans()
        seconds, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10
        return END.pack(status if by_itself else 0, seconds, not by_itself, peak)


def _become(parent: int, seconds: tuple[int, int], open_files: int, filtered: bool) -> None:
    """Turns a fresh fork into a candidate's process: limits, and no way out.

    It runs in forks alone, so the interpreter never adapts it; names are looked up in one module, for each that is
    looked up in another costs three pages.
    """
    if _LINUX:
        die_with_parent(parent)
    setpgid(0, 0)
    closerange(_CONTROL, open_files)
    setrlimit(RLIMIT_CPU, seconds)
    if filtered:
        install(getpid())
    else:
        setrlimit(RLIMIT_NPROC, (0, 0))


def _bounds(limits: dict[str, Any]) -> dict[int, int]:
    return {
        resource.RLIMIT_AS: int(limits["memory_bytes"]),
        resource.RLIMIT_FSIZE: 1 << 20,
        resource.RLIMIT_NOFILE: int(limits["open_files"]),
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
    }


def _warm_up() -> None:
    """Does often what every fork will do. The interpreter rewrites code as it runs it, and each page of it that a fork
    rewrites is copied: without this a fork takes half as long again.
    """
    code = compiled(_TYPICAL)
    asked = load_frame(code, ["f"]) + call_frame("f", [[1.5, -2, 3], "a b"], {"limit": 2}, back=False)
    for _ in range(_REHEARSALS):
        child.rehearse(asked)
        resource.getrlimit(resource.RLIMIT_CPU)
        if _LINUX:
            kernel.bare_prctl(_GET_KEEPCAPS, 0)


def _holes_filled() -> list[object]:
    """What fills the holes between small objects, so that those of a fork lie side by side: in a hole each would copy
    a page of its own, a fifth of all that it copies.
    """
    filling: list[object] = []
    for size in _SIZES:
        for _ in range(_MOST_HOLES):
            filling.append(bytes(size - _BYTES_HEAD))
            if id(filling[-1]) % _POOL == _POOL_HEAD:  # the first of a fresh pool
                break
    end = id(bytes(_LARGE))  # larger than holes are, so it lay behind them
    for _ in range(_MOST_HOLES):
        filling.append(bytes(_SIZES.stop))
        if id(filling[-1]) >= end:
            break
    return filling


def _first_to_go() -> None:
    """Where the machine runs out of memory, candidates end before what watches them: they are larger than this."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")


def _ends(pid: int) -> bool:
    """Whether a process ends by itself within a moment."""
    for _ in range(_LOOKS):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return True
        time.sleep(_LOOK_SECONDS)
    return False
