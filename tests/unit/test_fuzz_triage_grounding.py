"""Steps that stand by themselves: what they name is made first, what nothing needs is dropped."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from gnomon.fuzz.base import NOTHING, Api, Case, Exchange, Operation, Reply, Request, Take
from gnomon.fuzz.state.expressions import put
from gnomon.fuzz.state.memory import Memory
from gnomon.fuzz.state.semantics import not_found
from gnomon.fuzz.triage.fewer import refused, unbound, unlikely, without
from gnomon.fuzz.triage.grounding import grounded, with_history
from gnomon.fuzz.triage.replay import bound

MAKE_USER, READ_USER = Operation(method="POST", path="/users"), Operation(method="GET", path="/users/{user_id}")
END_USER = Operation(method="DELETE", path="/users/{user_id}")
MAKE_ORDER, READ_ORDER = Operation(method="POST", path="/orders"), Operation(method="GET", path="/orders/{order_id}")
CHANGE_ORDER = Operation(method="PATCH", path="/orders/{order_id}")
LABEL = Operation(method="PUT", path="/users/{user_id}/labels/{label}")
READ_LABEL = Operation(method="GET", path="/users/{user_id}/labels/{label}")
ALL = (MAKE_USER, READ_USER, END_USER, MAKE_ORDER, READ_ORDER, CHANGE_ORDER, LABEL, READ_LABEL)
ANN, BOB = "ann-8f3c-44", "bob-8f3c-45"


class Story:
    """Exchanges in order, as a memory learns them."""

    def __init__(self) -> None:
        self.memory = Memory(Api(title="", version="", dialect="openapi-3.1", operations=ALL))
        self.number = 0

    def __call__(
        self, operation: Operation, answer: Any = None, *, body: Any = NOTHING, status: int = 200, **path: Any
    ) -> Exchange:
        parameters: Any = {("path", name): value for name, value in path.items()}
        case = Case(operation=operation, parameters=parameters, body=body)
        raw = b"" if answer is None else json.dumps(answer).encode()
        request, reply = Request(method=operation.method, target=operation.path), Reply(status=status, body=raw)
        made = Exchange(case=case, request=request, reply=reply, number=self.number)
        self.number += 1
        self.memory.learn(made)
        return made


def told(steps: Any) -> list[tuple[str, list[tuple[int, str, str]]]]:
    return [(s.case.operation.key, [(t.step, t.location, t.place) for t in s.takes]) for s in steps]


def test_what_a_path_and_a_body_name_is_made_first() -> None:
    story = Story()
    story(MAKE_USER, {"id": ANN}, body={"name": "Ann"})
    story(MAKE_ORDER, {"id": 70}, body={"user_id": ANN, "lines": [{"note": ANN}]})
    last = story(READ_ORDER, {"id": 70}, order_id=70)
    assert told(grounded([last], story.memory)) == [
        ("POST /users", []),
        ("POST /orders", [(0, "body", "/user_id"), (0, "body", "/lines/0/note")]),
        ("GET /orders/{order_id}", [(1, "path", "order_id")]),
    ]


def test_what_was_there_before_is_left_as_it_is() -> None:
    story = Story()
    last = story(READ_USER, {"id": ANN}, user_id=ANN)
    assert grounded([last], story.memory) == (last,)
    story(MAKE_USER, {"id": BOB}, body={})
    early = replace(last, case=replace(last.case, parameters={("path", "user_id"): BOB}), number=0)
    assert grounded([early], story.memory) == (early,), "it was made later"


def test_what_the_path_itself_names_is_made_without_a_take() -> None:
    story = Story()
    story(MAKE_USER, {"id": ANN}, body={})
    story(LABEL, {}, body={}, user_id=ANN, label="home")
    last = story(READ_LABEL, {}, user_id=ANN, label="home")
    assert told(grounded([last], story.memory)) == [
        ("POST /users", []),
        ("PUT /users/{user_id}/labels/{label}", [(0, "path", "user_id")]),
        ("GET /users/{user_id}/labels/{label}", [(0, "path", "user_id")]),
    ]


def test_what_is_called_alike_below_something_else_is_another_thing() -> None:
    story = Story()
    ann, bob = (story(MAKE_USER, {"id": each}, body={"name": each}) for each in (ANN, BOB))
    hers = story(LABEL, {}, body={"of": "hers"}, user_id=ANN, label="home")
    story(LABEL, {}, body={"of": "his"}, user_id=BOB, label="home")
    last = story(READ_LABEL, {}, user_id=ANN, label="home")
    assert [each.number for each in grounded([last], story.memory)] == [ann.number, hers.number, last.number]
    assert bob.number not in {each.number for each in with_history(last, story.memory)}


def test_what_steps_take_already_is_counted_on() -> None:
    story = Story()
    story(MAKE_USER, {"id": ANN}, body={})
    made = story(MAKE_ORDER, {"id": 70}, body={"user_id": ANN})
    take = Take(step=0, expression="$response.body#/id", location="path", place="order_id")
    last = replace(story(READ_ORDER, {}, order_id=70), takes=(take,))
    assert told(grounded([made, last], story.memory)) == [
        ("POST /users", []),
        ("POST /orders", [(0, "body", "/user_id")]),
        ("GET /orders/{order_id}", [(1, "path", "order_id")]),
    ]


def test_history_is_told_of_all_that_a_request_names() -> None:
    story = Story()
    story(MAKE_USER, {"id": ANN}, body={})
    story(MAKE_ORDER, {"id": 70}, body={"user_id": ANN})
    story(CHANGE_ORDER, {}, body={}, order_id=70)
    story(END_USER, user_id=ANN, status=204)
    last = story(READ_ORDER, None, order_id=70, status=500)
    keys = [key for key, _ in told(with_history(last, story.memory))]
    assert keys == [
        "POST /users",
        "POST /orders",
        "PATCH /orders/{order_id}",
        "DELETE /users/{user_id}",
        last_key(last),
    ]


def test_history_is_told_of_what_names_a_thing_in_its_body_alone() -> None:
    story = Story()
    story(MAKE_USER, {"id": 12}, body={})
    story(MAKE_ORDER, {"id": 70}, body={"user_id": 12})
    story(MAKE_ORDER, {"id": 71}, body={"user_id": 13, "weight": 12})
    last = story(READ_USER, None, user_id=12, status=500)
    assert told(with_history(last, story.memory)) == [
        ("POST /users", []),
        ("POST /orders", [(0, "body", "/user_id")]),
        (last_key(last), [(0, "path", "user_id")]),
    ]


def test_history_of_what_was_there_is_told_of_a_new_one() -> None:
    story = Story()
    story(CHANGE_ORDER, {"id": 3}, body={}, order_id=3)
    story(CHANGE_ORDER, {"id": 3}, body={"n": 1}, order_id=3)
    last = story(READ_ORDER, {"id": 3}, order_id=3)
    assert with_history(last, story.memory) == (last,), "none of its kind was made"
    story(MAKE_ORDER, {"id": 70}, body={})
    assert told(with_history(last, story.memory)) == [
        ("POST /orders", []),
        ("PATCH /orders/{order_id}", [(0, "path", "order_id")]),
        (last_key(last), [(0, "path", "order_id")]),
    ]


def last_key(step: Exchange) -> str:
    return step.case.operation.key


def test_values_go_where_they_are_taken_to() -> None:
    story = Story()
    made = story(MAKE_USER, {"id": "12"}, body={})
    takes = tuple(
        Take(step=0, expression="$response.body#/id", location="body", place=place)
        for place in ("/a/0", "/b", "/c~1d", "/no")
    )
    step = replace(story(MAKE_ORDER, {}, body={"a": [1], "b": "x", "c/d": True}), takes=takes)
    case = bound(step, [made])
    assert case is not None
    assert case.body == {"a": [12], "b": "12", "c/d": 12}
    assert bound(step, [replace(made, reply=Reply(status=500))]) is None
    assert put([1], "", 2) == 2


def test_what_is_not_found_is_what_was_made() -> None:
    story = Story()
    labels, users = (story.memory.resources[item] for item in ("/users/{user_id}/labels/{label}", "/users/{user_id}"))
    put = story(LABEL, {}, body={}, user_id=ANN, label="home")
    made = story(MAKE_USER, {"id": ANN}, body={}, status=201)

    def lacks(**path: Any) -> Exchange:
        return story(READ_LABEL if "label" in path else READ_USER, status=404, **path)

    assert not_found([put, lacks(user_id=ANN, label="home")], labels)
    assert not not_found([put, lacks(user_id=ANN, label="work")], labels)
    assert not not_found([put, lacks(user_id=BOB, label="home")], labels)
    assert not_found([made, lacks(user_id=ANN)], users)
    assert not not_found([made, lacks(user_id=BOB)], users)


def test_dropped_steps_leave_what_others_take_from() -> None:
    story = Story()
    made, other, last = story(MAKE_USER, {"id": 1}), story(MAKE_USER, {"id": 2}), story(READ_USER, user_id=2)
    take = Take(step=1, expression="$response.body#/id", location="path", place="user_id")
    last = replace(last, takes=(take,))
    assert told(without([made, other, last], {0, 1})) == [
        ("POST /users", []),
        (last_key(last), [(0, "path", "user_id")]),
    ]
    third = story(READ_USER, user_id=9, status=404)
    steps = [made, other, third, last]
    assert refused(steps) == {2}
    assert unlikely(steps)[0] == {0, 2}


def test_a_name_that_nobody_has_replaces_what_was_made() -> None:
    story = Story()
    made = story(MAKE_USER, {"id": 1})
    takes = tuple(
        Take(step=0, expression="$response.body#/id", location=location, place=place)
        for location, place in (("path", "order_id"), ("body", "/user_id"))
    )  # fmt: skip
    last = replace(story(CHANGE_ORDER, body={"user_id": 5}, order_id="a9-0f"), takes=takes)  # type: ignore[arg-type]
    (_, changed) = unbound([made, last], 0)
    assert changed.takes == ()
    assert changed.case.parameters == {("path", "order_id"): "b0-1a"}
    assert changed.case.body["user_id"] > 1_000_000
    assert unbound([made, last], 1) == []
