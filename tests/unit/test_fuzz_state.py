"""Who makes what others take: names, kinds of things, what is remembered, and promises of several requests."""

import asyncio
import json
import random
from dataclasses import replace

import pytest

from gnomon.fuzz.base import Api, Case, Exchange, Operation, Parameter, Reply, Request
from gnomon.fuzz.directions import answered, request_side, unsent
from gnomon.fuzz.identities import ANONYMOUS, identity, wrong
from gnomon.fuzz.pace import Pace
from gnomon.fuzz.state.expressions import evaluate
from gnomon.fuzz.state.memory import Memory
from gnomon.fuzz.state.names import is_identifier, singular, subject_of, words
from gnomon.fuzz.state.resources import Route, resources
from gnomon.fuzz.state.semantics import differs, is_soft_deleted, listed, lists, unseen, unseen_of


@pytest.mark.parametrize("name", ["userId", "user_id", "User-ID", "user.id", "userID"])
def test_names_are_one_however_they_are_written(name):
    assert words(name) == ("user", "id") and subject_of(name) == "user" and is_identifier(name)


def test_plurals_are_folded():
    assert [singular(each) for each in ("users", "cities", "boxes", "status", "address")] == [
        "user", "city", "box", "status", "address",
    ]  # fmt: skip


def _op(method, path):
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    parameters = tuple(Parameter(name=n, location="path", schema={"type": "string"}, required=True) for n in names)
    return Operation(method=method, path=path, parameters=parameters)


OPERATIONS = {
    key: _op(*key.split())
    for key in (
        "GET /users", "POST /users", "GET /users/{id}", "PATCH /users/{id}", "DELETE /users/{id}",
        "POST /users/{id}/orders", "GET /users/{id}/orders/{n}", "DELETE /users/{id}/orders/{n}",
        "POST /users/{id}/lock", "PUT /labels/{label}", "GET /labels/{label}",
    )
}  # fmt: skip
API = Api(title="", version="", dialect="openapi-3.1", operations=tuple(OPERATIONS.values()), base_path="/v1")


def test_paths_tell_who_makes_reads_changes_and_removes():
    users, labels, orders = sorted(resources(API), key=lambda each: (each.item.count("{"), -len(each.item), each.item))[
        :3
    ]
    if users.item != "/users/{id}":
        users, labels = labels, users
    assert (users.item, users.name, labels.item) == ("/users/{id}", "user", "/labels/{label}")
    keys = {
        role: [each.key for each in getattr(users, role)]
        for role in ("creates", "lists", "reads", "updates", "deletes")
    }
    assert keys == {
        "creates": ["POST /users"], "lists": ["GET /users"], "reads": ["GET /users/{id}"],
        "updates": ["PATCH /users/{id}"], "deletes": ["DELETE /users/{id}"],
    }  # fmt: skip
    assert [each.key for each in users.inner] == ["POST /users/{id}/orders", "POST /users/{id}/lock"]
    assert [each.key for each in labels.creates] == ["PUT /labels/{label}"]
    assert (orders.item, orders.parent) == ("/users/{id}/orders/{n}", "/users/{id}")


def test_routes_read_parameters_out_of_urls():
    route = Route("/users/{id}/orders/{n}", "/v1")
    assert route.read("http://h/v1/users/a%20b/orders/7/?x=1") == {"id": "a b", "n": "7"}
    assert route.read("/users/1") is None


def _exchange(key, path=None, body=None, status=200, headers=(), number=0, sent=None):
    case = Case(operation=OPERATIONS[key], parameters={("path", n): v for n, v in (path or {}).items()}, body=sent)
    payload = b"" if body is None else json.dumps(body).encode()
    reply = Reply(status=status, headers=headers, body=payload)
    return Exchange(case=case, request=Request(method=key.split()[0], target="/"), reply=reply, number=number)


def test_things_are_known_by_location_by_body_and_by_lists():
    memory = Memory(API)
    made = memory.learn(_exchange("POST /users", status=201, headers=(("location", "/v1/users/7"),)))
    assert made.params == {"id": "7"} and made.source == {"id": "$response.header.Location"}
    order = memory.learn(_exchange("POST /users/{id}/orders", {"id": "7"}, {"data": {"n": 3, "total": 5}}, 201))
    assert (order.params, order.source) == ({"id": "7", "n": 3}, {"n": "$response.body#/data/n"})
    memory.learn(_exchange("GET /users", body={"items": [{"id": 8, "name": "ann"}]}))
    assert [each.params for each in memory.alive["/users/{id}"]] == [{"id": "7"}, {"id": 8}]
    assert memory.value("name", random.Random(0)) == "ann"
    assert memory.identifier("userId", random.Random(0)) in ("7", 8)
    assert memory.identifier("shopId", random.Random(0)) is None


