"""What the benches share: medians of processor time, the peer in its own interpreter, one table, one JSON form.

A bench makes `Figure`s and hands them to `publish`; the figure that has a target is held to it there.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Cost", "Figure", "ask_peer", "measured", "median", "once", "options", "publish", "seconds_of"]


@dataclass(frozen=True)
class Cost:
    """Median processor time and wall time of a piece of work, in seconds."""

    cpu: float
    wall: float


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of a bench.

    Attributes:
        name: what was measured.
        cpu: processor time in `unit`; lower is better.
        wall: wall time in `unit`; None where it was not measured.
        unit: of every number here, such as "ms/item" or "s".
        target: most processor time allowed; None where the figure only explains another.
        peer: the peer's processor time for the same work; None where it did not run.
        peer_name: who the peer is, or why there is none.
        ratios: how many times the peer's time is ours, round by round; () where rounds did not alternate.
        least_ratio: the least ratio allowed where a peer ran; None where none is asked for.
    """

    name: str
    cpu: float
    wall: float | None
    unit: str
    target: float | None = None
    peer: float | None = None
    peer_name: str = ""
    ratios: Sequence[float] = ()
    least_ratio: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the targets are met; None without one."""
        checks = [self.cpu <= self.target] if self.target is not None else []
        if self.least_ratio is not None and self.ratio is not None:
            checks.append(self.ratio >= self.least_ratio)
        return all(checks) if checks else None

    @property
    def ratio(self) -> float | None:
        """How many times the peer's time is ours, the median of alternating rounds; None without a peer."""
        if self.peer is None:
            return None
        return statistics.median(self.ratios) if self.ratios else self.peer / self.cpu


def options(doc: str | None, rounds: int = 5) -> argparse.ArgumentParser:
    """A parser with the flags that every bench has."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", default="", help="file for the figures")
    parser.add_argument("--rounds", type=int, default=rounds, help="rounds behind each median")
    return parser


def measured(work: Callable[[], object], rounds: int) -> Cost:
    """What `work` costs: the median of `rounds` after one warm-up, all threads of this process counted."""
    work()
    return median([_spent(work) for _ in range(rounds)])


def seconds_of(command: Sequence[str], rounds: int) -> Cost:
    """What a command costs as a process of its own, start included; RuntimeError when it fails."""
    return median([once(command) for _ in range(rounds + 1)][1:])


def ask_peer(interpreter: str, script: str, *arguments: str) -> dict[str, Any]:
    """The JSON object that a peer's script beside this file prints last, or its `reason` for not running."""
    command = [interpreter, str(Path(__file__).with_name(script)), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"reason": (done.stderr.strip().splitlines() or ["it says nothing"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def publish(
    bench: str, figures: Sequence[Figure], file: str, *, children: bool = False, more: Mapping[str, Any] | None = None
) -> None:
    """Prints the figures as a table, and writes them with the peak memory where `file` is given.

    Args:
        children: the work was done by child processes, so the peak is theirs.
        more: printed a line each, and kept beside the figures.
    """
    peak = resource.getrusage(resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF).ru_maxrss * 1024
    for line in _lines(figures):
        print(line)
    for name, value in (more or {}).items():
        print(f"{name}: {value}")
    print(f"peak memory {peak / 2**20:.0f} MiB")
    if file:
        records = [{**asdict(f), "met": f.met, "ratio": f.ratio} for f in figures]
        text = json.dumps({"bench": bench, "peak_bytes": peak, "figures": records, **(more or {})}, indent=1)
        Path(file).write_text(text + "\n", encoding="utf-8")


def _lines(figures: Sequence[Figure]) -> list[str]:
    width = max(len(f.name) for f in figures) + 2
    head = f"{'':{width}}{'CPU':>9}{'wall':>9} {'unit':9}{'target':>8}{'':8}{'peer':>9}{'ratio':>8}"
    return [head, *(_line(f, width) for f in figures)]


def _line(f: Figure, width: int) -> str:
    verdict = {None: "", True: " met", False: " MISSED"}[f.met]
    numbers = f"{f.cpu:9.3f}{_cell(f.wall, 9)} {f.unit:9}{_cell(f.target, 8)}{verdict:8}"
    return f"{f.name:{width}}{numbers}{_cell(f.peer, 9)}{_cell(f.ratio, 8, 1)}  {f.peer_name}".rstrip()


def _cell(value: float | None, width: int, digits: int = 3) -> str:
    return " " * width if value is None else f"{value:{width}.{digits}f}"


def median(costs: Sequence[Cost]) -> Cost:
    """The median processor time and the median wall time."""
    return Cost(statistics.median(c.cpu for c in costs), statistics.median(c.wall for c in costs))


def _spent(work: Callable[[], object]) -> Cost:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Cost(time.process_time() - cpu, time.perf_counter() - wall)


def once(command: Sequence[str]) -> Cost:
    """What one run of a command costs as a process of its own; RuntimeError when it fails."""
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
    return Cost(used, time.perf_counter() - wall)
