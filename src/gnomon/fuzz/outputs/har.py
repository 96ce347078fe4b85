"""HAR 1.2: the requests of all defects with what was answered, as browsers' tools read them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.metadata import version
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from gnomon.fuzz.base import Defect
from gnomon.fuzz.outputs.found import Found
from gnomon.fuzz.outputs.steps import Step
from gnomon.fuzz.outputs.text import hidden, hidden_bytes

__all__ = ["har", "reason"]


def har(found: Found) -> str:
    """The archive; each entry's comment names the defect and the step."""
    pages = found.defects
    entries = [_entry(found, each, i, step) for each in pages for i, step in enumerate(found.steps(each), 1)]
    creator = {"name": "gnomon", "version": version("gnomon")}
    return json.dumps({"log": {"version": "1.2", "creator": creator, "entries": entries}}, indent=1) + "\n"


def reason(status: int) -> str:
    """`Not Found` of 404; "" of a status that nobody named."""
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""


def _entry(found: Found, defect: Defect, i: int, step: Step) -> dict[str, Any]:
    reply = step.exchange.reply
    began = datetime.fromtimestamp(found.began + step.exchange.at - reply.seconds, UTC)
    took = round(reply.seconds * 1000, 3)
    return {
        "startedDateTime": began.isoformat(timespec="milliseconds"),
        "time": took,
        "request": _request(found, step),
        "response": _response(found, step),
        "cache": {},
        "timings": {"send": 0, "wait": took, "receive": 0},
        "comment": f"{defect.violation.check}: {defect.violation.title}; step {i} of {len(defect.violation.steps)}",
    }


def _request(found: Found, step: Step) -> dict[str, Any]:
    request, url = step.request, found.origin + step.request.target
    query = parse_qsl(urlsplit(url).query, keep_blank_values=True, errors="replace")
    made: dict[str, Any] = {
        "method": request.method,
        "url": url,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": [{"name": name, "value": value} for name, value in request.headers],
        "queryString": [{"name": name, "value": value} for name, value in query],
        "headersSize": -1,
        "bodySize": len(request.body),
    }
    if request.body:
        made["postData"] = {"mimeType": dict(request.headers).get("content-type", ""), **_text(request.body)}
    return made


def _response(found: Found, step: Step) -> dict[str, Any]:
    reply = step.exchange.reply
    headers = [{"name": name, "value": hidden(value, found.secrets)} for name, value in reply.headers]
    content = _text(hidden_bytes(reply.body, found.secrets))
    return {
        "status": reply.status,
        "statusText": reason(reply.status) or reply.fault,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": headers,
        "content": {"size": len(reply.body), "mimeType": reply.header("content-type") or "", **content},
        "redirectURL": reply.header("location") or "",
        "headersSize": -1,
        "bodySize": len(reply.body),
    }


def _text(body: bytes) -> dict[str, str]:
    try:
        return {"text": body.decode("utf-8")}
    except UnicodeDecodeError:
        return {"text": base64.b64encode(body).decode(), "encoding": "base64"}
