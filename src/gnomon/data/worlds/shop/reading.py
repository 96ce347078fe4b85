"""Reading a request by the table: text to values, and everything that a schema forbids refused.

The holes are planted: a request is let through though its schema forbids it. They name operation, place and keyword,
so nothing else slips through.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

import jsonschema_rs

from gnomon.data.worlds.shop.base import Refused
from gnomon.data.worlds.shop.operations import FORM, Operation, Parameter
from gnomon.data.worlds.shop.schemas import SCHEMAS

__all__ = ["Reader", "unquoted"]

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
# Python refuses to read longer integers from text.
_MOST_DIGITS = 4000


class _Hole(NamedTuple):
    path: tuple[str, ...]
    keyword: str
    defect: str
    name: str = ""


# The last one has no defect of its own: what it lets through crashes later, and that is the defect.
_HOLES: Mapping[str, tuple[_Hole, ...]] = {
    "create_user": (_Hole(("name",), "maxLength", "accept-max-length"),),
    "create_item": (_Hole(("sku",), "pattern", "accept-pattern"),),
    "change_user": (_Hole((), "additionalProperties", "accept-additional"),),
    "create_job": (_Hole(("kind",), "enum", "accept-enum"),),
    "create_file": (_Hole((), "required", "accept-required", "name"),),
    "create_order": (
        _Hole(("lines", "*", "quantity"), "minimum", "accept-minimum"),
        _Hole(("lines", "*", "options", "*", "wrap"), "enum", ""),
    ),
}


def unquoted(text: str) -> str:
    """Percent-decoded text; bytes that are no UTF-8 become U+FFFD."""
    return unquote_to_bytes(text).decode("utf-8", "replace")


class Reader:
    """Reads the requests of one operation."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._parameters = [(p, p.name.lower(), _validator(p.schema)) for p in operation.parameters]
        self._body = _validator({"$ref": f"#/$defs/{operation.body}"}) if operation.body else None
        self._holes = _HOLES.get(operation.name, ())

    def parameters(self, path: Mapping[str, str], query: str, headers: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """Values by place and name; `Refused` with 422 lists every fault."""
        found: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}}
        faults: list[dict[str, Any]] = []
        pairs = parse_qsl(query, keep_blank_values=True, errors="replace") if query else []
        for parameter, lower, validator in self._parameters:
            text: str | list[str] | None
            if parameter.place == "query":
                texts = [value for key, value in pairs if key == parameter.name]
                # Of a scalar given twice the last one counts, as in most servers.
                text = (texts if parameter.schema["type"] == "array" else texts[-1]) if texts else None
            else:
                text = path.get(parameter.name) if parameter.place == "path" else headers.get(lower)
            if text is None:
                faults += _missing(parameter)
                continue
            value = text if isinstance(text, list) else _value(text, parameter.schema["type"])
            errors = [] if validator.is_valid(value) else list(validator.iter_errors(value))
            faults += [_fault([parameter.place, parameter.name], e.message, e.kind.name) for e in errors]
            found[parameter.place][parameter.name] = value
        if faults:
            raise Refused(422, faults)
        return found

    def ignores(self, query: str) -> bool:
        """Whether a query has a parameter that nobody reads."""
        known = {p.name for p, _, _ in self._parameters if p.place == "query"}
        return any(name not in known for name, _ in parse_qsl(query, keep_blank_values=True, errors="replace"))

    def body(self, raw: bytes, content_type: str) -> tuple[Any, tuple[str, ...]]:
        """The value of a body, and the holes that let it through; `Refused` with 400, 415 or 422."""
        assert self._body is not None
        media, _, rest = content_type.partition(";")
        if media.strip().lower() != self._operation.media or not _is_utf8(rest):
            raise Refused(415, f"Content-Type must be {self._operation.media}")
        value = self._form(raw) if self._operation.media == FORM else _json(raw)
        checked = _encodable(value) if b"\\u" in raw else value
        if self._body.is_valid(checked):
            return value, ()
        errors = list(self._body.iter_errors(checked))
        holes = [next((h for h in self._holes if _fits(h, e)), None) for e in errors]
        if None in holes:
            raise Refused(422, [_fault(["body", *map(str, e.instance_path)], e.message, e.kind.name) for e in errors])
        return value, tuple(dict.fromkeys(h.defect for h in holes if h and h.defect))

    def _form(self, raw: bytes) -> dict[str, Any]:
        known = SCHEMAS[self._operation.body]["properties"]
        try:
            pairs = parse_qsl(raw.decode("utf-8"), keep_blank_values=True, errors="strict")
        except UnicodeDecodeError:
            raise Refused(400, "The form is no UTF-8") from None
        return {name: _value(text, known[name]["type"]) if name in known else text for name, text in pairs}


def _validator(schema: Mapping[str, Any]) -> Any:
    whole = {**schema, "$defs": dict(SCHEMAS)}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def _fits(hole: _Hole, error: Any) -> bool:
    path: Sequence[str | int] = error.instance_path
    if error.kind.name != hole.keyword or len(path) != len(hole.path):
        return False
    if hole.name and error.kind.property != hole.name:
        return False
    return all(
        there == here or (there == "*" and isinstance(here, int)) for there, here in zip(hole.path, path, strict=True)
    )


def _missing(parameter: Parameter) -> Iterable[dict[str, Any]]:
    if parameter.required and "default" not in parameter.schema:
        yield _fault([parameter.place, parameter.name], "Field required", "missing")


def _fault(where: list[str], message: str, kind: str) -> dict[str, Any]:
    return {"loc": where, "msg": message, "type": kind}


def _value(text: str, kind: Any) -> Any:
    """What a text means where `kind` is expected; the text itself where it means nothing of that kind."""
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if kind in ("integer", "number") and len(text) < _MOST_DIGITS and _NUMBER.fullmatch(text):
        number = float(text)
        if text.lstrip("-").isdigit():
            return int(text)
        return number if math.isfinite(number) else text
    return text


def _json(raw: bytes) -> Any:
    try:
        text = raw.decode("utf-8")
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"The body is no JSON: {type(error).__name__}") from None


def _encodable(value: Any) -> Any:
    """A value with U+FFFD for each lone surrogate, of which the validator can make nothing."""
    try:
        text = json.dumps(value, ensure_ascii=False)
        return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    except RecursionError:
        raise Refused(400, "The body is nested too deep") from None


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _is_utf8(rest: str) -> bool:
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]+)", rest, re.IGNORECASE)
    return charset is None or charset[1].lower() in ("utf-8", "utf8")
