"""The run that the benches of the trial driver share: lettered questions about nothing, asked of a formula."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from gnomon.assay.self_knowledge import SelfKnowledge
from gnomon.core.record import Row
from gnomon.report.base import Report

__all__ = ["CALIBRATED", "NAME", "Unreported", "lettered"]

NAME = "self-knowledge"
CALIBRATED = {"subject": "planted:calibrated"}
T = TypeVar("T", bound=SelfKnowledge)


@dataclass(frozen=True, kw_only=True)
class Unreported(SelfKnowledge):
    """Self-knowledge that reports nothing: its runs are the same runs, and cost what reporting does not."""

    def summarise(self, rows: Sequence[Row]) -> Report:
        """An empty report."""
        return Report(title=f"{len(rows)} rows")


def lettered(kind: type[T], count: int) -> T:
    """`count` lettered calibration questions of the synthetic source, without worked examples."""
    return kind(only=("calibration",), forms=("lettered",), shots=(0,), data=("synthetic",), n=count)
