"""What a candidate may use: time, memory, files, and how long an answer may be."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one candidate process may use.

    Attributes:
        cpu_seconds: time of its own over all calls together: processor time, and time it sleeps while an answer is
            awaited. What it waits for the processor is not counted, so a loaded machine gives the same verdict.
        wall_factor: times `cpu_seconds`, after which it is ended whatever it did; large, for a machine may be busy.
        memory_bytes: address space, the interpreter's own 60 MB included.
        answer_bytes: longest answer, encoded.
        output_bytes: most that a whole program may print.
        open_files: file descriptors.
    """

    cpu_seconds: float = 3.0
    wall_factor: float = 60.0
    memory_bytes: int = 1 << 30
    answer_bytes: int = 16 << 20
    output_bytes: int = 4 << 20
    open_files: int = 32
