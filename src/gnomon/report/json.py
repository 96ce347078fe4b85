"""A report as JSON, one schema for every command.

`{"schema": 1, "run", "name", "model", "cast", "estimates", "findings", "timing"}`. The same rows give the same bytes,
but for `timing`, which is why timing stands by itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from gnomon.report.base import Estimate, Finding, Report
from gnomon.report.provenance import Provenance

__all__ = ["SCHEMA", "as_dict", "dumps"]

SCHEMA = 1


def as_dict(report: Report, origin: Provenance) -> dict[str, Any]:
    """The report's numbers and findings as plain data; optional keys are left out where they are empty.

    A null value or bound always has `reason` or `null` beside it.
    """
    return {
        "schema": SCHEMA,
        "run": origin.run,
        "name": origin.name,
        "model": origin.model,
        "cast": dict(origin.cast),
        "estimates": [_estimate(e) for e in report.estimates],
        "findings": [_finding(f) for f in report.findings],
        "timing": dict(origin.timing),
    }


def dumps(data: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> str:
    """`data` as indented JSON text with a final newline; not-a-number is refused."""
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _estimate(e: Estimate) -> dict[str, Any]:
    value, low, high = _finite(e.value), _finite(e.low), _finite(e.high)
    record: dict[str, Any] = {
        "metric": e.metric,
        "value": value,
        "low": low,
        "high": high,
        "n": e.n,
        "clusters": e.clusters,
    }
    optional: dict[str, Any] = {"group": e.group, "readout": e.readout, "null": _finite(e.null), "reason": e.reason}
    if e.expected is not None:
        optional["expected"] = list(e.expected)
    if None in (value, low, high) and not e.reason and optional["null"] is None:
        optional["reason"] = "not finite" if None not in (e.value, e.low, e.high) else "not stated"
    return record | {k: v for k, v in optional.items() if v not in ("", None)}


def _finding(f: Finding) -> dict[str, Any]:
    record = {"key": f.key, "title": f.title, "severity": f.severity, "reproduce": f.reproduce}
    return record | {k: v for k, v in {"detail": f.detail, "same_as": f.same_as}.items() if v}


def _finite(x: float | None) -> float | None:
    return x if x is None or math.isfinite(x) else None
