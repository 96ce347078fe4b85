"""Defects that likely have one cause, for whoever reads them: one exception, one place of a schema, the same words."""

from __future__ import annotations

from collections.abc import Sequence

from gnomon.fuzz.base import Defect

__all__ = ["SEVERITIES", "by_cause", "operations_of"]

SEVERITIES = ("critical", "high", "medium", "low")
"The worst first."


def by_cause(defects: Sequence[Defect]) -> list[list[Defect]]:
    """The defects in groups of one cause each: the severest first, those that always come back before others.

    A cause is what `Violation.root` says; a defect of which nothing is said is a cause of its own.
    """
    groups: dict[tuple[str, ...], list[Defect]] = {}
    for defect in sorted(defects, key=_weight):
        violation = defect.violation
        groups.setdefault(("root", *violation.root) if violation.root else ("key", *violation.key), []).append(defect)
    return list(groups.values())


def _weight(defect: Defect) -> tuple[int, bool]:
    times, of = defect.reproduced
    return SEVERITIES.index(defect.violation.severity), times < of


def operations_of(group: Sequence[Defect]) -> list[str]:
    """The operations in which defects were met, each once."""
    met = [defect.operations or (defect.violation.steps[-1].case.operation.key,) for defect in group]
    return sorted({key for keys in met for key in keys})
