"""What the check table expects: the planned range of every row, and the range that the shipped model reached.

The planned range is the world's promise and does not change. The shipped range was pinned with the checkpoint; it
decides for the model `brook`, the planned one for every other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import NamedTuple

from gnomon.report.base import Estimate, Report

__all__ = ["Expected", "Range", "label", "pinned", "shipped"]

# How far a pinned value may move with other items or another build of the arithmetic.
_SLACK = 0.02


class Range(NamedTuple):
    """Both ends belong to it."""

    low: float
    high: float

    def __contains__(self, value: object) -> bool:
        return isinstance(value, float) and self.low - 1e-9 <= value <= self.high + 1e-9

    def __str__(self) -> str:
        return f"{self.low:.2f} to {self.high:.2f}"


class Expected(NamedTuple):
    """One row: what was planted, in words, and the planned range (None: shown, not judged)."""

    metric: str
    group: str
    planted: str
    planned: Range | None

    @property
    def label(self) -> str:
        """How the row is called: `choice [note]`."""
        return label(self.metric, self.group)


def label(metric: str, group: str) -> str:
    """How a row is called in messages and in the file of shipped ranges: `choice [note]`."""
    return f"{metric} [{group}]" if group else metric


def shipped() -> Mapping[str, Range]:
    """The ranges pinned with the shipped checkpoint by row label; empty when the package holds none."""
    file = files("gnomon.data.worlds.brook").joinpath("checkpoint", "shipped.json")
    if not file.is_file():
        return {}
    return {name: Range(*ends) for name, ends in json.loads(file.read_text(encoding="utf-8")).items()}


def pinned(report: Report) -> dict[str, list[float]]:
    """The content of `shipped.json` for a checkpoint with this report: every row's interval and a little more."""
    return {label(e.metric, e.group): _around(e) for e in report.estimates if e.value is not None}


def _around(estimate: Estimate) -> list[float]:
    value = estimate.value or 0.0
    low = value if estimate.low is None else estimate.low
    high = value if estimate.high is None else estimate.high
    return [round(low - _SLACK, 4), round(high + _SLACK, 4)]
