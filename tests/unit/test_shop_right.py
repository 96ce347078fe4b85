"""What the shop does right: decoys, an ordinary day, the strictness of its reading, its documents and its server."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import graphql
import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.data.worlds.shop import DECOYS, DIALECTS, document
from gnomon.data.worlds.shop.graph import schema
from gnomon.data.worlds.shop.operations import OPERATIONS
from gnomon.data.worlds.shop.schemas import SCHEMAS
from gnomon.data.worlds.shop.server import serve
from tests.unit._shop import NEW_ITEM, Client, Story, run

NOWHERE = "00000000-0000-4000-8000-000000000000"


async def numeric_text(c: Client) -> None:
    assert (await c.send("GET /items?limit=1")).json["limit"] == 1
    assert (await c.send("GET /items?q=1")).json["items"] == []
    assert (await c.send("GET /items?limit=one")).status == 422


async def null_text(c: Client) -> None:
    assert (await c.send("GET /items?q=null")).status == 200
    assert (await c.send("GET /items?limit=null")).status == 422


async def conflict(c: Client) -> None:
    user = {"name": "Ada", "email": "ada@example.org"}
    assert [(await c.send("POST /users", user)).status for _ in range(2)] == [201, 409]


async def unknown_id(c: Client) -> None:
    assert (await c.send(f"GET /jobs/{NOWHERE}")).status == 404


async def media_type(c: Client) -> None:
    got = await c.send("POST /items", b"<item/>", headers={"content-type": "application/xml"})
    assert got.status == 415


async def late(c: Client) -> None:
    made = await c.send("POST /jobs", {"kind": "export"})
    assert (made.status, made.json["status"]) == (202, "queued")
    line = f"GET {made.headers['location']}"
    assert [(await c.send(line)).status for _ in range(3)] == [404, 200, 200]


async def public(c: Client) -> None:
    assert (await c.send("GET /items", who="")).json == (await c.send("GET /items")).json
    assert (await c.send("GET /users", who="")).status == 401


async def extra_query(c: Client) -> None:
    assert (await c.send("GET /items?colour=red")).json == (await c.send("GET /items")).json


async def soft_delete(c: Client) -> None:
    assert (await c.send("DELETE /items/1")).status == 204
    assert (await c.send("GET /items/1")).json["deleted"] is True
    assert [i["id"] for i in (await c.send("GET /items")).json["items"]] == [3, 2]


async def trimmed(c: Client) -> None:
    assert (await c.send("PATCH /items/1", {"title": "  Lamp "})).json["title"] == "Lamp"


async def retry_after(c: Client) -> None:
    line = f"GET /files/{await c.file()}/scan"
    first = await c.send(line)
    assert (first.status, first.headers["retry-after"]) == (503, "1")
    assert (await c.send(line)).json == {"clean": True}


async def stale_list(c: Client) -> None:
    file = await c.file()
    lists = [(await c.send("GET /files")).json for _ in range(2)]
    assert [[f["id"] for f in files] for files in lists] == [[], [file]]


async def default_header(c: Client) -> None:
    line = f"GET /files/{await c.file()}/content"
    without, whole = await c.send(line), await c.send(line, headers={"x-part": "all"})
    assert without.raw == whole.raw == b"hello"
    assert (await c.send(line, headers={"x-part": "tail"})).status == 422


async def head(c: Client) -> None:
    got, whole = await c.send("HEAD /items/1"), await c.send("GET /items/1")
    assert (got.status, got.raw, got.headers) == (200, b"", whole.headers)


async def not_implemented(c: Client) -> None:
    assert (await c.send(f"PATCH /jobs/{NOWHERE}", {})).status == 501


STORIES: list[Story] = [
    numeric_text,
    null_text,
    conflict,
    unknown_id,
    media_type,
    late,
    public,
    extra_query,
    soft_delete,
    trimmed,
    retry_after,
    stale_list,
    default_header,
    head,
    not_implemented,
]


@pytest.mark.parametrize("story", STORIES)
def test_a_decoy_is_right_and_logged(story: Story) -> None:
    log = run(story).shop.log
    name = story.__name__.replace("_", "-")  # type: ignore[attr-defined]  # a story is a function
    assert name in log.decoys
    assert (log.triggered, log.unplanned) == ({}, [])


def test_every_decoy_has_its_story() -> None:
    assert [s.__name__.replace("_", "-") for s in STORIES] == [d.id for d in DECOYS]  # type: ignore[attr-defined]


async def an_ordinary_day(c: Client) -> None:
    item = await c.made("POST /items", NEW_ITEM)
    user = await c.user()
    order = await c.made("POST /orders", {"user_id": user, "lines": [{"item_id": int(item), "quantity": 2}]})
    file, job = await c.file(), await c.made("POST /jobs", {"kind": "cleanup", "retries": 2})
    await c.send(f"GET /jobs/{job}")
    steps: list[tuple[str, Any]] = [
        (f"GET /items/{item}", None),
        (f"PATCH /items/{item}", {"price": 6.5}),
        (f"PUT /items/{item}/stock", {"quantity": 10}),
        (f"POST /items/{item}/tags", {"tags": ["red", "new"]}),
        ("GET /items?tag=red&tag=new&sort=title&min_price=1", None),
        ("POST /items/search", {"text": "M", "price": {"min": 1, "max": 9}}),
        ("POST /items/compare", {"ids": [1, int(item)]}),
        ("GET /users?limit=5", None),
        (f"GET /users/{user}", None),
        (f"PATCH /users/{user}", {"name": "Ada L."}),
        (f"PUT /users/{user}/settings", {"theme": "dark", "newsletter": False}),
        (f"PUT /users/{user}/addresses/home", {"street": "High Street 1", "city": "York"}),
        (f"GET /users/{user}/addresses/home", None),
        (f"DELETE /users/{user}/addresses/home", None),
        ("GET /orders?after=0", None),
        (f"GET /orders/{order}", None),
        (f"PATCH /orders/{order}", {"comment": "soon"}),
        (f"PUT /orders/{order}/shipping", {"method": "post", "notes": ["ring"]}),
        (f"POST /orders/{order}/payments", {"amount": 13}),
        (f"GET /orders/{order}/notes", None),
        ("GET /reports/orders?since=2026-01-01&until=2026-12-31", None),
        ("GET /reports/stock", None),
        (f"POST /orders/{order}/cancel", None),
        (f"DELETE /orders/{order}", None),
        (f"DELETE /users/{user}", None),
        ("GET /files", None),
        (f"GET /files/{file}", None),
        (f"DELETE /files/{file}", None),
        ("GET /jobs", None),
        (f"GET /jobs/{job}", None),
        (f"DELETE /items/{item}", None),
    ]
    assert (await c.note(order)).status == 201
    for line, body in steps:
        got = await c.send(line, body)
        assert got.status in (200, 201, 204), (line, got)
        conforms(line, got)


def conforms(line: str, got: Any) -> None:
    """An answer is as the table says."""
    method, target = line.split()
    parts = target.partition("?")[0].split("/")
    operation = min(
        (
            o
            for o in OPERATIONS
            if o.method == method
            and len(words := o.path.split("/")) == len(parts)
            and all(w[:1] == "{" or w == p for w, p in zip(words, parts, strict=True))
        ),
        key=lambda o: o.path.count("{"),
    )
    outcome = operation.outcomes[got.status]
    assert {name.lower() for name in outcome.headers} <= set(got.headers)
    if outcome.schema is None:
        assert got.raw == b""
        return
    whole = {**outcome.schema, "$defs": dict(SCHEMAS)}
    jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(got.json)


def test_an_ordinary_day_triggers_nothing() -> None:
    log = run(an_ordinary_day).shop.log
    assert (log.triggered, log.unplanned) == ({}, [])


@pytest.mark.parametrize(
    ("line", "body", "status", "loc"),
    [
        ("POST /items", {**NEW_ITEM, "price": "5"}, 422, ["body", "price"]),
        ("POST /items", {**NEW_ITEM, "sku": 5}, 422, ["body", "sku"]),
        ("POST /items", {"sku": "x", "title": "Mug"}, 422, ["body"]),
        ("POST /orders", {"user_id": NOWHERE, "lines": [{"item_id": 1}]}, 422, ["body", "lines", "0"]),
        ("POST /items", {**NEW_ITEM, "price": "\ud800"}, 422, ["body", "price"]),
        ("POST /users", {"name": "Ada", "email": "\ud800@example.org"}, 422, ["body", "email"]),
        ("POST /items", b"{", 400, None),
        ("POST /items", b'{"price": NaN}', 400, None),
        ("POST /items", b'{"price": 1e999}', 400, None),
        ("POST /items", b"[" * 100_000, 400, None),
        ("POST /items", b"\xff", 400, None),
        ("POST /items", b"1" * (2**20 + 1), 413, None),
        ("GET /items?limit=01", None, 422, ["query", "limit"]),
        ("GET /items?limit=101", None, 422, ["query", "limit"]),
        ("GET /items?tag=a&tag=b&tag=c&tag=d&tag=e&tag=f", None, 422, ["query", "tag"]),
        ("GET /items/0", None, 422, ["path", "item_id"]),
        ("GET /users/me", None, 422, ["path", "user_id"]),
        ("GET /items/", None, 404, None),
        ("GET /nothing", None, 404, None),
    ],
)
def test_what_the_schema_forbids_is_refused(line: str, body: Any, status: int, loc: list[str] | None) -> None:
    async def story(client: Client) -> None:
        got = await client.send(line, body)
        assert got.status == status
        assert loc is None or got.json["detail"][0]["loc"] == loc

    log = run(story).shop.log
    assert (log.triggered, log.unplanned) == ({}, [])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(st.characters(), max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
TEXTS = st.sampled_from(["0", "1", "-1", "1e9", "null", "true", "%00", "a%2Fb", "0000-00-00", ""])


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, Any]:
    """Any operation with any values under the names that it knows."""
    operation = draw(st.sampled_from(OPERATIONS))
    path = re.sub(r"\{\w+\}", lambda _: draw(st.sampled_from(["1", NOWHERE, "home", "%ff"])), operation.path)
    names = [p.name for p in operation.parameters if p.place == "query"]
    query = "&".join(f"{name}={draw(TEXTS)}" for name in names if draw(st.booleans()))
    body = None
    if operation.body and operation.media == "application/json":
        keys = list(SCHEMAS[operation.body].get("properties", {"any": {}}))
        given_values = draw(st.dictionaries(st.sampled_from(keys), VALUES, max_size=4))
        body = json.dumps(given_values if draw(st.booleans()) else draw(VALUES)).encode()
    return f"{operation.method} {path}?{query}", body


@settings(max_examples=15, deadline=None)
@given(st.lists(requests(), min_size=20, max_size=20))
def test_nothing_crashes_but_what_is_planted(asked: list[tuple[str, Any]]) -> None:
    async def story(client: Client) -> None:
        for line, body in asked:
            headers = {"content-type": "application/json"} if body is not None else {}
            assert (await client.send(line, body, headers=headers)).status in range(200, 504)

    assert run(story).shop.log.unplanned == []


def test_another_method_is_refused_with_those_there_are() -> None:
    async def story(client: Client) -> None:
        got = await client.send("PUT /items/1")
        assert (got.status, got.headers["allow"]) == (405, "DELETE, GET, HEAD, OPTIONS, PATCH")
        assert (await client.send("OPTIONS /items/1")).status == 204

    run(story)


def listed(said: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(path, method, o["operationId"]) for path, item in said["paths"].items() for method, o in item.items()]


def test_documents_list_the_same_operations() -> None:
    lists = [listed(document(dialect)) for dialect in DIALECTS]
    assert len(lists[0]) == len(OPERATIONS)
    assert lists[0] == lists[1] == lists[2]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_references_lead_somewhere(dialect: Any) -> None:
    said = document(dialect)
    text = json.dumps(said)
    assert "links" not in text
    for part in text.split('"$ref": "#/')[1:]:
        node: Any = said
        for key in part.partition('"')[0].split("/"):
            node = node[key]
        assert isinstance(node, dict)


def test_older_dialects_have_no_newer_words() -> None:
    assert document("openapi-3.0")["components"]["schemas"]["User"]["properties"]["phone"] == {
        "type": "string",
        "nullable": True,
    }
    amount = document("openapi-2.0")["definitions"]["NewPayment"]["properties"]["amount"]
    assert amount == {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 1000000}
    note = document("openapi-2.0")["paths"]["/orders/{order_id}/notes"]["post"]
    assert [p["in"] for p in note["parameters"]] == ["path", "formData", "formData"]


def test_the_graph_is_valid() -> None:
    assert graphql.validate_schema(schema()) == []


async def talk(port: int, text: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    writer.write_eof()
    got = await reader.read()
    writer.close()
    return got


def served(*texts: bytes) -> list[bytes]:
    async def all_of_them() -> list[bytes]:
        server = await serve(Client().shop, 0)
        port = server.sockets[0].getsockname()[1]
        got = [await talk(port, text) for text in texts]
        server.close()
        return got

    return asyncio.run(all_of_them())


def test_the_server_keeps_connections_and_reads_chunks() -> None:
    head = b"POST /items/compare HTTP/1.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    (got,) = served(b"GET /items/1 HTTP/1.1\r\n\r\n" + head + b'8\r\n{"ids": \r\n4;x=y\r\n[1]}\r\n0\r\n\r\n')
    first, second = got.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert b'"title": "Lamp"' in first
    assert second.endswith(b'{"first": 1, "known": 1}')


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"GET /items\r\n\r\n", b"400"),
        (b"GET /items HTTP/1.1\r\nbad header\r\n\r\n", b"400"),
        (b"POST /items HTTP/1.1\r\ncontent-length: x\r\n\r\n", b"400"),
        (b"POST /items HTTP/1.1\r\ncontent-length: 9999999\r\n\r\n", b"413"),
        (b"POST /items HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"GET /items HTTP/1.1\r\nx: " + b"a" * 70_000, b"431"),
    ],
)
def test_the_server_refuses_what_is_malformed(text: bytes, status: bytes) -> None:
    malformed, after = served(text, b"GET /items HTTP/1.0\r\n\r\n")
    assert malformed.split()[1] == status
    assert after.startswith(b"HTTP/1.1 200 OK")
