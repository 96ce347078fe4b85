"""One writer a run: an advisory lock on a file in its folder, released by the kernel when the process ends."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from gnomon.core.errors import RunError

__all__ = ["Lock", "held"]

# `held` takes a shared lock for an instant; an opener that meets it tries again before it gives up.
_TRIES, _PAUSE = 5, 0.02


class Lock:
    """An exclusive lock on `path`, held until `release`.

    Raises:
        RunError: another process has it; the message names that process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        for attempt in range(_TRIES):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == _TRIES - 1:
                    self._refuse()
                time.sleep(_PAUSE)
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Lets the next process in; does nothing the second time."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _refuse(self) -> None:
        pid = os.pread(self._file, 32, 0).decode() or "unknown"
        self.release()
        raise RunError(
            f"process {pid} is working on this run",
            where=str(self.path.parent),
            todo="wait for it, or stop it and give the same command again",
        ) from None


def held(path: Path) -> bool:
    """Whether some process holds the lock at `path` now."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(file)
