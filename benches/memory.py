"""Memory that a process holds, for benches and their peers; Linux only, and nothing of gnomon."""

from __future__ import annotations

import ctypes
from pathlib import Path

__all__ = ["resident_mib"]


def resident_mib(*, most: bool = False, fresh: bool = False) -> float:
    """Memory that this process holds, in MiB.

    Args:
        most: the most it held since it was last asked `fresh`.
        fresh: give back what is free first, and forget what was held before.
    """
    if fresh:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (line,) = (each for each in lines if each.startswith("VmHWM:" if most else "VmRSS:"))
    return int(line.split()[1]) / 1024
