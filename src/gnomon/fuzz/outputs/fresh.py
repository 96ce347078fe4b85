"""Bodies that can be sent again to a server that has the first ones: a tag goes into texts that may have one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jsonschema_rs

from gnomon.fuzz.base import Api, Operation
from gnomon.fuzz.directions import request_side
from gnomon.fuzz.loading import closed
from gnomon.fuzz.outputs.steps import Step
from gnomon.fuzz.outputs.text import mark
from gnomon.fuzz.writing import written
from gnomon.fuzz.writing.styles import percent

__all__ = ["renewable"]

_TAGS = ("q7x0k2", "a1b2c3")
_MARK = mark("FRESH")


def renewable(step: Step, api: Api) -> bytes | None:
    """The body with `${FRESH}` in its texts, wherever that changes nothing of what its schema says of it.

    None where no text takes it, the request makes nothing, or its body takes what an earlier step answered.
    """
    case = step.exchange.case
    if case.operation.method not in ("POST", "PUT") or not isinstance(case.body, dict):
        return None
    if any(take.location == "body" for take in step.exchange.takes):
        return None
    body, told = case.body, _said(case.operation, case.media_type, api)
    for name, value in body.items():
        if isinstance(value, str):
            tried = (f"{_MARK}{value}", f"{value}{_MARK}", f"{_MARK}{value[6:]}", f"{value[:-6]}{_MARK}")
            fitting = (text for text in tried if _same(told, body, name, text))
            body = {**body, name: next(fitting, value)}
    if body == case.body:
        return None
    # A form would write the mark in escapes.
    return written(replace(case, body=body)).body.replace(percent(_MARK).encode(), _MARK.encode())


def _same(said: Any, body: dict[str, Any], name: str, text: str) -> bool:
    """Whether every tag leaves all that the schema says of the body as it is."""
    filled = [_filled({**body, name: text}, tag) for tag in _TAGS]
    before = said(_filled(body, _TAGS[0]))
    return before is not None and all(said(each) == before for each in filled)


def _filled(body: dict[str, Any], tag: str) -> dict[str, Any]:
    return {name: value.replace(_MARK, tag) if isinstance(value, str) else value for name, value in body.items()}


def _said(operation: Operation, media_type: str, api: Api) -> Any:
    """What says where a body leaves its schema; None where that cannot be said."""
    media = operation.bodies.get(media_type)
    try:
        schema: Any = closed(media.schema, request_side(api).definitions) if media else False
        validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    except (ValueError, jsonschema_rs.ReferencingError):
        return lambda body: None

    def said(body: Any) -> set[tuple[str, str]] | None:
        try:
            return {(str(each.instance_path), str(each.kind.name)) for each in validator.iter_errors(body)}
        except ValueError:
            return None

    return said
