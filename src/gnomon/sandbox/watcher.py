"""A process beside the zygote that may look into /proc: the zygote itself is as blind as its candidates.

It says whether a candidate computes, and ends what a candidate left behind where seccomp does not keep it from starting
processes.
"""

from __future__ import annotations

import _socket
import contextlib
import os

from gnomon.sandbox import kernel

__all__ = ["ASLEEP", "CROWDED", "Watcher"]

ASLEEP, AWAKE, CROWDED = b"0", b"1", b"2"
# More threads than a program of use has. Nothing else bounds them: no limit of the kernel's holds for root.
_MOST_THREADS = 256
_SIGKILL = 9
_ORPHANS = b"orphans"


class Watcher:
    """Forks the process; it ends with the caller, or when the caller's end of their socket is closed."""

    def __init__(self) -> None:
        self._socket, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        above = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                kernel.die_with_parent(above)
                self._socket.close()
                _watch(theirs, above)
            finally:
                os._exit(0)
        theirs.close()

    def seen(self, pid: int) -> bytes:
        """CROWDED where the process has too many threads, ASLEEP where none of them computes or waits to; OSError where
        the watcher is gone.
        """
        return self._ask(str(pid).encode())

    def end_orphans(self) -> None:
        """Ends the caller's children other than this watcher until none is left."""
        while self._ask(_ORPHANS) == AWAKE:
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass

    def _ask(self, what: bytes) -> bytes:
        self._socket.send(what)
        answer = self._socket.recv(1)
        if not answer:
            raise ConnectionResetError("the watcher is gone")
        return answer


def _watch(socket: _socket.socket, above: int) -> None:
    while asked := socket.recv(32):
        socket.send(_end_children(above) if asked == _ORPHANS else _seen(int(asked)))


def _seen(pid: int) -> bytes:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return AWAKE
    if len(threads) > _MOST_THREADS:
        return CROWDED
    return AWAKE if any(_state(pid, thread) in "RD" for thread in threads) else ASLEEP


def _state(pid: int, thread: str) -> str:
    try:
        return _after_name(f"/proc/{pid}/task/{thread}/stat")[0]
    except OSError:
        return "Z"


def _end_children(above: int) -> bytes:
    """Kills the other children of `above`, those whose own parent has ended too; ASLEEP where it has none."""
    found = [pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if _parent(pid) == above]
    others = [pid for pid in found if pid != os.getpid()]
    for pid in others:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, _SIGKILL)
    return AWAKE if others else ASLEEP


def _parent(pid: int) -> int:
    try:
        return int(_after_name(f"/proc/{pid}/stat")[1])
    except OSError:
        return 0


def _after_name(path: str) -> list[str]:
    """The fields of a stat file from the state on; a name may hold blanks and brackets."""
    with open(path, "rb") as file:
        return file.read().rpartition(b")")[2].decode().split()
