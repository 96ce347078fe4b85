"""The shop's planted defects are there, one by one, and a walk through what is right triggers none."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gnomon.data.worlds.shop import DECOYS, DEFECTS, GRAPH_DEFECTS, explained, make_app
from gnomon.data.worlds.shop.operations import OPERATIONS
from tests.unit._shop import NESTED, NEW_ITEM, Client, Got, Story, one, run

ADDRESS = {"street": "High Street 1", "city": "York"}
LINE = {"item_id": 1, "quantity": 1}


async def settings_twice(c: Client) -> Got:
    return await c.send(f"PUT /users/{await c.user()}/settings", b'{"theme": "dark", "theme": "dark"}')


async def nested_enum(c: Client) -> Got:
    line = {**LINE, "options": [{"wrap": "gold"}]}
    return await c.send("POST /orders", {"user_id": await c.user(), "lines": [line]})


async def deleted_parent(c: Client) -> Got:
    user = await c.user()
    order = await c.made("POST /orders", {"user_id": user, "lines": [LINE]})
    assert (await c.send(f"GET /orders/{order}")).json["customer"] == "Ada"
    await c.send(f"DELETE /users/{user}")
    return await c.send(f"GET /orders/{order}")


async def second_delete(c: Client) -> Got:
    file = await c.file()
    assert (await c.send(f"DELETE /files/{file}")).status == 204
    return await c.send(f"DELETE /files/{file}")


async def after_cancel(c: Client) -> Got:
    order = await c.order()
    assert (await c.send(f"PATCH /orders/{order}", {"comment": "soon"})).status == 200
    assert (await c.send(f"POST /orders/{order}/cancel")).json["lines"] == []
    return await c.send(f"PATCH /orders/{order}", {"comment": "late"})


async def label_again(c: Client) -> Got:
    line = f"/users/{await c.user()}/addresses/home"
    for method, status in (("PUT", 200), ("PUT", 200), ("DELETE", 204), ("GET", 404)):
        assert (await c.send(f"{method} {line}", ADDRESS if method == "PUT" else None)).status == status
    return await c.send(f"PUT {line}", ADDRESS)


async def third_note(c: Client) -> Got:
    order = await c.order()
    for _ in range(3):
        assert (await c.send(f"GET /orders/{order}/notes")).status == 200
        assert (await c.note(order)).status == 201
    return await c.send(f"GET /orders/{order}/notes")


async def race(c: Client) -> Got:
    line = f"POST /orders/{await c.order()}/payments"
    assert (await c.send(line, {"amount": 1})).status == 201
    both = await asyncio.gather(*(c.send(line, {"amount": 1}) for _ in range(2)))
    return max(both, key=lambda got: got.status)


async def missing_field(c: Client) -> None:
    assert "currency" in (await c.send("PATCH /items/1", {"price": 3})).json
    assert "currency" not in (await c.send("GET /items/1")).json


async def missing_header(c: Client) -> None:
    assert "x-total-count" not in (await c.send("GET /users")).headers
    await c.user()
    assert (await c.send("GET /users")).headers["x-total-count"] == "1"


async def body_of_204(c: Client) -> None:
    await c.send("POST /items/1/tags", {"tags": ["new"]})
    got = await c.send("DELETE /items/1/tags/new")
    assert got.status == 204 and got.raw


async def additional(c: Client) -> None:
    assert (await c.send(f"PATCH /users/{await c.user()}", {"admin": True})).status == 200


async def minimum(c: Client) -> None:
    await c.made("POST /orders", {"user_id": await c.user(), "lines": [{**LINE, "quantity": 0}]})


async def letters(c: Client) -> None:
    got = await c.send(f"PUT /users/{await c.user()}/addresses/home", {**ADDRESS, "city": "Łódź"})
    assert got.status == 422


async def read_by_another(c: Client) -> None:
    file = await c.file()
    assert (await c.send("GET /files", who="bob")).json == []
    assert (await c.send(f"GET /files/{file}", who="bob")).json["name"] == "a.txt"


async def deleted_by_another(c: Client) -> None:
    order = await c.order()
    assert (await c.send(f"GET /orders/{order}", who="bob")).status == 404
    assert (await c.send(f"DELETE /orders/{order}", who="bob")).status == 204


async def lost_update(c: Client) -> None:
    line = f"/users/{await c.user()}"
    assert (await c.send(f"PATCH {line}", {"phone": "1234567"})).json["phone"] == "1234567"
    assert (await c.send(f"GET {line}")).json["phone"] is None


async def ghost(c: Client) -> None:
    job = await c.made("POST /jobs", {"kind": "export"})
    assert (await c.send(f"DELETE /jobs/{job}")).status == 204
    assert (await c.send(f"GET /jobs/{job}")).status == 404
    assert [j["id"] for j in (await c.send("GET /jobs")).json] == [job]


async def growing_put(c: Client) -> None:
    line = f"PUT /orders/{await c.order()}/shipping"
    said = {"method": "post", "notes": ["ring twice"]}
    assert (await c.send(line, said)).json["notes"] == ["ring twice"]
    assert (await c.send(line, said)).json["notes"] == ["ring twice"] * 2


async def graph_deleted_parent(c: Client) -> None:
    made = await c.ask('mutation { createCustomer(name: "Ada") { id } }')
    id = made["data"]["createCustomer"]["id"]
    bought = await c.ask("mutation ($i: PurchaseInput!) { createPurchase(input: $i) { id } }", i={"customerId": id})
    line = "query ($i: ID!) { purchase(id: $i) { customer { name } } }"
    purchase = bought["data"]["createPurchase"]["id"]
    assert (await c.ask(line, i=purchase))["data"]["purchase"]["customer"]["name"] == "Ada"
    await c.ask("mutation ($i: ID!) { deleteCustomer(id: $i) }", i=id)
    assert (await c.ask(line, i=purchase))["errors"]


def asked(query: str) -> Story:
    async def story(client: Client) -> None:
        assert (await client.ask(query))["errors"]

    return story


def anybody(line: str, body: Any = None, **more: Any) -> Story:
    async def story(client: Client) -> None:
        assert (await client.send(line, body, **more)).status == 200

    return story


CRASHES: dict[str, Story] = {
    "input-empty-list": one("POST /items/compare", {"ids": []}),
    "input-limit-zero": one("GET /items?limit=0"),
    "input-int-64": one(f"GET /orders?after={2**63}"),
    "input-surrogate": one("POST /users", {"name": "a\ud800", "email": "a@example.org"}),
    "input-year-zero": one("GET /reports/orders?since=0000-01-01"),
    "input-optional-key": one("POST /items/search", {"price": {"min": 1}}),
    "input-null-item": one("POST /items/1/tags", {"tags": ["a", None]}),
    "input-two-options": one("POST /jobs", {"kind": "export", "retries": 1, "deadline": "2026-01-01T00:00:00Z"}),
    "input-nested-enum": nested_enum,
    "input-duplicate-key": settings_twice,
    "input-header-bytes": one("GET /items/1", headers={"x-trace": b"caf\xe9"}),
    "input-nesting": one("POST /items", {**NEW_ITEM, "attributes": NESTED}),
    "state-deleted-parent": deleted_parent,
    "state-second-delete": second_delete,
    "state-after-cancel": after_cancel,
    "state-label-again": label_again,
    "state-third-note": third_note,
    "state-race": race,
}
OTHERS: dict[str, Story] = {
    "contract-status": one("PUT /items/1/stock", {"quantity": 1001}),
    "contract-media-type": one("GET /reports/orders?format=csv"),
    "contract-missing-field": missing_field,
    "contract-flag-type": one("GET /items/1?detail=true"),
    "contract-missing-header": missing_header,
    "contract-body-of-204": body_of_204,
    "accept-max-length": one("POST /users", {"name": "a" * 41, "email": "a@example.org"}),
    "accept-pattern": one("POST /items", {**NEW_ITEM, "sku": "mug"}),
    "accept-additional": additional,
    "accept-enum": one("POST /jobs", {"kind": "party"}),
    "accept-minimum": minimum,
    "accept-required": one("POST /files", {"text": "hello"}),
    "reject-maximum": one("POST /items", {**NEW_ITEM, "price": 10000}),
    "reject-enum": one("GET /items?sort=-price"),
    "reject-letters": letters,
    "auth-anonymous": anybody("PUT /items/1/stock", {"quantity": 3}, who=""),
    "auth-any-token": anybody("GET /reports/stock", who="made-up"),
    "auth-read": read_by_another,
    "auth-delete": deleted_by_another,
    "semantics-lost-update": lost_update,
    "semantics-ghost": ghost,
    "semantics-growing-put": growing_put,
}
GRAPH: dict[str, Story] = {
    "graphql-page-zero": asked("{ items(first: 0) { pages } }"),
    "graphql-word-id": asked('{ item(id: "x") { id } }'),
    "graphql-empty-list": asked("{ dearest(ids: []) { id } }"),
    "graphql-empty-name": asked('mutation { createCustomer(name: "") { id } }'),
    "graphql-deleted-parent": graph_deleted_parent,
    "graphql-null": asked('{ item(id: "1") { related { discount } } }'),
}


def test_there_are_as_many_as_promised() -> None:
    count = dict.fromkeys(("input", "state", "contract", "accept", "reject", "auth", "semantics"), 0)
    for defect in DEFECTS:
        count[defect.kind] += 1
    assert list(count.values()) == [12, 6, 6, 6, 3, 4, 3]
    assert len(DECOYS) == 15
    assert {d.id for d in DEFECTS} == {*CRASHES, *OTHERS}
    assert {d.id for d in GRAPH_DEFECTS} == set(GRAPH)


def test_defects_stand_at_operations() -> None:
    keys = {o.key for o in OPERATIONS} | {"PATCH /jobs/{job_id}", "*"}
    assert {d.operation for d in (*DEFECTS, *DECOYS)} <= keys
    assert explained("POST /jobs", "server_error") == ("input-two-options",)
    assert explained("GET /jobs/{job_id}", "server_error") == ()


@pytest.mark.parametrize("defect", CRASHES)
def test_a_crash_is_a_500_and_logged(defect: str) -> None:
    async def story(client: Client) -> None:
        got = await CRASHES[defect](client)
        assert (got.status, got.json) == (500, {"detail": "Internal Server Error"})

    log = run(story).shop.log
    assert (list(log.triggered), log.unplanned) == ([defect], [])


@pytest.mark.parametrize("defect", OTHERS)
def test_another_defect_is_logged(defect: str) -> None:
    log = run(OTHERS[defect]).shop.log
    # An empty list of users is what the defect of the header is made of.
    assert (list(log.triggered), log.unplanned) == ([defect], [])


@pytest.mark.parametrize("defect", GRAPH)
def test_a_defect_of_the_graph_is_logged(defect: str) -> None:
    log = run(GRAPH[defect]).shop.log
    assert (list(log.triggered), log.unplanned) == ([defect], [])


def test_crashes_are_let_out_where_asked() -> None:
    client = Client(make_app(propagate=True))
    with pytest.raises(ZeroDivisionError):
        asyncio.run(client.send("GET /items?limit=0"))
    assert list(client.shop.log.triggered) == ["input-limit-zero"]


def test_a_crash_nobody_planted_is_told_apart() -> None:
    async def story(client: Client) -> None:
        client.shop.state.items[1].clear()
        assert (await client.send("GET /items")).status == 500

    log = run(story).shop.log
    assert (log.triggered, len(log.unplanned)) == ({}, 1)


def test_the_file_has_a_line_for_each_first_time(tmp_path: Path) -> None:
    file = tmp_path / "log.ndjson"
    client = Client(make_app(log_file=file))
    for line in ("GET /items", "GET /items?limit=0", "GET /items?limit=0", "GET /items/1?detail=true"):
        asyncio.run(client.send(line))
    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(f["id"], f["request"]) for f in found] == [("input-limit-zero", 2), ("contract-flag-type", 4)]


def test_a_shop_begins_anew_and_the_same() -> None:
    first, second = run(CRASHES["state-deleted-parent"]), run(CRASHES["state-deleted-parent"])
    assert list(first.shop.state.orders) == list(second.shop.state.orders)
