"""Refusals of what the schema allows: which are certain, what tells one from another, and what is asked instead."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

import gnomon
from gnomon.fuzz.base import Answer, Api, Case, Exchange, Fault, Media, Operation, Parameter, Reply, Request
from gnomon.fuzz.checks import Promises, violations
from gnomon.fuzz.checks.refusals import is_beyond_schemas, is_conflict, reasons, told

NUMBER, TEXT, JSON = {"type": "integer"}, {"type": "string"}, "application/json"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (b'{"author": ["Invalid pk \\"0\\" - object does not exist."]}', True),
        (b'{"isbn": ["book with this isbn already exists."]}', True),
        (b'{"author": ["Select a valid choice. That choice is not one of the available choices."]}', True),
        (b"no such table", True),
        (b"Customer not found", True),
        (b"UNIQUE constraint failed", True),
        (b'{"price": ["A valid number is required."]}', False),
        (b'{"name": ["This field may not be blank."]}', False),
        (b'{"detail": [{"msg": "Input should be a valid integer"}]}', False),
        (b"`start` must be strictly earlier than `end`", True),
        (b"Lower bound must be strictly less than upper bound", True),
        (b"Input should be greater than 0", False),
        (b"Input should be less than or equal to 100", False),
        (b"must be lower case", False),
        (b"Invalid cursor format: 0", True),
        (b"Invalid annotation configuration ID", True),
        (b"An API key is required", True),
    ],
)
def test_words_about_what_no_schema_tells(said: bytes, kept: bool) -> None:
    assert is_beyond_schemas(said) is kept


def test_a_conflict_is_409_or_words_of_one() -> None:
    assert is_conflict(Reply(status=409)) and is_conflict(Reply(status=400, body=b"name already taken"))
    assert not is_conflict(Reply(status=400, body=b"too long")) and not is_conflict(Reply(status=200, body=b"already"))


def test_reasons_are_told_apart() -> None:
    django = {"name": ["too long"], "age": ["no number", "too old"]}
    pydantic = {"detail": [{"loc": ["body", "a"], "msg": "missing"}, {"loc": ["body", "b"], "msg": "no 3"}]}
    assert [json.loads(each) for each in reasons(json.dumps(django).encode())] == [
        {"name": ["too long"]},
        {"age": ["no number", "too old"]},
    ]
    assert list(map(told, reasons(json.dumps(pydantic).encode()))) == ["missing", "no #"]
    lines = {"error": "Invalid", "message": "name: too short. Got: a\nage: too old"}
    assert list(map(told, reasons(json.dumps(lines).encode()))) == [
        "Invalid name: too short. Got: a",
        "Invalid age: too old",
    ]
    for whole in (b"<h1>no</h1>", b'{"error": "bad", "code": 3}', b"[1]", b""):
        assert reasons(whole) == [whole]


def test_another_path_is_no_promise_and_a_page_is_no_method() -> None:
    key = Parameter(name="id", location="path", schema=TEXT, required=True)
    read = Operation(method="GET", path="/a/{id}", parameters=(key,), answers={"200": Answer(content={JSON: True})})
    promises = Promises(Api(title="", version="", dialect="openapi-3.1", operations=(read,)))

    def told(value: str, method: str = "", status: int = 200) -> list[tuple[str, bool]]:
        case = Case(operation=read, parameters={("path", "id"): value}, method=method, mode="probe")
        page = Reply(status=status, headers=(("content-type", "text/html"),), body=b"<html>")
        asked = Request(method=method or "GET", target="/a")
        found = violations(Exchange(case=case, request=asked, reply=page), promises)
        return [(each.check, each.certain) for each in found]

    assert told("x") == [("undocumented_content_type", True)]
    assert told("x/y") == told("..") == [("undocumented_content_type", False)]
    assert told("x/y", status=500)[0] == ("server_error", True)
    assert told("x", "PUT") == [("method_not_allowed", False)]


def test_what_only_answers_have_may_be_overlooked() -> None:
    schema = {"type": "object", "properties": {"id": {**NUMBER, "readOnly": True}, "age": NUMBER}}
    make = Operation(method="POST", path="/a", bodies={JSON: Media(schema=schema)}, answers={"201": Answer()})
    promises = Promises(Api(title="", version="", dialect="openapi-3.1", operations=(make,)))
    certain = dict[str, list[bool]]()
    for name in ("id", "age"):
        why = Fault(location="body", pointer=f"/{name}", keyword="type", kind="wrong type")
        case = Case(operation=make, body={name: "x"}, media_type=JSON, mode="invalid", why=(why,))
        asked = Request(
            method="POST", target="/a", headers=(("content-type", JSON),), body=json.dumps(case.body).encode()
        )
        found = violations(Exchange(case=case, request=asked, reply=Reply(status=201)), promises)
        certain[name] = [each.certain for each in found if each.check == "negative_data_accepted"]
    assert certain == {"id": [False], "age": [True]}


def test_what_was_taken_of_each_value_is_not_refused_by_a_schema_in_any_language() -> None:
    text, number = {"type": "string"}, {"type": "integer"}
    body = {"type": "object", "properties": {"isbn": text, "shelf_id": number, "pages": number}}
    make = Operation(method="POST", path="/books", bodies={JSON: Media(schema=body)}, answers={"201": Answer()})
    promises = Promises(Api(title="", version="", dialect="openapi-3.1", operations=(make,)))

    def answered(status: int, said: str, **members: Any) -> list[bool]:
        case = Case(operation=make, body=members, media_type=JSON)
        reply = Reply(status=status, body=json.dumps({"erreur": said}, ensure_ascii=False).encode())
        found = violations(Exchange(case=case, request=Request(method="POST", target="/books"), reply=reply), promises)
        return [each.certain for each in found if each.check == "valid_data_rejected"]

    answered(201, "", isbn="a", shelf_id=1, pages=10)
    answered(201, "", isbn="b", shelf_id=1, pages=20)
    for expected in ([], [False]):
        assert answered(422, "déjà présent", isbn="a", shelf_id=1, pages=20) == expected, "each was taken before"
        assert answered(422, "étagère absente", isbn="a", shelf_id=2, pages=20) == expected, "it names what may not be"
    for expected in ([], [True]):
        assert answered(422, "trop long", isbn="a", shelf_id=1, pages=30) == expected
        assert answered(422, "étagère obligatoire", isbn="a", pages=10) == expected, "a member that may be left out"


def test_a_refusal_that_repeats_a_name_which_the_request_made_up_is_one_defect() -> None:
    schema = {"properties": {"questions": {"additionalProperties": {"properties": {"type": {"type": "string"}}}}}}
    ask = Operation(method="POST", path="/ask", bodies={JSON: Media(schema=schema)}, answers={"200": Answer()})
    promises = Promises(Api(title="", version="", dialect="openapi-3.1", operations=(ask,)))

    def keys(status: int, said: str, body: Any) -> set[tuple[str, ...]]:
        case = Case(operation=ask, body=body, media_type=JSON)
        reply = Reply(status=status, body=json.dumps({"error": said}).encode())
        found = violations(Exchange(case=case, request=Request(method="POST", target="/ask"), reply=reply), promises)
        return {each.key for each in found if each.check == "valid_data_rejected"}

    keys(200, "", {})
    names = ("rooms", "x", "-", "a longer name")
    told = [keys(400, f"questions.{name} has no criteria", {"questions": {name: {"type": "a"}}}) for name in names]
    assert told[0] == set() and len(set().union(*told)) == 1
    other = [keys(400, f"questions.{name} has no type", {"questions": {name: {}}}) for name in names]
    assert len(set().union(*told, *other)) == 2


class Hotel:
    """Guests and bookings that name a guest and a room; crashes at a booking of the twelfth floor. Room numbers are
    taken once, which it says by 400."""

    def __init__(self) -> None:
        self.guests, self.rooms, self.numbers, self.booked = set[int](), set[int](), itertools.count(100), 0

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if path == "/guests" and method == "POST":
            self.guests.add(made := next(self.numbers))
            return 201, {"id": made}
        if path == "/rooms" and method == "POST":
            if body["number"] in self.rooms:
                return 400, {"number": ["there is one with this number already"]}
            self.rooms.add(body["number"])
            return (500, {}) if body.get("view") == "" else (201, {"number": body["number"]})
        if path == "/bookings" and method == "POST":
            if body["guest"] not in self.guests or body["room"] not in self.rooms:
                return 400, {"guest": ["does not exist"]}
            self.booked += 1
            return 201, {}
        kind, _, key = path[1:].partition("/")
        there = {"guests": self.guests, "rooms": self.rooms}.get(kind, set())
        return (200, {}) if method == "GET" and key.lstrip("-").isdecimal() and int(key) in there else (404, {})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            raw = (await receive()).get("body", b"")
            status, said = self.answer(scope["method"], scope["path"], json.loads(raw) if raw else None)
        except (ValueError, TypeError, KeyError, AttributeError):
            status, said = 422, {"detail": "no"}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(said).encode()})


def made(**properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)[:2]}
    answers = {str(status): {"description": ""} for status in (201, 400, 404, 422)}
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": answers,
    }


def item(key: str) -> dict[str, Any]:
    parameter = {"name": key, "in": "path", "required": True, "schema": {"type": "integer"}}
    return {"parameters": [parameter], "get": {"responses": {"200": {"description": ""}, "404": {"description": ""}}}}


DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "t", "version": "1"},
    "paths": {
        "/guests": {"post": made(name=TEXT)},
        "/guests/{id}": item("id"),
        "/rooms": {"post": made(number=NUMBER, kind=TEXT, view=TEXT)},
        "/rooms/{number}": item("number"),
        "/bookings": {"post": made(guest=NUMBER, room=NUMBER)},
    },
}


def test_members_called_like_a_kind_name_one_and_what_is_taken_is_named_anew() -> None:
    hotel = Hotel()
    found = gnomon.fuzz(hotel, DOCUMENT, max_requests=600, connections=1)
    assert hotel.booked
    (crash,) = [each for each in found.certain if each.violation.check != "negative_data_accepted"]
    assert crash.violation.title == "POST /rooms answers 500" and crash.reproduced == (3, 3)
    assert crash.violation.steps[-1].case.body["view"] == ""
    # A number that is wrong is taken when it is tried again, and another would not be wrong in the same way.
    assert all(each.reproduced[0] for each in found.defects if "/number" not in each.violation.title)
    kept = [each for each in found.defects if each.violation.check == "valid_data_rejected"]
    assert all("exist" in each.violation.title or "already" in each.violation.title for each in kept)


class Shelf(Hotel):
    """Books that are made once by their number, in any form, which it says in French; they can be removed."""

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        key = path.rpartition("/")[2]
        if method == "POST" and path == "/books":
            if body["isbn"] in self.titles or not body["isbn"]:
                return 422, {"erreur": "déjà présent" if body["isbn"] else "vide"}
            self.titles.add(str(body["isbn"]))
            return 201, {"isbn": body["isbn"]}
        if key not in self.titles:
            return 404, {}
        if method == "DELETE":
            self.titles.remove(key)
        return (204, {}) if method == "DELETE" else (200, {"isbn": key})

    def __init__(self) -> None:
        super().__init__()
        self.titles = set[str]()


def test_what_is_wrong_and_a_key_is_removed_to_be_made_again() -> None:
    there = {str(status): {"description": ""} for status in (200, 201, 204, 404, 422)}
    of_book = {"parameters": [{"name": "isbn", "in": "path", "required": True, "schema": TEXT}]}
    books = {
        **DOCUMENT,
        "paths": {
            "/books": {"post": made(isbn={**TEXT, "pattern": "^[a-z]{3}-[0-9]{4}$"})},
            "/books/{isbn}": {**of_book, "get": {"responses": there}, "delete": {"responses": there}},
        },
    }
    found = gnomon.fuzz(Shelf(), books, max_requests=300, connections=1)
    told = {each.violation.title: each.reproduced for each in found.certain}
    assert told["POST /books takes what its schema forbids: body /isbn, pattern"] == (3, 3)
    assert not any("présent" in title for title in told)


class Silent(Shelf):
    """Says nothing of the books that it makes, which are known by one member."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key, self.removed = key, 0

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        status, said = super().answer(method, path, {"isbn": body[self.key]} if body else None)
        self.removed += method == "DELETE" and status == 204
        return status, ({} if status == 201 else said)


@pytest.mark.parametrize("key", ["book", "isbn"])
def test_what_is_made_without_an_answer_is_called_as_it_was_sent(key: str) -> None:
    there = {str(status): {"description": ""} for status in (200, 201, 204, 404, 422)}
    of_book = {"parameters": [{"name": "book", "in": "path", "required": True, "schema": TEXT}]}
    word = {**TEXT, "pattern": "^[a-z]{6}$"}
    paths = {
        "/books": {"post": made(**{key: word, "name": word})},
        "/books/{book}": {**of_book, "get": {"responses": there}, "delete": {"responses": there}},
    }
    shelf = Silent(key)
    found = gnomon.fuzz(shelf, {**DOCUMENT, "paths": paths}, max_requests=200, connections=1)
    assert not [each for each in found.defects if each.violation.check == "created_not_found"]
    assert shelf.removed > 3 or key != "book"
