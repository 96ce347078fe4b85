"""Items of the shop: public to read, kept by whoever is known."""

from __future__ import annotations

from itertools import islice
from typing import Any

from gnomon.data.worlds.shop.base import Answer, Call, Handler, Refused

__all__ = ["ITEMS"]

_SUMMARY = ("id", "title", "price")
_HIGHEST_PRICE = 10000
_PLENTY = 1000
_INDENTS = ["  " * depth for depth in range(60)]


def _item(call: Call) -> dict[str, Any]:
    # A fraction of zero is an integer to JSON Schema, and equal to one as a key.
    item = call.state.items.get(call.path["item_id"])
    if item is None:
        raise Refused(404, "Not found")
    return item


def _summary(item: dict[str, Any]) -> dict[str, Any]:
    return {key: item[key] for key in _SUMMARY}


async def _list(call: Call) -> Answer:
    query = call.query
    if query.get("sort") == "-price":
        raise call.refuse("query", "sort", "unknown order", "reject-enum")
    _notice_texts(call)
    found = list(reversed(call.state.shown.values()))
    if not query.keys().isdisjoint(("q", "min_price", "tag")):
        text, least, tags = query.get("q", ""), query.get("min_price", 0), set(query.get("tag", ()))
        found = [i for i in found if text in i["title"] and i["price"] >= least and tags.issubset(i["tags"])]
    if "sort" in query:
        found.sort(key=lambda item: item[query["sort"]])
    limit, offset = int(query.get("limit", 20)), int(query.get("offset", 0))
    with call.log.crash("input-limit-zero"):
        pages = -(-len(found) // limit)
    page = [_summary(i) for i in islice(found, offset, offset + limit)]
    return Answer(body={"items": page, "total": len(found), "pages": pages, "limit": limit, "offset": offset})


def _notice_texts(call: Call) -> None:
    if "limit" in call.query:
        call.log.decoy("numeric-text")
    if call.query.get("q") == "null":
        call.log.decoy("null-text")
    if call.token is None:
        call.log.decoy("public")


async def _create(call: Call) -> Answer:
    body = call.body
    if body["price"] == _HIGHEST_PRICE:
        raise call.refuse("body", "price", "too dear", "reject-maximum")
    with call.log.crash("input-nesting"):
        _outline(body.get("attributes", {}), 0)
    item = call.state.new_item({**body, "title": body["title"].strip()})
    return Answer(201, item, {"Location": f"/items/{item['id']}"})


def _outline(value: Any, depth: int) -> str:
    """Attributes as indented lines."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return _INDENTS[depth] + "\n".join(_outline(child, depth + 1) for child in children)


async def _read(call: Call) -> Answer:
    item = _item(call)
    if call.loose_header is not None:
        with call.log.crash("input-header-bytes"):
            call.loose_header.decode("ascii")
    if "currency" not in item:
        call.log.add("contract-missing-field")
    if not call.query.get("detail"):
        return Answer(body=item)
    call.log.add("contract-flag-type")
    return Answer(body={**item, "rating": f"{len(item['title']) % 5}.5"})


async def _change(call: Call) -> Answer:
    item = _item(call)
    changes = dict(call.body)
    if "title" in changes:
        changes["title"] = changes["title"].strip()
        if changes["title"] != call.body["title"]:
            call.log.decoy("trimmed")
    known = {key: item[key] for key in ("title", "price")} | changes
    # What the form of changes does not have is built anew, and the currency forgotten.
    shown = {**item, "currency": "EUR", "title": known["title"], "price": known["price"]}
    kept = {key: value for key, value in shown.items() if key != "currency"}
    call.state.keep(kept)
    return Answer(body=shown)


async def _delete(call: Call) -> Answer:
    item = _item(call)
    item["deleted"] = True
    call.state.keep(item)
    call.log.decoy("soft-delete")
    return Answer(204)


async def _set_stock(call: Call) -> Answer:
    item = _item(call)
    if not call.caller:
        call.log.add("auth-anonymous")
    item["stock"] = int(call.body["quantity"])
    if item["stock"] <= _PLENTY:
        return Answer(body={"quantity": item["stock"]})
    call.log.add("contract-status")
    return Answer(202, {"quantity": item["stock"]})


async def _add_tags(call: Call) -> Answer:
    item = _item(call)
    with call.log.crash("input-null-item"):
        tags = [tag.strip() for tag in call.body["tags"]]
    item["tags"] = list(dict.fromkeys([*item["tags"], *tags]))[-50:]
    return Answer(body={**item, "currency": "EUR"})


async def _remove_tag(call: Call) -> Answer:
    item = _item(call)
    if call.path["tag"] not in item["tags"]:
        raise Refused(404, "Not found")
    item["tags"] = [tag for tag in item["tags"] if tag != call.path["tag"]]
    call.log.add("contract-body-of-204")
    return Answer(204, {"removed": True})


async def _search(call: Call) -> Answer:
    body = call.body
    low, high = 0, float("inf")
    if "price" in body:
        with call.log.crash("input-optional-key"):
            low, high = body["price"].get("min", 0), body["price"]["max"]
    text = body.get("text", "")
    found = (i for i in reversed(call.state.shown.values()) if text in i["title"] and low <= i["price"] <= high)
    return Answer(body=[_summary(item) for item in islice(found, 100)])


async def _compare(call: Call) -> Answer:
    ids = call.body["ids"]
    with call.log.crash("input-empty-list"):
        first = ids[0]
    return Answer(body={"first": first, "known": sum(id in call.state.items for id in ids)})


ITEMS: dict[str, Handler] = {
    "list_items": _list,
    "create_item": _create,
    "read_item": _read,
    "change_item": _change,
    "delete_item": _delete,
    "set_stock": _set_stock,
    "add_tags": _add_tags,
    "remove_tag": _remove_tag,
    "search_items": _search,
    "compare_items": _compare,
}
"What answers, by the name of the operation."
