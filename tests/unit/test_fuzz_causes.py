"""One cause behind several defects: an exception that several operations raise, a named schema that several break."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from gnomon.fuzz.base import Answer, Api, Case, Exchange, Fault, Media, Operation, Reply, Request
from gnomon.fuzz.checks import Promises
from gnomon.fuzz.checks.accepting import missing_header_accepted, negative_data_accepted
from gnomon.fuzz.checks.server import server_error
from gnomon.fuzz.config import Fuzzing
from gnomon.fuzz.searching import Finished, fuzz
from gnomon.fuzz.targets import mounted

ITEM = {"type": "object", "properties": {"price": {"type": "number"}}, "required": ["price"]}


def operation(name: str) -> dict[str, Any]:
    """An operation that takes a number and answers an item."""
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}}
    number = {"name": "n", "in": "query", "required": True, "schema": {"type": "integer"}}
    answers = {"200": {"description": "", "content": content}, "422": {"description": ""}}
    return {"operationId": name, "parameters": [number], "responses": answers}


DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Shared", "version": "1"},
    "paths": {f"/{name}": {"get": operation(name)} for name in ("a", "b", "c")},
    "components": {"schemas": {"Item": ITEM}},
}


def share(n: int) -> float:
    """What two handlers call."""
    return 1 / n


def handled_a(n: int) -> object:
    share(n)
    return {"price": "free"}


def handled_b(n: int) -> object:
    share(n)
    return {"price": None}


def handled_c(n: int) -> object:
    return {"price": n}


HANDLERS = {"/a": handled_a, "/b": handled_b, "/c": handled_c}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serves the document."""
    try:
        n = int(parse_qs(scope["query_string"].decode())["n"][0])
    except (KeyError, ValueError):
        status, answer = 422, {}
    else:
        status, answer = 200, HANDLERS[scope["path"]](n)
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    config = Fuzzing(max_time=20, max_requests=400, connections=1, checks=("server_error", "response_body"))
    return fuzz(mounted(app, DOCUMENT, config), config, root=tmp_path_factory.mktemp("runs"))


def test_shared_causes_are_counted_and_listed(done: Finished) -> None:
    report = done.report
    assert report.summary.startswith("4 distinct defects of likely 2 causes")
    values = {each.metric: each.value for each in report.estimates}
    assert (values["distinct defects"], values["causes"]) == (4, 2)
    (table,) = [each for each in report.tables if each.title == "Shared causes"]
    assert [(row[0], row[2], row[3]) for row in sorted(table.rows)] == [
        ("response_body", 2, "GET /a, GET /b"),
        ("server_error", 2, "GET /a, GET /b"),
    ]


def test_defects_of_one_cause_stand_together(done: Finished) -> None:
    checks = [each.key.split(" | ")[0] for each in done.report.findings]
    assert checks[0] == checks[1] and checks[2] == checks[3] and checks[0] != checks[2]
    first, second, *_ = done.report.findings
    assert "likely one cause in 2 operations: GET /a, GET /b" in first.detail
    assert f"likely the same cause as: {first.title}" in second.detail


def asked(path: str, body: bytes, **more: Any) -> Exchange:
    """An exchange with a 500 that says `body`."""
    case = Case(operation=Operation(method="GET", path=path))
    return Exchange(case=case, request=Request(method="GET", target=path), reply=Reply(status=500, body=body, **more))


@pytest.mark.parametrize(
    ("body", "told"),
    [(b"KeyError: 'price'", True), (b'{"detail": "Internal Server Error"}', False), (b"InternalServerError", False)],
)
def test_an_error_without_a_trace_has_a_cause_where_it_names_an_exception(body: bytes, told: bool) -> None:
    promises = Promises(Api(title="", version="", dialect="openapi-3.1", operations=()))
    (one,) = server_error(asked("/a", body), promises)
    (other,) = server_error(asked("/b", body), promises)
    assert one.key != other.key and one.root == other.root and bool(one.root) is told


def taken(schema: Any, body: Any, definitions: Any, fault: Fault) -> list[Any]:
    """What is said of an invalid body that was taken."""
    media = {"application/json": Media(schema=schema)}
    posted = Operation(method="POST", path="/x", bodies=media, body_required=True, answers={"200": Answer()})
    api = Api(title="", version="", dialect="openapi-3.1", operations=(posted,), definitions=definitions)
    case = Case(operation=posted, body=body, media_type="application/json", mode="invalid", why=(fault,))
    kind = (("content-type", "application/json"),)
    request = Request(method="POST", target="/x", headers=kind, body=json.dumps(body).encode())
    exchange = Exchange(case=case, request=request, reply=Reply(status=200))
    return [*negative_data_accepted(exchange, Promises(api)), *missing_header_accepted(exchange, Promises(api))]


def test_the_pointer_of_what_was_taken_is_escaped() -> None:
    schema = {"type": "object", "properties": {"a/b~c": {"type": "integer"}}}
    fault = Fault(location="body", pointer="", keyword="type", kind="wrong type")
    (found,) = taken(schema, {"a/b~c": "x"}, {}, fault)
    assert found.key[3] == "/a~1b~0c" and not found.root


def test_what_two_operations_take_against_one_named_schema_has_one_cause() -> None:
    named = {"Item": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}
    fault = Fault(location="body", pointer="", keyword="type", kind="wrong type")
    (whole,) = taken({"$ref": "#/$defs/Item"}, {"n": "x"}, named, fault)
    (listed,) = taken({"type": "array", "items": {"$ref": "#/$defs/Item"}}, [{"n": "x"}], named, fault)
    (lacking,) = taken({"$ref": "#/$defs/Item"}, {}, named, fault)
    assert whole.root == listed.root != () and whole.key != listed.key and lacking.root != whole.root
