"""What a standalone test asserts fails for the reply that was seen, and holds for one that is right."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gnomon.fuzz.base import NOTHING, Answer, Api, Case, Exchange, Header, Operation, Reply, Request, Take, Violation
from gnomon.fuzz.checks import Promises, violations
from gnomon.fuzz.outputs.assertions import assertions
from gnomon.fuzz.outputs.support import SUPPORT

JSON = (("content-type", "application/json"),)
ITEM = {
    "type": "object",
    "required": ["id", "of"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "integer", "minimum": 1, "maximum": 9, "multipleOf": 1},
        "of": {"$ref": "#/$defs/Of"},
        "when": {"type": "string", "format": "date"},
        "kind": {"enum": ["a", "b"]},
    },
}
OF = {"type": "array", "minItems": 1, "items": {"type": "string", "maxLength": 3, "pattern": "^x"}}
ANSWER = Answer(
    content={"application/json": {"$ref": "#/$defs/Item"}}, headers={"X-N": Header(schema=True, required=True)}
)
OPERATION = Operation(method="GET", path="/items/{id}", answers={"200": ANSWER})
API = Api(title="I", version="1", dialect="openapi-3.1", operations=(OPERATION,), definitions={"Item": ITEM, "Of": OF})
RIGHT = {"id": 1, "of": ["x"]}


def reply(value: Any, *, status: int = 200, headers: tuple[tuple[str, str], ...] = (*JSON, ("x-n", "1"))) -> Reply:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Reply(status=status, headers=headers, body=body)


def step(answer: Reply, method: str = "GET", body: Any = NOTHING, **more: Any) -> Exchange:
    case = Case(operation=OPERATION, body=body, parameters={("path", "id"): 7})
    return Exchange(case=case, request=Request(method=method, target="/items/7"), reply=answer, **more)


def holds(violation: Violation, *replies: Reply, **names: Any) -> bool:
    """Whether the lines of a violation's test hold for these replies."""
    space: dict[str, Any] = {}
    exec(SUPPORT, space)
    made = {f"r{i}": space["Reply"](r.status, list(r.headers), r.body) for i, r in enumerate(replies)}
    try:
        exec("\n".join(assertions(violation, API)), {**space, **made, **names})
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("wrong", [
    {"of": ["x"]}, {"id": "1", "of": ["x"]}, {"id": 0, "of": ["x"]}, {"id": 10, "of": ["x"]}, {**RIGHT, "more": 1},
    {**RIGHT, "of": []}, {**RIGHT, "of": ["x", 1]}, {**RIGHT, "of": ["xxxx"]}, {**RIGHT, "of": ["x", "y"]},
    {**RIGHT, "when": "2024-02-30"}, {**RIGHT, "kind": "c"}, {**RIGHT, "kind": "\ud800"}, b"{", b"[1]",
])  # fmt: skip
def test_a_body_that_breaks_its_schema(wrong: Any) -> None:
    found = violations(step(reply(wrong)), Promises(API))
    assert [each.check for each in found] == ["response_body"]
    assert not holds(found[0], reply(wrong))
    assert holds(found[0], reply(RIGHT))
    assert holds(found[0], reply({}, status=404))


@pytest.mark.parametrize(("wrong", "right"), [
    (reply(RIGHT, status=418), reply(RIGHT)),
    (reply(RIGHT, status=500), reply(RIGHT)),
    (Reply(status=0, fault="dropped"), reply(RIGHT)),
    (reply(RIGHT, headers=JSON), reply(RIGHT)),
    (reply(RIGHT, headers=(("x-n", "1"),)), reply(RIGHT)),
    (reply(RIGHT, headers=(("x-n", "1"), ("content-type", "text/plain"))), reply(RIGHT)),
    (reply(RIGHT, headers=(("x-n", "1"), ("content-type", "nothing"))), reply(RIGHT)),
])  # fmt: skip
def test_a_reply_that_breaks_the_contract(wrong: Reply, right: Reply) -> None:
    (found,) = [each for each in violations(step(wrong), Promises(API)) if each.certain]
    assert not holds(found, wrong)
    assert holds(found, right)


def story(check: str, key: tuple[str, ...], *steps: Exchange) -> Violation:
    return Violation(check=check, key=(check, *key), title=check, severity="high", certain=True, steps=steps)


def test_promises_that_several_requests_break() -> None:
    old, new = reply({"data": {"phone": "1", "n": 1}}), reply({"data": {"phone": " 2", "n": 1}})
    change = step(reply({}), "PATCH", {"phone": "2"})
    lost = story("update_not_visible", ("PATCH /items/{id}", "phone"), step(old), change, step(old))
    assert not holds(lost, old, reply({}), old)
    assert holds(lost, old, reply({}), new)

    put = step(reply({}), "PUT", {})
    moved = story("non_idempotent_put", ("PUT /items/{id}", "phone"), put, step(old), put, step(new))
    assert not holds(moved, reply({}), old, reply({}), new)
    assert holds(moved, reply({}), old, reply({}), old)

    take = Take(step=0, expression="$response.body#/id", location="path", place="id")
    gone = story("list_inconsistent", ("/items/{id}", "gone"), step(old), step(old, takes=(take,)))
    assert not holds(gone, old, reply([{"id": "7"}]), id0=7)
    assert holds(gone, old, reply([{"id": "8"}]), id0=7)
    missing = story("list_inconsistent", ("/items/{id}", "missing"), step(old), step(old, takes=(take,)))
    assert holds(missing, old, reply([{"id": "7"}]), id0=7)
    assert not holds(missing, old, reply([{"id": "8"}]), id0=7)

    read = story("use_after_delete", ("/items/{id}", "read"), step(old), step(old))
    assert (holds(read, old, old), holds(read, old, reply({}, status=404))) == (False, True)
    lost = story("created_not_found", ("POST /items",), step(old), step(old))
    assert (holds(lost, old, reply({}, status=404)), holds(lost, old, old)) == (False, True)
    refused = story("valid_data_rejected", ("POST /items", "x"), step(old))
    assert (holds(refused, reply({}, status=422)), holds(refused, old)) == (False, True)


def test_errors_of_graphql() -> None:
    told, data = reply({"errors": [{"message": "no"}], "data": None}), reply({"data": {}})
    fails = story("graphql_error", ("QUERY a", "no"), step(told))
    assert (holds(fails, told), holds(fails, data)) == (False, True)
    accepted = story("graphql_error", ("QUERY a", "accepted", "/x", "type"), step(data))
    assert (holds(accepted, data), holds(accepted, told)) == (False, True)


def test_what_cannot_be_judged_by_hand_is_skipped() -> None:
    with pytest.raises(pytest.skip.Exception, match="own"):
        holds(story("mine", ("GET /items/{id}",), step(reply({}))), reply({}))
    with pytest.raises(pytest.skip.Exception, match="document"):
        holds(story("graphql_error", ("QUERY a", "a.b", "is no Int"), step(reply({}))), reply({}))
