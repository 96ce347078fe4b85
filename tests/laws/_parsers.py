"""Three ways in which web frameworks read the text of a request, in plain Python; ValueError is a refusal."""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote

import jsonschema

from gnomon.fuzz.base import Operation, Parameter, Request

Convert = Callable[[str, str], Any]
Parser = tuple[Convert, Callable[[str], None], bool]


def texts(request: Request, operation: Operation, parameter: Parameter) -> list[str]:
    """The decoded texts of a parameter."""
    path, _, query = request.target.partition("?")
    if parameter.location == "path":
        shape = re.escape(operation.path).replace(re.escape("{" + parameter.name + "}"), "([^/]*)")
        match = re.fullmatch(shape, path)
        assert match is not None
        return [unquote(match[1])]
    if parameter.location == "query":
        return [value for name, value in parse_qsl(query, keep_blank_values=True) if name == parameter.name]
    headers = {name.lower(): value for name, value in request.headers}
    if parameter.location == "header":
        return [headers[parameter.name.lower()]] if parameter.name.lower() in headers else []
    pairs = [part.strip().partition("=") for part in headers.get("cookie", "").split(";")]
    return [value for name, _, value in pairs if name == parameter.name]


def schema_check(value: Any, schema: Any) -> Any:
    """The value, where the constraints hold; formats are what converting is for."""
    if not jsonschema.Draft202012Validator(schema).is_valid(value):
        raise ValueError(value)
    return value


def fastapi_convert(text: str, kind: str) -> Any:
    """As pydantic's lax mode reads text: blanks around numbers, 1.0 for integers, words for truth values."""
    if kind == "integer":
        return int(re.sub(r"\.0*\s*$", "", text))
    if kind == "boolean":
        return truth(text.lower(), ("true", "1", "on", "t", "y", "yes"), ("false", "0", "off", "f", "n", "no"))
    return float(text) if kind == "number" else text


def flask_convert(text: str, kind: str) -> Any:
    """As `request.args.get(name, type=...)` with the types that people give."""
    if kind == "boolean":
        return truth(text.lower(), ("true", "1"), ("false", "0"))
    return {"integer": int, "number": float}.get(kind, str)(text)


def django_convert(text: str, kind: str) -> Any:
    """As the fields of Django's forms: stripped text, integers with a zero fraction, several words for truth values."""
    bare = text.strip()
    if kind == "boolean":
        return truth(bare, ("True", "true", "1"), ("False", "false", "0"))
    return bare if kind == "string" else fastapi_convert(bare, kind)


def truth(text: str, true: Sequence[str], false: Sequence[str]) -> bool:
    """What the word says."""
    if text not in (*true, *false):
        raise ValueError(text)
    return text in true


def _refuse(text: str) -> Any:
    raise ValueError(text)


def iso(text: str) -> None:
    """Refuses what is neither ISO 8601 nor a timestamp."""
    if not re.fullmatch(r"\s*[+-]?\d+(\.\d+)?\s*", text):
        dt.datetime.fromisoformat(text.strip().replace("Z", "+00:00"))


def django_date(text: str) -> None:
    """Refuses what Django's default layouts do."""
    for layout in ("%Y-%m-%d", "%m/%d/%Y", "%m/%d/%y", "%b %d %Y"):
        try:
            dt.datetime.strptime(text.strip(), layout)
        except ValueError:
            continue
        return
    iso(text)


def email(text: str) -> None:
    """Refuses what has no @ between two parts."""
    if not re.fullmatch(r"\s*[^@]+@[^@]+\s*", text):
        raise ValueError(text)


def read(value: Any, schema: Mapping[str, Any], convert: Convert, dates: Callable[[str], None]) -> Any:
    """A text, or a list of texts, as the schema's type asks for it, and then checked."""
    kind = schema.get("type")
    if isinstance(value, list):
        items = [read(each, schema.get("items", {}), convert, dates) for each in value]
        return schema_check(items, schema)
    kinds = [kind] if isinstance(kind, str) else list(kind or ["string"])
    for each in kinds:
        if each == "null" and value.strip().lower() in ("", "null", "none"):
            return None
    for each in sorted(kinds, key="string".__eq__):
        try:
            found = convert(value, each)
        except (ValueError, OverflowError):
            continue
        form = schema.get("format")
        if form in ("date", "date-time"):
            dates(found)
        elif form == "uuid":
            uuid.UUID(found.strip())
        elif form == "email":
            email(found)
        try:
            return schema_check(found, schema)
        except ValueError:
            continue
    raise ValueError(value)


def parameter_read(request: Request, operation: Operation, parser: Parser) -> Any:
    """The value of the operation's parameter; None where it may be absent and is.

    Raises:
        ValueError: it is refused.
    """
    (parameter,), (convert, dates, last) = operation.parameters, parser
    found = texts(request, operation, parameter)
    schema = parameter.schema
    assert isinstance(schema, Mapping)
    if schema.get("type") == "array":
        if len(found) == 1 and "," in found[0]:
            ways: Sequence[list[str]] = [found[0].split(","), found]
        else:
            ways = [found]
        for way in ways:
            try:
                return read(way, schema, convert, dates)
            except ValueError:
                continue
        if not found and not parameter.required:
            return None
        raise ValueError(found)
    if not found:
        return None if not parameter.required else _refuse(parameter.name)
    return read(found[-1] if last else found[0], schema, convert, dates)


def json_body(request: Request, schema: Any) -> Any:
    """The body, where its schema admits it: bodies of JSON are not converted."""
    return schema_check(json.loads(request.body), schema)


PARSERS: dict[str, Parser] = {
    "fastapi": (fastapi_convert, iso, True),
    "flask": (flask_convert, iso, False),
    "django": (django_convert, django_date, True),
}
"""By framework: how a text is converted, how dates are read, and whether the last of several texts counts."""
