"""How fast defects are found: medians over runs at marks of time and of requests, and what all runs find together."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["curve", "found_by", "union"]

_SHARES = (0.1, 0.25, 0.5, 1.0)
_REQUESTS = (100, 300, 1000, 3000, 10000)
_AT, _NUMBER, _KIND = 0, 1, 2


def found_by(run: Mapping[str, Any], column: int, mark: float) -> int:
    """Distinct defects of a run by a second (column 0) or by a request (column 1), crashes by their stacks."""
    return sum(row[column] <= mark for row in run["defects"] if row[_KIND] != "frame")


def union(runs: Sequence[Mapping[str, Any]]) -> int:
    """Distinct defects of all runs together."""
    return len({tuple(row[_KIND:]) for run in runs for row in run["defects"] if row[_KIND] != "frame"})


def curve(runs: Sequence[Mapping[str, Any]]) -> str:
    """One line: medians at shares of the time, at numbers of requests that every run reached, and the union."""
    seconds = [share * runs[0]["seconds"] for share in _SHARES]
    least = min(run["requests"] for run in runs)
    by_time = "  ".join(f"{mark:g} s {_median(runs, _AT, mark):g}" for mark in seconds)
    by_requests = "  ".join(f"{mark} {_median(runs, _NUMBER, mark):g}" for mark in _REQUESTS if mark <= least)
    return f"{by_time}; by requests  {by_requests or 'too few'}; all runs together {union(runs)}"


def _median(runs: Sequence[Mapping[str, Any]], column: int, mark: float) -> float:
    return statistics.median(found_by(run, column, mark) for run in runs)
