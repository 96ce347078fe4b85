"""SARIF 2.1.0, which code hosts show beside the code: a rule for each check, a result for each defect."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from typing import Any

from gnomon.fuzz.base import Defect
from gnomon.fuzz.checks import CHECKS
from gnomon.fuzz.outputs.found import Found
from gnomon.fuzz.outputs.text import hidden_bytes

__all__ = ["sarif"]

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}


def sarif(found: Found) -> str:
    """The log; advice is a note."""
    checks = sorted({each.violation.check for each in found.defects})
    driver = {"name": "gnomon", "version": version("gnomon"), "rules": [_rule(each) for each in checks]}
    results = [_result(found, each, checks) for each in found.defects]
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}
    return json.dumps(log, indent=1) + "\n"


def _rule(check: str) -> dict[str, Any]:
    about = (CHECKS[check].__doc__ or "").partition("\n")[0] if check in CHECKS else check.replace("_", " ")
    return {"id": check, "name": check, "shortDescription": {"text": about or check}}


def _result(found: Found, defect: Defect, checks: list[str]) -> dict[str, Any]:
    violation, last = defect.violation, found.steps(defect)[-1]
    reply = last.exchange.reply
    body = hidden_bytes(reply.body[:4000], found.secrets).decode("utf-8", "backslashreplace")
    location: dict[str, Any] = {"logicalLocations": [{"fullyQualifiedName": last.operation, "kind": "resource"}]}
    if found.document:
        location["physicalLocation"] = {"artifactLocation": {"uri": found.document}}
    key = hashlib.sha256("\n".join(violation.key).encode("utf-8", "surrogatepass")).hexdigest()
    return {
        "ruleId": violation.check,
        "ruleIndex": checks.index(violation.check),
        "level": _LEVELS[violation.severity] if violation.certain else "note",
        "message": {"text": f"{violation.title}\n\n{found.curl(defect)}"},
        "locations": [location],
        "partialFingerprints": {"gnomonKey/v1": key},
        "webRequest": {
            "method": last.request.method,
            "target": found.origin + last.request.target,
            "headers": dict(last.request.headers),
            "body": {"text": last.request.body.decode("utf-8", "backslashreplace")},
        },
        "webResponse": {
            "statusCode": reply.status,
            "headers": dict(reply.headers),
            "body": {"text": body},
            "noResponseReceived": reply.status == 0,
        },
        "properties": {"certain": violation.certain, "reproduced": list(defect.reproduced)},
    }
