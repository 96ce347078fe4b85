"""Orders of the shop, what is shipped and paid for them, and reports over them."""

from __future__ import annotations

import asyncio
from datetime import date
from itertools import islice
from typing import Any

from gnomon.data.worlds.shop.base import Answer, Call, Handler, Refused

__all__ = ["ORDERS"]

_WRAPS = {"paper": 0.5, "box": 2.0, "none": 0.0}
_RANKS = ("first", "second")
_PAYMENT_SECONDS = 0.005
_TODAY = date(2026, 1, 1)


def _order(call: Call) -> dict[str, Any]:
    return call.mine(call.state.orders, call.path["order_id"])


def _shown(order: dict[str, Any]) -> dict[str, Any]:
    keys = ("id", "number", "user_id", "status", "total", "comment")
    shipping = {"shipping": order["shipping"]} if "shipping" in order else {}
    return {**{key: order[key] for key in keys}, "lines": order["lines"] or [], **shipping}


def _cost(call: Call, line: dict[str, Any]) -> float:
    with call.log.crash("input-nested-enum"):
        wrapping = sum(_WRAPS[option["wrap"]] for option in line.get("options", ()))
    price: float = call.state.items[line["item_id"]]["price"]
    cost: float = round(max(0, line["quantity"]) * price + wrapping, 2)
    return cost


async def _list(call: Call) -> Answer:
    after, limit = int(call.query.get("after", 0)), int(call.query.get("limit", 20))
    with call.log.crash("input-int-64"):
        cursor = after.to_bytes(8, "big", signed=True).hex()
    mine = (o for o in reversed(call.state.orders.values()) if o["owner"] == call.caller and o["number"] > after)
    rows = [{key: order[key] for key in ("id", "number", "status")} for order in islice(mine, limit)]
    return Answer(body={"orders": rows, "cursor": cursor})


async def _create(call: Call) -> Answer:
    body, state = call.body, call.state
    call.mine(state.users, body["user_id"])
    if any(line["item_id"] not in state.items for line in body["lines"]):
        raise Refused(404, "No such item")
    lines = [
        {"item_id": line["item_id"], "quantity": line["quantity"], "cost": _cost(call, line)} for line in body["lines"]
    ]
    state.numbers += 1
    order = {
        "id": state.new_id(),
        "number": state.numbers,
        "owner": call.caller,
        "user_id": body["user_id"],
        "status": "open",
        "lines": lines,
        "total": round(sum(line["cost"] for line in lines), 2),
        "comment": body.get("comment"),
        "notes": [],
        "payments": 0,
    }
    state.orders[order["id"]] = order
    return Answer(201, _shown(order), {"Location": f"/orders/{order['id']}"})


async def _read(call: Call) -> Answer:
    order = _order(call)
    with call.log.crash("state-deleted-parent"):
        customer = call.state.users[order["user_id"]]["name"]
    return Answer(body={**_shown(order), "customer": customer})


async def _change(call: Call) -> Answer:
    order = _order(call)
    with call.log.crash("state-after-cancel"):
        order["total"] = round(sum(line["cost"] for line in order["lines"]), 2)
    order["comment"] = call.body.get("comment", order["comment"])
    return Answer(body=_shown(order))


async def _delete(call: Call) -> Answer:
    order = call.state.orders.pop(call.path["order_id"], None)
    if order is None:
        raise Refused(404, "Not found")
    if order["owner"] != call.caller:
        call.log.add("auth-delete")
    return Answer(204)


async def _cancel(call: Call) -> Answer:
    order = _order(call)
    if order["status"] == "cancelled":
        raise Refused(409, "It is cancelled already")
    order.update(status="cancelled", lines=None, total=0)
    return Answer(body=_shown(order))


async def _put_shipping(call: Call) -> Answer:
    order = _order(call)
    notes = call.body.get("notes", [])
    if notes and order.get("shipping_said") == call.body:
        call.log.add("semantics-growing-put")
    before = order["shipping"]["notes"] if "shipping" in order else []
    order["shipping"] = {"method": call.body["method"], "notes": (before + notes)[-200:]}
    order["shipping_said"] = call.body
    return Answer(body=order["shipping"])


async def _add_note(call: Call) -> Answer:
    notes: list[dict[str, Any]] = _order(call)["notes"]
    notes.append({"text": call.body["text"], "pinned": call.body.get("pinned", False)})
    return Answer(201)


async def _list_notes(call: Call) -> Answer:
    notes = _order(call)["notes"]
    with call.log.crash("state-third-note"):
        return Answer(body=[{**note, "rank": _RANKS[place]} for place, note in enumerate(notes)])


async def _add_payment(call: Call) -> Answer:
    order = _order(call)
    order["paying"] = call.body["amount"]
    await asyncio.sleep(_PAYMENT_SECONDS)
    with call.log.crash("state-race"):
        amount = order.pop("paying")
    order["payments"] += 1
    return Answer(201, {"number": order["payments"], "amount": amount})


async def _report(call: Call) -> Answer:
    with call.log.crash("input-year-zero"):
        since = date.fromisoformat(call.query.get("since", "0001-01-01"))
        until = date.fromisoformat(call.query.get("until", "9999-12-31"))
    covered = since <= _TODAY <= until
    mine = [o for o in call.state.orders.values() if o["owner"] == call.caller] if covered else []
    report = {"orders": len(mine), "total": round(sum(order["total"] for order in mine), 2)}
    if call.query.get("format") != "csv":
        return Answer(body=report)
    call.log.add("contract-media-type")
    return Answer(body="orders,total\n{orders},{total}\n".format(**report), media="text/plain; charset=utf-8")


async def _report_stock(call: Call) -> Answer:
    if not call.caller:
        call.log.add("auth-any-token")
    rows = [{"id": item["id"], "stock": item["stock"]} for item in islice(call.state.items.values(), 100)]
    return Answer(body=rows)


ORDERS: dict[str, Handler] = {
    "list_orders": _list,
    "create_order": _create,
    "read_order": _read,
    "change_order": _change,
    "delete_order": _delete,
    "cancel_order": _cancel,
    "put_shipping": _put_shipping,
    "add_note": _add_note,
    "list_notes": _list_notes,
    "add_payment": _add_payment,
    "report_orders": _report,
    "report_stock": _report_stock,
}
"What answers, by the name of the operation."
