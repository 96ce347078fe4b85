"""One cause behind several defects: an exception that several operations raise, a named schema that several break."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from gnomon.fuzz.base import Answer, Api, Case, Defect, Exchange, Fault, Media, Operation, Reply, Request, Violation
from gnomon.fuzz.checks import Promises
from gnomon.fuzz.checks.accepting import missing_header_accepted, negative_data_accepted
from gnomon.fuzz.checks.server import server_error
from gnomon.fuzz.config import Fuzzing
from gnomon.fuzz.searching import Finished, fuzz
from gnomon.fuzz.targets import mounted
from gnomon.fuzz.triage.causes import by_cause

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


def test_an_exception_is_shown_by_its_end(done: Finished) -> None:
    (crash, *_) = [each for each in done.report.findings if each.key.startswith("server_error")]
    assert "in share return 1 / n" in crash.detail and crash.detail.endswith("ZeroDivisionError: division by zero")


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


def repeated(name: str) -> Exchange:
    """A 501 that repeats what was sent, once within quotes and once without."""
    posted = Operation(method="POST", path="/sessions")
    case = Case(operation=posted, body={"kernel": {"name": name}}, media_type="application/json")
    said = json.dumps({"message": f"The '{name}' kernel is not there", "short": f"{name} not found"}).encode()
    request = Request(method="POST", target="/sessions")
    return Exchange(case=case, request=request, reply=Reply(status=501, body=said))


def test_an_error_that_repeats_what_was_sent_is_one_defect() -> None:
    promises = Promises(Api(title="", version="", dialect="openapi-3.1", operations=()))
    keys = {
        each.key
        for name in ("Anonymous Sinope", "u-p", "NULL", "\ud800x~")
        for each in server_error(repeated(name), promises)
    }
    assert len(keys) == 1


async def nowhere(scope: Any, receive: Any, send: Any) -> None:
    """A server whose paths begin with something that the document does not say."""
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b'{"detail": "Not Found"}'})


def test_a_server_that_knows_no_path_is_said_to_be_elsewhere(tmp_path: Any) -> None:
    config = Fuzzing(max_time=20, max_requests=60, connections=1)
    report = fuzz(mounted(nowhere, DOCUMENT, config), config, root=tmp_path).report
    (note,) = report.notes
    assert note.startswith("every operation answers 404 and nothing else: requests go to paths below /; give --url")
    refusals = [each for each in report.findings if each.key.startswith("undocumented_status")]
    assert len(refusals) == 3 and [bool(each.same_as) for each in refusals] == [False, True, True]


def test_the_severest_stand_first_and_what_always_comes_back_before_what_does_not() -> None:
    def defect(severity: str, times: int, name: str) -> Defect:
        steps = (asked(f"/{name}", b""),)
        said = Violation(check="x", key=(name,), title=name, severity=severity, certain=True, steps=steps)
        return Defect(violation=said, reproduced=(times, 3), first_seen=0.0, requests=1)

    found = [defect("low", 3, "a"), defect("high", 1, "b"), defect("critical", 3, "c"), defect("high", 3, "d")]
    assert [group[0].violation.title for group in by_cause(found)] == ["c", "d", "b", "a"]
