"""All checks of the table, in its order: one tuple a family of kinds."""

from __future__ import annotations

from collections.abc import Mapping

from gnomon.assay.brook import dialogue, facts, harm, opinions, people, programs, reasoning, scaffold
from gnomon.assay.brook.check import Check
from gnomon.assay.brook.expected import Expected, Range

__all__ = ["CHECKS", "EXPECTED"]

_FAMILIES = (facts, scaffold, reasoning, people, opinions, harm, dialogue, programs)
CHECKS: Mapping[str, Check] = {check.name: check for family in _FAMILIES for check in family.CHECKS}
# The last row is the table's own: below .9 the prompts are not what the model was trained on.
EXPECTED: Mapping[str, Expected] = {
    row.label: row
    for row in (
        *(row for check in CHECKS.values() for row in check.rows),
        Expected("option mass", "", "1", Range(0.9, 1.0)),
    )
}