def test_what_is_removed_is_gone_with_what_belongs_to_it():
    memory = Memory(API)
    memory.learn(_exchange("POST /users", status=201, headers=(("location", "/users/7"),)))
    memory.learn(_exchange("POST /users/{id}/orders", {"id": "7"}, {"n": 3}, 201))
    memory.learn(_exchange("DELETE /users/{id}", {"id": "7"}, status=204))
    assert not memory.alive["/users/{id}"] and not memory.alive["/users/{id}/orders/{n}"]
    assert memory.thing_for("/users/{id}", random.Random(0), gone=True).params == {"id": "7"}
    assert [each.case.operation.method for each in memory.gone["/users/{id}"][0].history] == ["POST", "POST", "DELETE"]


def test_what_a_story_holds_others_do_not_get():
    memory = Memory(API)
    thing = memory.learn(_exchange("POST /users", body={"id": 1}, status=201))
    memory.held.add(thing)
    assert memory.thing_for("/users/{id}", random.Random(0)) is None


def test_expressions_point_into_requests_and_replies():
    exchange = _exchange("GET /users/{id}", {"id": "7"}, {"a": {"b/c": [5]}}, headers=(("location", "/x/%C3%A9/"),))
    assert evaluate("$response.body#/a/b~1c/0", exchange) == 5
    assert evaluate("$request.path.id", exchange) == "7"
    assert evaluate("$response.header.Location", exchange) == "é"
    assert evaluate("n-{$request.path.id}", exchange) == "n-7"
    assert evaluate(3, exchange) == 3 and repr(evaluate("$response.body#/z", exchange)) == "NOTHING"


@pytest.mark.parametrize(
    ("sent", "before", "after", "expected"),
    [
        ({"a": 2}, {"a": 1}, {"a": 1}, (["a"], True)),
        ({"a": 2}, {"a": 1}, {"a": 2}, ([], False)),
        ({"a": " X "}, {"a": "y"}, {"a": "x"}, ([], False)),
        ({"a": "X"}, {"a": "y"}, {"a": "z"}, (["a"], False)),
        ({"price": "7"}, {"price": "7.00"}, {"price": "7.00"}, ([], False)),
        ({"price": "-1"}, {"price": "7.00"}, {"price": "7.00"}, (["price"], True)),
        ({"updated_at": 1}, {"updated_at": 0}, {"updated_at": 0}, ([], False)),
        ({"last_name": "b"}, {"last_name": "a"}, {"last_name": "a"}, (["last_name"], True)),
        ({"due_date": "2020-01-02"}, {"due_date": "2020-01-01"}, {"due_date": "2020-01-01"}, (["due_date"], True)),
        ({"at": "2020-01-01T01:00:00+01:00"}, {"at": ""}, {"at": "2020-01-01T00:00:00Z"}, ([], False)),
        ({"data": {"a": 2, "b": 1}}, {"data": {"a": 1, "b": 1}}, {"data": {"a": 1, "b": 1}}, (["a"], True)),
    ],
)
def test_a_change_that_is_not_seen(sent, before, after, expected):
    assert unseen(sent, before, after) == expected


@pytest.mark.parametrize(
    ("member", "certain"),
    [("id", False), ("userId", False), ("user_id", False), ("team_id", True), ("user_name", True)],
)
def test_what_a_thing_is_known_by_is_the_servers_and_what_it_refers_to_is_not(member, certain):
    old, new = {member: "a", "id": "7"}, {member: "b"}
    steps = [
        _exchange("GET /users/{id}", {"id": "7"}, old),
        _exchange("PATCH /users/{id}", {"id": "7"}, {}, sent=new),
        _exchange("GET /users/{id}", {"id": "7"}, old),
    ]
    assert unseen_of(steps) == (([member], True) if certain else ([], False))


def test_times_and_versions_may_differ_at_any_depth():
    assert differs({"a": 1, "m": {"last_modified": 1, "x": 1}}, {"a": 1, "m": {"last_modified": 2, "x": 1}}) == []
    assert differs({"a": [{"n": 1}]}, {"a": [{"n": 1}, {"n": 1}]}) == ["a"]


def test_what_calls_itself_deleted_is():
    assert is_soft_deleted({"deleted": True}) and is_soft_deleted({"data": {"status": "archived"}})
    assert not is_soft_deleted({"deleted": False, "status": "open"})


