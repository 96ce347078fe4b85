"""Defects that likely have one cause, for whoever reads them: one exception, or one place of a named schema."""

from __future__ import annotations

from collections.abc import Sequence

from gnomon.fuzz.base import Defect

__all__ = ["by_cause", "operations_of"]


def by_cause(defects: Sequence[Defect]) -> list[list[Defect]]:
    """The defects in groups of one cause each, in the order of their first ones.

    A cause is what `Violation.root` says; a defect of which nothing is said is a cause of its own.
    """
    groups: dict[tuple[str, ...], list[Defect]] = {}
    for defect in defects:
        violation = defect.violation
        groups.setdefault(("root", *violation.root) if violation.root else ("key", *violation.key), []).append(defect)
    return list(groups.values())


def operations_of(group: Sequence[Defect]) -> list[str]:
    """The operations in which defects were met, each once."""
    met = [defect.operations or (defect.violation.steps[-1].case.operation.key,) for defect in group]
    return sorted({key for keys in met for key in keys})
