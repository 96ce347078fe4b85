"""A certified request is refused by servers that read text as common frameworks do; a valid one is never certified."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.fuzz.base import NOTHING, Case, Location, Media, Operation, Parameter, Request
from gnomon.fuzz.certificate import certificate
from gnomon.fuzz.values import Draws, assemble, compile, spoil
from gnomon.fuzz.writing import Unsendable, written
from tests.laws._parsers import PARSERS, json_body, parameter_read, read

SCHEMAS: list[dict[str, Any]] = [
    {"type": "integer"},
    {"type": "integer", "minimum": 1, "maximum": 9},
    {"type": "integer", "multipleOf": 5},
    {"type": "number", "exclusiveMinimum": 0},
    {"type": "boolean"},
    {"type": "string", "minLength": 2, "maxLength": 5},
    {"type": "string", "pattern": "^[a-z]+$"},
    {"type": "string", "format": "date"},
    {"type": "string", "format": "date-time"},
    {"type": "string", "format": "uuid"},
    {"type": "string", "format": "email"},
    {"type": "string", "enum": ["red", "green"]},
    {"type": "integer", "enum": [1, 2, 3]},
    {"type": ["integer", "null"], "minimum": 3},
    {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
    {"type": "array", "items": {"type": "string", "minLength": 2}, "uniqueItems": True},
    {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}},
]
MEDIA = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")
LOCATIONS: tuple[Location, ...] = ("query", "path", "header", "cookie")
BODY = {
    "type": "object",
    "properties": {"n": SCHEMAS[1], "s": SCHEMAS[5], "d": SCHEMAS[7], "e": SCHEMAS[11]},
    "required": ["n", "s"],
    "additionalProperties": False,
}


def operation_of(schema: Any, location: Location) -> Operation:
    """An operation with one parameter, or a body."""
    if location == "body":
        return Operation(
            method="POST", path="/x", bodies={"application/json": Media(schema=schema)}, body_required=True
        )
    explode = location == "query"
    style = "form" if explode or location == "cookie" else "simple"
    parameter = Parameter(name="p", location=location, schema=schema, required=True, style=style, explode=explode)
    return Operation(method="GET", path="/x/{p}" if location == "path" else "/x", parameters=(parameter,))


def sent(operation: Operation, value: Any) -> tuple[Case, Request] | None:
    """The case and its bytes; None where no client can send them, or they are another request."""
    if operation.bodies:
        case = Case(operation=operation, body=value, media_type=next(iter(operation.bodies)), mode="invalid")
    else:
        (parameter,) = operation.parameters
        case = Case(operation=operation, parameters={(parameter.location, "p"): value}, mode="invalid")
    try:
        request = written(case)
    except Unsendable:
        return None
    return case, request


def refused(operation: Operation, request: Request, name: str) -> bool:
    """Whether the parser called `name` refuses the request."""
    try:
        if operation.bodies:
            json_body(request, next(iter(operation.bodies.values())).schema)
        else:
            parameter_read(request, operation, PARSERS[name])
    except ValueError:
        return True
    return False


@cache
def _pools(number: int) -> Draws:
    return Draws(number)


def draws(seed: int) -> Draws:
    """Choices of their own for each seed, out of pools that several seeds share: filling pools is what costs."""
    rng = _pools(seed % 4)
    rng.seed(seed)
    return rng


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SCHEMAS), st.sampled_from(LOCATIONS), st.integers(0, 10**6))
def test_what_is_certified_is_refused(schema: Any, location: Location, seed: int) -> None:
    rng, compiled, operation = draws(seed), compile(schema), operation_of(schema, location)
    made = spoil(compiled, rng, rng.choice(compiled.flaws))
    pair = made and sent(operation, made.value)
    if pair and certificate(*pair, {}):
        assert [name for name in PARSERS if not refused(operation, pair[1], name)] == []


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SCHEMAS), st.sampled_from(LOCATIONS), st.integers(0, 10**6))
def test_what_is_valid_is_never_certified(schema: Any, location: Location, seed: int) -> None:
    made = assemble(compile(schema), draws(seed))
    assert made is not None
    pair = sent(operation_of(schema, location), made.value)
    assert pair is None or made.value == [] or made.value is None or not certificate(*pair, {})


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]),
)
def test_bodies(seed: int, kind: str) -> None:
    rng, compiled = draws(seed), compile(BODY)
    operation = Operation(method="POST", path="/x", bodies={kind: Media(schema=BODY)}, body_required=True)
    good, bad = assemble(compiled, rng), spoil(compiled, rng, rng.choice(compiled.flaws))
    assert good is not None
    pair = sent(operation, good.value)
    assert pair is not None and not certificate(*pair, {})
    pair = bad and sent(operation, bad.value)
    if pair and kind == "application/json":
        assert certificate(*pair, {}) or bad.flaw.keyword == "format"
        assert refused(operation, pair[1], "fastapi") or bad.flaw.keyword == "format"
    elif pair and certificate(*pair, {}) and isinstance(bad.value, dict):
        assert set(bad.value) != {"n", "s"} or any(unread(bad.value[name], name) for name in ("n", "s"))


def unread(value: Any, name: str) -> bool:
    """Whether no parser takes a field's text."""
    text = value if isinstance(value, str) else "" if value is None else str(value).lower()
    for convert, dates, _ in PARSERS.values():
        try:
            read(text, BODY["properties"][name], convert, dates)
        except ValueError:
            continue
        return False
    return True


