"""GraphQL in the fuzzer: arguments as JSON Schema, valid queries, exact negatives, answers judged."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import pytest
from graphql import OperationDefinitionNode, parse
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.core.errors import DataError
from gnomon.data.worlds.shop.graph import SDL
from gnomon.fuzz.base import NOTHING, Api, Case, Exchange, Fault, Operation, Reply, Violation
from gnomon.fuzz.checks import Promises, violations
from gnomon.fuzz.config import Fuzzing
from gnomon.fuzz.graphql.memory import GraphMemory
from gnomon.fuzz.graphql.scalars import register_scalar
from gnomon.fuzz.graphql.selections import ARGUMENTS, field_name, type_condition
from gnomon.fuzz.loading import load
from gnomon.fuzz.making import Maker
from gnomon.fuzz.triage.smaller import smaller_cases
from gnomon.fuzz.values import Draws
from gnomon.fuzz.variation import Variation
from gnomon.fuzz.writing import Unsendable, written

WIDE = """
interface Named { name(upper: Boolean = false): String! }
union Found = Person | Robot | SearchError
type SearchError { message: String! code: Int }
type Person implements Named { id: ID! name(upper: Boolean = false): String! age: Int friends(first: Int!): [Person!] }
type Robot implements Named { id: ID! name(upper: Boolean = false): String! age: Float maker: Person parts: [[Part]] }
type Part { size(unit: Unit! = CM, at: Point): Float robot: Robot kind: Kind }
enum Unit { CM INCH }
enum Kind { BIG SMALL }
input Point { x: Float! y: Float = 0 next: Point labels: [[String!]] unit: Unit when: DateTime serial: Serial }
input Which @oneOf { id: ID name: String at: Point }
scalar DateTime
scalar Serial
type Edge { node: Person cursor: String }
type People { edges: [Edge] total: Int! }
type Query {
  find(which: Which!, tags: [String!]! = ["a"]): [Found]
  named: Named
  people(first: Int, where: [Point]): People!
  robot(robotId: ID!): Robot
  plain: Int!
}
type Mutation {
  addRobot(name: String!, personId: ID): Robot
  removeRobot(id: ID!): Boolean
}
"""
SCHEMAS = {"shop": load(SDL), "wide": load(WIDE)}


def maker_of(api: Api) -> Maker:
    return Maker(api, GraphMemory(api))


def operation(api: Api, key: str) -> Operation:
    return next(each for each in api.operations if each.key == key)


def refusals(case: Case) -> list[str]:
    assert case.operation.root
    return case.operation.root.refusals(written(case, "/graphql"))


def test_root_fields_are_operations_of_one_place() -> None:
    api = SCHEMAS["shop"]
    assert [each.key for each in api.operations][:2] == ["QUERY items", "QUERY item"]
    assert (api.dialect, api.base_path, len(api.operations)) == ("graphql", "/graphql", 9)
    create = operation(api, "MUTATION createPurchase")
    assert create.body_required and not operation(api, "QUERY items").body_required


@pytest.mark.parametrize("name", SCHEMAS)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_valid_cases_are_valid_queries(name: str, seed: int) -> None:
    api, rng = SCHEMAS[name], Draws(seed)
    case = maker_of(api).valid(rng.choice(api.operations), rng)
    request = written(case, "/graphql")
    asked = json.loads(request.body)
    assert request.method == "POST" and request.target == "/graphql"
    assert refusals(case) == [] and isinstance(parse(asked["query"]).definitions[0], OperationDefinitionNode)
    assert '"' not in asked["query"], "values are variables"


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_is_left_of_a_selection_is_valid(seed: int) -> None:
    api, rng = SCHEMAS["wide"], Draws(seed)
    case = maker_of(api).valid(rng.choice(api.operations), rng)
    for smaller in list(smaller_cases(case))[:60]:
        if smaller.body == case.body and _needs(smaller.selection) == _needs(case.selection):
            assert refusals(smaller) == []


def _needs(tree: Any) -> list[Any]:
    """The arguments in a tree; a field that loses one that it needs is no longer valid."""
    if not isinstance(tree, dict):
        return []
    own = [tree[ARGUMENTS]] if ARGUMENTS in tree else []
    return [*own, *(found for key, node in tree.items() if key != ARGUMENTS for found in _needs(node))]


@pytest.mark.parametrize("name", SCHEMAS)
def test_selections_are_bounded(name: str) -> None:
    api, rng = SCHEMAS[name], Draws(0)
    assert api.operations[0].root
    schema = api.operations[0].root.graph.schema
    for each in api.operations:
        for _ in range(60):
            assert each.root
            case = maker_of(api).valid(each, rng)
            tree = case.selection
            assert _depth(tree) <= 12 and _size(tree) <= 150
            assert _lists(schema, each.root.field.type, tree) <= 3


def _depth(tree: Any) -> int:
    return 1 + max((_depth(node) for key, node in tree.items() if key != ARGUMENTS), default=0)


def _size(tree: Any) -> int:
    return 1 + sum(_size(node) for key, node in tree.items() if key != ARGUMENTS)


def _lists(schema: Any, of: Any, tree: Any) -> int:
    """The most lists inside each other, without the lists of a list."""
    kind = of
    while hasattr(kind, "of_type"):
        kind = kind.of_type
    inside = []
    for key, node in tree.items():
        condition = type_condition(key)
        if condition:
            inside.append(_lists(schema, schema.type_map[condition], node))
        elif key != ARGUMENTS and field_name(key) in getattr(kind, "fields", {}):
            inside.append(_lists(schema, kind.fields[field_name(key)].type, node))
    return ("[" in str(of)) + max(inside, default=0)


@pytest.mark.parametrize("name", SCHEMAS)
def test_negatives_are_refused_and_say_where(name: str) -> None:
    api, rng = SCHEMAS[name], Draws(0)
    variation, count = Variation(maker := maker_of(api)), 0
    for each in api.operations:
        for part in maker.parts(each):
            for case in (*variation.faults(each, part, rng), *islice(variation.borders(each, part, rng), 120)):
                if not isinstance(case.body, dict):
                    continue
                told = refusals(case)
                if case.mode == "valid":
                    assert told == [] or "\\ud800" in json.dumps(case.body), (case.body, told)
                elif not _of_guessed(case):
                    count += 1
                    assert told, (case.why, case.body)
    assert count > 100


def _of_guessed(case: Case) -> bool:
    """Whether graphql-core has no opinion of the fault: it is in a scalar that nobody has registered, or in how great a
    Float is, for which only some servers refuse it."""
    pointer, kind = case.why[0].pointer, case.why[0].kind
    great = "float" in kind or "int" in kind or kind in ("too small", "too large", "none of the alternatives")
    return (great and pointer.endswith(("/x", "/y"))) or any(word in pointer for word in ("/due", "/when", "/serial"))


def test_registered_scalars_are_asserted() -> None:
    register_scalar("Odd", {"type": "integer", "multipleOf": 2, "minimum": 1, "maximum": 9})
    api = load("scalar Odd\ntype Query { a(n: Odd!): Int }")
    maker, rng = maker_of(api), Draws(0)
    case = maker.valid(api.operations[0], rng)
    assert case.body["n"] in (2, 4, 6, 8) and refusals(case) == []
    faults = Variation(maker).faults(case.operation, maker.parts(case.operation)[0], rng)
    bad = [each for each in faults if isinstance(each.body, dict)]
    assert len(bad) > 5 and all(refusals(each) for each in bad)


def test_an_unknown_argument_is_written() -> None:
    items = operation(SCHEMAS["shop"], "QUERY items")
    case = Case(operation=items, body={"first": 1, "unknown": "x"}, selection={"pages": {}})
    asked = json.loads(written(case).body)
    assert (
        asked["query"] == "query ($first: Int, $unknown: String) { items(first: $first, unknown: $unknown) { pages } }"
    )
    assert "Unknown argument 'unknown'" in refusals(case)[0]


def test_what_is_no_object_is_not_sent() -> None:
    item = operation(SCHEMAS["shop"], "QUERY item")
    with pytest.raises(Unsendable, match="are no arguments"):
        written(Case(operation=item, body=[1]))
    nothing = json.loads(written(Case(operation=item, body=NOTHING)).body)
    assert nothing == {"query": "query { item { __typename } }"}


def test_fields_below_take_variables_of_their_own() -> None:
    find = operation(SCHEMAS["wide"], "QUERY people")
    tree = {"edges": {"node": {"friends": {ARGUMENTS: {"first": 2}, "again_name:name": {ARGUMENTS: {"upper": True}}}}}}
    case = Case(operation=find, body={"first": 1}, selection=tree)
    asked = json.loads(written(case).body)
    assert asked["variables"] == {"first": 1, "first1": 2, "upper1": True}
    assert "friends(first: $first1) { again_name: name(upper: $upper1) }" in asked["query"]
    assert refusals(case) == []


def test_types_below_are_swept_with_their_arguments() -> None:
    api, rng = SCHEMAS["wide"], Draws(0)
    maker, swept = maker_of(api), set[str]()
    asked: list[Case] = []
    for each in api.operations:
        assert each.root
        asked += each.root.plays(lambda each=each: maker.valid(each, rng), swept, rng)
    assert {"Person.friends", "Person.name", "Part.size"} <= swept
    valid = [each for each in asked if each.mode == "valid"]
    assert all(refusals(each) == [] for each in valid)
    invalid = [each for each in asked if each.mode == "invalid" and not _of_guessed(each)]
    assert len(invalid) > 20 and all(refusals(each) for each in invalid)
    below = {each.why[0].pointer.split("/")[1] for each in invalid}
    assert {"Person.friends", "Person.name", "Part.size"} <= below


def exchanged(case: Case, status: int, body: Any) -> Exchange:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Exchange(case=case, request=written(case, "/graphql"), reply=Reply(status=status, body=raw))


def judged(case: Case, body: Any, status: int = 200, **how: Any) -> list[Violation]:
    checks = Fuzzing(**how).chosen
    return violations(exchanged(case, status, body), Promises(SCHEMAS["shop"]), checks)


def error(message: str = "list index out of range", **more: Any) -> dict[str, Any]:
    return {"data": {"item": None}, "errors": [{"message": message, "path": ["item"], **more}]}


def item_case(**more: Any) -> Case:
    item = operation(SCHEMAS["shop"], "QUERY item")
    tree = {"id": {}, "price": {}, "related": {"title": {}}}
    return Case(operation=item, **{"body": {"id": "1"}, "selection": tree, **more})


def test_an_error_of_execution_is_one_defect_a_message() -> None:
    one, other = (judged(item_case(), error(f"no row {n}"))[0] for n in (17, 4711))
    assert one.check == "graphql_error" and one.key == other.key == ("graphql_error", "QUERY item", "no row #")
    assert one.certain and one.title == "QUERY item fails: no row #"


@pytest.mark.parametrize(
    "body",
    [
        error("x", extensions={"code": "UNAUTHENTICATED"}),
        error("You do not have permission to do that"),
        {"errors": [{"message": "Syntax Error"}]},
        {"data": {"item": None}},
        {"data": {"item": {"id": "1", "price": 2, "related": [{"title": "a"}]}}},
    ],
)
def test_what_is_no_defect(body: Any) -> None:
    assert judged(item_case(), body) == []


def test_expected_errors_are_none_and_meant_ones_advice() -> None:
    assert judged(item_case(), error("item 7 is sold"), expected=("is sold",)) == []
    assert judged(item_case(), error(extensions={"code": "OUT_OF_STOCK"}), expected=("^OUT_OF",)) == []
    (meant,) = judged(item_case(), error(extensions={"code": "OUT_OF_STOCK"}))
    assert not meant.certain
    (crash,) = judged(item_case(), error(extensions={"code": "INTERNAL_SERVER_ERROR"}))
    for message, certain in (("no such artist", False), ("no such table: artists", True), ("'id'", True)):
        assert [each.certain for each in judged(item_case(), error(message))] == [certain]
    assert crash.certain


@pytest.mark.parametrize(
    ("item", "place", "what"),
    [
        ({"id": None, "price": 1, "related": []}, "Item.id", "is null, which it may not be"),
        ({"id": "1", "price": "1", "related": []}, "Item.price", "is no Float"),
        ({"id": "1", "price": True, "related": []}, "Item.price", "is no Float"),
        ({"id": "1", "price": 1, "related": {}}, "Item.related", "is no list"),
        ({"id": "1", "price": 1, "related": [None]}, "Item.related", "is null, which it may not be"),
        ({"id": "1", "price": 1, "related": [{}]}, "Item.title", "is asked for and not there"),
        ([], "Query.item", "is no object"),
    ],
)
def test_data_of_the_wrong_type(item: Any, place: str, what: str) -> None:
    (found,) = judged(item_case(), {"data": {"item": item}})
    assert found.key == ("graphql_error", "QUERY item", place, what)


def test_what_every_server_must_refuse_is_not_taken() -> None:
    why = (Fault(location="body", pointer="/first", keyword="type", kind="wrong type"),)
    items = operation(SCHEMAS["shop"], "QUERY items")
    case = Case(operation=items, body={"first": "x"}, selection={"pages": {}}, mode="invalid", why=why)
    (found,) = judged(case, {"data": {"items": {"pages": 1}}})
    assert found.key == ("graphql_error", "QUERY items", "accepted", "/first", "type") and found.certain
    assert judged(case, {"errors": [{"message": "no"}]}, status=400) == []
    # Said to be invalid and yet valid, it is not held against the server.
    assert judged(item_case(mode="invalid", why=why), {"data": {"item": None}}) == []


def test_a_status_of_500_is_told_once() -> None:
    (raised,) = judged(item_case(), error(), status=500)
    assert raised.check == "graphql_error"
    (refused,) = judged(item_case(body={"id": []}, mode="invalid"), {"errors": [{"message": "bad"}]}, status=500)
    assert refused.key == ("server_error", "QUERY item", "500", "refusal")
    (other,) = judged(item_case(), b"Internal Server Error", status=500)
    assert other.check == "server_error"


def test_a_failure_told_as_data_is_one_defect() -> None:
    find = operation(SCHEMAS["wide"], "QUERY find")
    tree = {"__typename": {}, "... on SearchError": {"SearchError_message:message": {}}}
    case = Case(operation=find, body={"which": {"id": "1"}}, selection=tree)
    row = {"__typename": "SearchError", "SearchError_message": "row 3 is bad"}
    (found,) = judged(case, {"data": {"find": [row]}}, status=500)
    assert found.key == ("server_error", "QUERY find", "500", "SearchError row # is bad")


def test_memory_knows_types_and_what_arguments_take() -> None:
    api = SCHEMAS["wide"]
    memory, rng = GraphMemory(api), Draws(0)
    add, remove = operation(api, "MUTATION addRobot"), operation(api, "MUTATION removeRobot")
    robots, people = memory.resources["Robot"], memory.resources["Person"]
    assert robots.creates == (add,) and robots.deletes == (remove,)
    assert [each.path for each in robots.reads] == ["robot"] and [each.path for each in people.inner] == ["addRobot"]
    case = Case(operation=add, body={"name": "r"}, selection={"id": {}, "maker": {"id": {}, "name": {}}})
    answer = {"data": {"addRobot": {"id": "r1", "maker": {"id": "p1", "name": "Ada"}}}}
    made = memory.learn(exchanged(case, 200, answer))
    assert made and made.source == {"robotId": "$response.body#/data/addRobot/id"}
    assert memory.identifier("otherId", rng) is None and memory.identifier("personId", rng) == "p1"
    assert memory.identifier("id", rng, about="robot") == "r1" and memory.value("personName", rng) == "Ada"
    assert memory.about(exchanged(Case(operation=remove, body={"id": "r1"}), 200, {})) == [made]
    memory.learn(exchanged(Case(operation=remove, body={"id": "r1"}), 200, {"data": {"removeRobot": True}}))
    assert not memory.alive["Robot"] and list(memory.gone["Robot"]) == [made]


def test_connections_give_identifiers() -> None:
    api = SCHEMAS["wide"]
    memory, tree = GraphMemory(api), {"edges": {"node": {"id": {}}}}
    case = Case(operation=operation(api, "QUERY people"), body={}, selection=tree)
    rows = [{"node": {"id": "p1"}}, None, {"node": None}, {"node": {"id": "p2"}}]
    memory.learn(exchanged(case, 200, {"data": {"people": {"edges": rows}}}))
    assert [each.params for each in memory.alive["Person"]] == [{"personId": "p1"}, {"personId": "p2"}]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("type Query {\n  a: Missing\n}", "is no GraphQL schema that can be read: Query fields cannot be resolved"),
        ("type Query {\n  a: Int", "is no GraphQL schema that can be read: Syntax Error"),
        ("type A {\n  a: Int\n}", "has neither queries nor mutations"),
    ],
)
def test_what_is_no_schema(text: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        load(text)


def test_directives_of_gateways_are_of_no_matter() -> None:
    api = load('type Query @shareable {\n  a(id: ID! @cost(weight: "1")): Int\n}\ntype Subscription { b: Int }')
    assert [each.key for each in api.operations] == ["QUERY a"]
    assert [each.taken for each in api.repairs] == ["of no matter", "nothing: they are not asked"]
