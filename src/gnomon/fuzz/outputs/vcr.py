"""A cassette of VCR (Ruby) and vcrpy: what was sent and answered, to be played to a client."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from gnomon.fuzz.outputs.found import Found
from gnomon.fuzz.outputs.har import reason
from gnomon.fuzz.outputs.steps import Step
from gnomon.fuzz.outputs.text import hidden, hidden_bytes

__all__ = ["vcr"]


def vcr(found: Found) -> str:
    """The cassette, in YAML; bodies that are no text are `!!binary`."""
    played = [_interaction(found, step) for each in found.defects for step in found.steps(each)]
    return str(yaml.safe_dump({"interactions": played, "version": 1}, sort_keys=False, allow_unicode=False))


def _interaction(found: Found, step: Step) -> dict[str, Any]:
    request, reply = step.request, step.exchange.reply
    answered = ((name, hidden(value, found.secrets)) for name, value in reply.headers)
    return {
        "request": {
            "method": request.method,
            "uri": found.origin + request.target,
            "headers": _headers(request.headers),
            "body": _body(request.body),
        },
        "response": {
            "status": {"code": reply.status, "message": reason(reply.status) or reply.fault},
            "headers": _headers(answered),
            "body": {"string": _body(hidden_bytes(reply.body, found.secrets))},
        },
    }


def _headers(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _body(body: bytes) -> str | bytes:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body
