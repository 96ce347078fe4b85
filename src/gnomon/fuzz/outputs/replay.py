"""A file from which `gnomon fuzz --replay` plays every defect again and judges it by the same checks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gnomon.fuzz.base import NOTHING, Case, Defect, Exchange
from gnomon.fuzz.outputs.found import Found
from gnomon.fuzz.outputs.ndjson import defect_data
from gnomon.fuzz.outputs.text import hidden, hidden_bytes

__all__ = ["VERSION", "replay"]

VERSION = 1
"Of the file's form."


def replay(found: Found) -> str:
    """The file, in JSON: the document's place, and of each defect its key and its steps.

    A step has its values (`case`), of which the bytes are made again, and what it takes from earlier steps; the bytes
    that were sent stand beside it for readers. Credentials are marks: whoever plays it gives them.
    """
    whole = {
        "format": "gnomon-fuzz-replay",
        "version": VERSION,
        "title": f"{found.api.title} {found.api.version}".strip(),
        "schema": found.document,
        "origin": found.origin,
        "base_path": found.api.base_path,
        "defects": [_defect(found, each) for each in found.defects],
    }
    return hidden(json.dumps(whole, indent=1), found.secrets) + "\n"


def _defect(found: Found, defect: Defect) -> dict[str, Any]:
    said = defect_data(found, defect)
    kept = {name: said[name] for name in ("check", "title", "severity", "certain", "reproduced")}
    steps = [
        {
            "operation": shown["method"] + " " + shown["target"],
            "status": shown["status"],
            "body": shown["body"],
            "caller": step.caller,
            "takes": [asdict(take) for take in step.takes],
            "case": _case(step, found.secrets),
        }
        for shown, step in zip(said["steps"], defect.violation.steps, strict=True)
    ]
    return {**kept, "key": list(defect.violation.key), "steps": steps}


def _case(step: Exchange, secrets: Mapping[str, str]) -> dict[str, Any]:
    """A case as plain data; bytes as one character each, no body by its absence."""
    case: Case = step.case
    plain: dict[str, Any] = {
        "operation": case.operation.key,
        "parameters": [[location, name, value] for (location, name), value in case.parameters.items()],
        "media_type": case.media_type,
        "mode": case.mode,
        "why": [asdict(each) for each in case.why],
        "technique": case.technique,
        "method": case.method,
        "headers": dict(case.headers),
        "selection": case.selection,
        "malformed": case.malformed,
    }
    if isinstance(case.body, bytes):
        plain["bytes"] = hidden_bytes(case.body, secrets).decode("latin-1")
    elif case.body is not NOTHING:
        plain["body"] = case.body
    return plain