def test_lists_are_believed_only_where_they_cannot_go_on():
    users = next(each for each in resources(API) if each.item == "/users/{id}")
    assert lists([{"id": 1, "n": 7}], users, 7) is False
    assert lists({"items": [{"id": 7}]}, users, "7") is True
    assert lists([{"id": i} for i in range(10)], users, 77) is None
    assert lists([{"id": 7, "deleted": True}], users, 7) is None
    assert lists(["a"], users, 7) is None


def test_a_list_of_what_belongs_to_something_else_says_nothing():
    make, every = (Operation(method=method, path="/users/{user}/notes") for method in ("POST", "GET"))
    read = Operation(method="GET", path="/users/{user}/notes/{note}")
    (notes,) = resources(Api(title="", version="", dialect="openapi-3.1", operations=(make, every, read)))

    def step(operation, said, **path):
        case = Case(operation=operation, parameters={("path", name): value for name, value in path.items()})
        reply = Reply(status=200, body=json.dumps(said).encode())
        return Exchange(case=case, request=Request(method=operation.method, target=operation.path), reply=reply)

    made = step(make, {"note": 1}, user="ann")
    for user, expected in (("ann", False), ("bob", None)):
        assert listed([made, step(every, [], user=user)], notes, lambda steps: 1) is expected
        seen = [step(read, {}, user="ann", note=1), step(every, [], user=user)]
        assert listed(seen, notes, lambda steps: 1) is expected
    rows = step(every, [{"id": 7, "name": "home"}], user="ann")
    assert [listed([made, rows], notes, lambda steps, of=of: of) for of in ("home", "7", 7, "x")] == [
        True,
        True,
        True,
        False,
    ]


def test_schemas_have_two_directions():
    schema = {
        "properties": {"id": {"readOnly": True}, "key": {"writeOnly": True}, "n": {}},
        "required": ["id", "key", "n"],
    }
    assert unsent(schema)["required"] == ["key", "n"] and unsent(schema)["properties"]["id"] is False
    assert answered(schema)["required"] == ["id", "n"] and answered(schema)["properties"]["key"] is False
    api = request_side(Api(title="", version="", dialect="", operations=(), definitions={"A": schema}))
    assert api.definitions["A"]["required"] == ["key", "n"] and api.definitions["A"]["properties"]["id"] == {
        "readOnly": True
    }


def test_callers_sign_requests_and_wrong_ones_say_nothing_true():
    first = identity(API, "first", headers=["X-A: b"], bearer="token-1", api_key="key-1")
    signed = dict(first.signs(Request(method="GET", target="/")).headers)
    assert signed == {"x-a": "b", "authorization": "Bearer token-1", "x-api-key": "key-1"}
    spoiled = dict(wrong(first).signs(Request(method="GET", target="/")).headers)
    assert spoiled["authorization"].startswith("Bearer ") and "token-1" not in str(spoiled)
    assert set(first.secrets) >= {"token-1", "key-1"} and not ANONYMOUS.known


def test_the_pace_grows_while_replies_are_quick_and_halves_when_the_server_gasps():
    pace = Pace(8)
    for _ in range(400):
        pace.saw(Reply(status=200, seconds=0.01))
    assert pace.limit == 8
    pace.saw(Reply(status=503))
    assert pace.limit == 4
    for _ in range(400):
        pace.saw(Reply(status=200, seconds=1.0))
    assert pace.limit < 4


def test_no_more_requests_are_under_way_than_the_pace_allows():
    pace, most = Pace(2), 0

    async def one(under_way):
        nonlocal most
        async with pace:
            under_way.append(1)
            most = max(most, len(under_way))
            await asyncio.sleep(0)
            under_way.pop()

    async def all_():
        under_way = []
        await asyncio.gather(*(one(under_way) for _ in range(20)))

    asyncio.run(all_())
    assert most == 2


def test_an_answer_that_is_the_whole_names_the_part_that_was_made():
    make, read = _op("POST", "/users/{id}/labels"), _op("GET", "/users/{id}/labels/{label}")
    memory = Memory(replace(API, operations=(*API.operations, make, read)))
    case = Case(operation=make, parameters={("path", "id"): "7"})
    body = json.dumps({"id": 7, "labels": ["old", "new"]}).encode()
    exchange = Exchange(case=case, request=Request(method="POST", target="/"), reply=Reply(status=201, body=body))
    made = memory.learn(exchange)
    assert made.params == {"id": "7", "label": "new"} and made.source == {"label": "$response.body#/labels/1"}
