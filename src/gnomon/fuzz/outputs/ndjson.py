"""A line of JSON for each defect, for pipes and log collectors."""

from __future__ import annotations

import json
from typing import Any

from gnomon.fuzz.base import Defect
from gnomon.fuzz.outputs.found import Found
from gnomon.fuzz.outputs.text import as_data, hidden, hidden_bytes

__all__ = ["defect_data", "ndjson"]


def ndjson(found: Found) -> str:
    """The lines, advice among them (`certain` is false)."""
    return "".join(json.dumps(defect_data(found, each)) + "\n" for each in found.defects)


def defect_data(found: Found, defect: Defect) -> dict[str, Any]:
    """A defect as plain data: what is broken, how surely, when it was first seen, what shows it."""
    violation = defect.violation
    return {
        "check": violation.check,
        "key": [hidden(part, found.secrets) for part in violation.key],
        "title": violation.title,
        "severity": violation.severity,
        "certain": violation.certain,
        "operation": violation.steps[-1].case.operation.key,
        "reproduced": list(defect.reproduced),
        "first_seen": round(defect.first_seen, 3),
        "requests": defect.requests,
        "count": defect.count,
        "detail": violation.detail,
        "curl": found.curl(defect),
        "steps": [
            {
                "method": step.request.method,
                "target": step.request.target,
                "headers": step.request.headers,
                "body": as_data(step.request.body),
                "caller": step.exchange.caller,
                "status": step.exchange.reply.status,
                "answer": as_data(hidden_bytes(step.exchange.reply.body, found.secrets)),
            }
            for step in found.steps(defect)
        ],
    }
