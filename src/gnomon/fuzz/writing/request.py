"""The request that a case becomes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from gnomon.fuzz.base import NOTHING, Case, Operation, Parameter, Request
from gnomon.fuzz.writing.bodies import body_bytes
from gnomon.fuzz.writing.styles import as_text, header_value, path_segment, percent, query_pairs

__all__ = ["Unsendable", "written"]

_PLACE = re.compile(r"\{([^{}]*)\}")
_NOT_IN_HEADERS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Unsendable(ValueError):
    """No HTTP client can send it: a line break in a header, a media type that is no text."""


def written(case: Case, base_path: str = "") -> Request:
    """The bytes of a case.

    Raises:
        Unsendable: a header's value or name cannot be sent as such, or a value of the path is written as nothing.
    """
    operation = case.operation
    if operation.root:
        return operation.root.written(case, base_path)
    known = _parameters(operation)
    by_place: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}, "cookie": {}}
    for (location, name), value in case.parameters.items():
        by_place[location][name] = value
    headers, body = _headers(by_place["header"], by_place["cookie"], known), b""
    if case.body is not NOTHING:
        body, content_type = body_bytes(case.body, case.media_type, operation.bodies.get(case.media_type))
        if content_type:
            headers["content-type"] = content_type
    headers |= {name.lower(): value for name, value in case.headers.items()}
    path = _path(operation.path, by_place["path"], known, empty=case.mode == "probe")
    target = base_path + path + _query(by_place["query"], known)
    sent = tuple((name, _sendable(name, value)) for name, value in headers.items() if value)
    method = case.method or operation.method
    return Request(method=method, target=target, headers=sent, body=body, malformed=case.malformed)


@cache
def _parameters(operation: Operation) -> Mapping[tuple[str, str], Parameter]:
    return {(p.location, p.name): p for p in operation.parameters}


def _path(template: str, values: Mapping[str, Any], known: Mapping[tuple[str, str], Parameter], *, empty: bool) -> str:
    def place(match: re.Match[str]) -> str:
        name = match[1]
        if name not in values:
            return ""
        parameter = known.get(("path", name))
        text = path_segment(parameter, values[name]) if parameter else percent(as_text(values[name]))
        if not text and not empty:
            raise Unsendable(f"{name} is written as nothing, which is another path")
        return text

    return _PLACE.sub(place, template)


def _query(values: Mapping[str, Any], known: Mapping[tuple[str, str], Parameter]) -> str:
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        parameter = known.get(("query", name))
        parameter = parameter or Parameter(name=name, location="query", schema=True, required=False, explode=True)
        pairs += query_pairs(parameter, value)
    return "?" + "&".join(f"{name}={value}" for name, value in pairs) if pairs else ""


def _headers(
    headers: Mapping[str, Any], cookies: Mapping[str, Any], known: Mapping[tuple[str, str], Parameter]
) -> dict[str, str]:
    found = {}
    for name, value in headers.items():
        parameter = known.get(("header", name))
        found[name.lower()] = header_value(parameter, value) if parameter else as_text(value)
    if cookies:
        plain = Parameter(name="", location="cookie", schema=True, required=False)
        parts = [f"{name}={header_value(known.get(('cookie', name), plain), value)}" for name, value in cookies.items()]
        found["cookie"] = "; ".join(parts)
    return found


def _sendable(name: str, value: str) -> str:
    if _NOT_IN_HEADERS.search(name) or _NOT_IN_HEADERS.search(value) or value != value.strip():
        raise Unsendable(f"{name}: {value!r}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as fault:
        raise Unsendable(f"{name}: {value!r}") from fault
    return value