@pytest.mark.parametrize(
    ("schema", "value", "certified"),
    [
        ({"type": "integer"}, "abc", True),
        ({"type": "integer"}, "1", False),
        ({"type": "integer"}, True, True),
        ({"type": "integer"}, 1.5, True),
        ({"type": "integer", "minimum": 1}, 0, True),
        ({"type": "integer", "minimum": 1}, "NaN", True),
        ({"type": "number", "minimum": 1}, "NaN", False),
        ({"type": "string"}, 5, False),
        ({"type": "string", "minLength": 2}, "a", True),
        ({"type": "string", "minLength": 2}, " a", False),
        ({"type": "string", "pattern": "^a$"}, "a\n", False),
        ({"type": "boolean"}, "yes", False),
        ({"type": "boolean"}, "maybe", True),
        ({"type": ["integer", "null"]}, "null", False),
        ({"type": "string", "format": "date"}, "2023-02-29", True),
        ({"type": "string", "format": "date"}, "1/2/2024", False),
        ({"type": "string", "format": "uuid"}, "0" * 32, False),
        ({"type": "array", "items": {"type": "integer"}}, "5", False),
        ({"type": "array", "items": {"type": "integer"}}, ["x"], True),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 2}, [1, 2, 3], True),
        ({"type": "integer", "format": "int32"}, 2**40, False),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 10}, list(range(11)), True),
        ({"type": "array", "items": {"type": "integer"}}, list(range(11)), False),
    ],
)
def test_readings_of_a_query(schema: Any, value: Any, certified: bool) -> None:
    pair = sent(operation_of(schema, "query"), value)
    assert pair is not None and certificate(*pair, {}) is certified


def test_what_is_absent() -> None:
    needed = operation_of({"type": "integer"}, "query")
    bare = Request(method="GET", target="/x")
    assert certificate(Case(operation=needed), bare, {})
    free = Operation(
        method="GET", path="/x", parameters=(Parameter(name="p", location="query", schema=False, required=False),)
    )
    assert not certificate(Case(operation=free), bare, {})
    body = operation_of(BODY, "body")
    assert certificate(Case(operation=body, body=NOTHING), Request(method="POST", target="/x"), {})


def test_base_paths_references_and_unknown_media() -> None:
    schema = {"$ref": "#/$defs/P"}
    operation = operation_of(schema, "path")
    definitions = {"P": {"type": "integer", "minimum": 10}}
    case = Case(operation=operation)
    assert certificate(case, Request(method="GET", target="/api/v1/x/5"), definitions)
    assert not certificate(case, Request(method="GET", target="/api/v1/x/50"), definitions)
    assert not certificate(case, Request(method="GET", target="/elsewhere"), definitions)
    xml = Operation(method="POST", path="/x", bodies={"application/xml": Media(schema=False)}, body_required=True)
    request = Request(method="POST", target="/x", headers=(("content-type", "application/xml"),), body=b"<a/>")
    assert not certificate(Case(operation=xml), request, {})


def test_objects_in_the_query() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    for style, explode in (("deepObject", True), ("form", True), ("form", False)):
        parameter = Parameter(name="p", location="query", schema=schema, required=True, style=style, explode=explode)
        operation = Operation(method="GET", path="/x", parameters=(parameter,))
        assert [certificate(*pair, {}) for v in (1, "x") if (pair := sent(operation, {"a": v}))] == [False, True]
