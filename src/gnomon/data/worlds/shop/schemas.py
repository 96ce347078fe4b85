"""The schemas of the shop, as JSON Schema 2020-12; documents in other dialects are made of these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["SCHEMAS", "ref"]


def ref(name: str) -> dict[str, Any]:
    """A reference to a schema of `SCHEMAS`."""
    return {"$ref": f"#/$defs/{name}"}


def _object(required: str = "", **properties: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    return {**schema, "required": required.split()} if required else schema


def _list(items: Any, **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


_ID = {"type": "string", "format": "uuid"}
_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_COUNT = {"type": "integer", "minimum": 0}
_ITEM_ID = {"type": "integer", "minimum": 1}
_PRICE = {"type": "number", "minimum": 0, "maximum": 10000}
_TITLE = {"type": "string", "minLength": 1, "maxLength": 80}
_NAME = {"type": "string", "minLength": 1, "maxLength": 40}
_PHONE = {"type": "string", "pattern": "^[0-9]{6,12}$"}
_EMAIL = {"type": "string", "format": "email"}
_SHORT = {"type": "string", "maxLength": 200}

_ITEMS = {
    "NewItem": _object(
        "sku title price",
        sku={"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
        title=_TITLE,
        price=_PRICE,
        attributes={"type": "object"},
    ),
    "ItemChange": _object(title=_TITLE, price=_PRICE),
    "ItemSummary": _object("id title price", id=_ITEM_ID, title=_TEXT, price=_NUMBER),
    "Item": _object(
        "id sku title price currency stock tags deleted",
        id=_ITEM_ID,
        sku=_TEXT,
        title=_TEXT,
        price=_NUMBER,
        currency=_TEXT,
        stock=_COUNT,
        tags=_list(_TEXT),
        deleted={"type": "boolean"},
        rating=_NUMBER,
    ),
    "ItemPage": _object(
        "items total pages", items=_list(ref("ItemSummary")), total=_COUNT, pages=_COUNT, limit=_COUNT, offset=_COUNT
    ),
    "ItemList": _list(ref("ItemSummary")),
    "Search": _object(
        text=_SHORT,
        price=_object(min={"type": "number"}, max={"type": "number"}),
    ),
    "Comparison": _object("ids", ids=_list(_ITEM_ID, maxItems=20)),
    "Compared": _object("first known", first={"type": "integer"}, known=_COUNT),
    "NewTags": _object("tags", tags=_list({"type": ["string", "null"], "maxLength": 30}, minItems=1, maxItems=10)),
    "Stock": _object("quantity", quantity={"type": "integer", "minimum": 0, "maximum": 100000}),
    "StockRow": _object("id stock", id=_ITEM_ID, stock=_COUNT),
    "StockReport": _list(ref("StockRow")),
}
_USERS = {
    "NewUser": _object("name email", name=_NAME, email=_EMAIL, phone=_PHONE),
    "UserChange": {**_object(name=_NAME, email=_EMAIL, phone=_PHONE), "additionalProperties": False},
    "User": _object(
        "id name email phone", id=_ID, name=_TEXT, email=_TEXT, phone={"type": ["string", "null"]}, avatar=_TEXT
    ),
    "UserList": _list(ref("User")),
    "Settings": {
        **_object(theme={"type": "string", "enum": ["light", "dark"]}, language=_SHORT, newsletter={"type": "boolean"}),
        "additionalProperties": False,
    },
    "Address": _object("street city", street=_SHORT, city={"type": "string", "minLength": 1, "maxLength": 60}),
}
_ORDERS = {
    "Option": _object("wrap", wrap={"type": "string", "enum": ["paper", "box", "none"]}, note=_SHORT),
    "NewLine": _object(
        "item_id quantity",
        item_id=_ITEM_ID,
        quantity={"type": "integer", "minimum": 1, "maximum": 1000},
        options=_list(ref("Option"), maxItems=5),
    ),
    "NewOrder": _object(
        "user_id lines", user_id=_ID, lines=_list(ref("NewLine"), minItems=1, maxItems=10), comment=_SHORT
    ),
    "OrderChange": _object(comment=_SHORT),
    "Line": _object("item_id quantity", item_id=_ITEM_ID, quantity={"type": "integer"}, cost=_NUMBER),
    "Shipping": {
        **_object(
            "method",
            method={"type": "string", "enum": ["post", "courier", "pickup"]},
            notes=_list(_SHORT, maxItems=5),
        ),
        "additionalProperties": False,
    },
    "Shipped": _object("method notes", method=_TEXT, notes=_list(_TEXT)),
    "Order": _object(
        "id number user_id status lines total",
        id=_ID,
        number={"type": "integer", "minimum": 1},
        user_id=_ID,
        customer=_TEXT,
        status={"type": "string", "enum": ["open", "cancelled"]},
        lines=_list(ref("Line")),
        total=_NUMBER,
        comment={"type": ["string", "null"]},
        shipping=ref("Shipped"),
    ),
    "OrderRow": _object("id number status", id=_ID, number={"type": "integer"}, status=_TEXT),
    "OrderPage": _object("orders cursor", orders=_list(ref("OrderRow")), cursor=_TEXT),
    "OrderReport": _object("orders total", orders=_COUNT, total=_NUMBER),
    "NewNote": _object("text", text={"type": "string", "minLength": 1, "maxLength": 100}, pinned={"type": "boolean"}),
    "Note": _object("text rank", text=_TEXT, rank=_TEXT, pinned={"type": "boolean"}),
    "NoteList": _list(ref("Note")),
    "NewPayment": _object("amount", amount={"type": "number", "exclusiveMinimum": 0, "maximum": 1000000}),
    "Payment": _object("number amount", number=_COUNT, amount=_NUMBER),
}
_FILES = {
    "NewFile": _object("name text", name=_TITLE, text={"type": "string", "maxLength": 5000}),
    "File": _object("id name size", id=_ID, name=_TEXT, size=_COUNT),
    "FileList": _list(ref("File")),
    "Scan": _object("clean", clean={"type": "boolean"}),
}
_JOBS = {
    "NewJob": _object(
        "kind",
        kind={"type": "string", "enum": ["export", "import", "cleanup"]},
        retries={"type": "integer", "minimum": 0, "maximum": 10},
        deadline={"type": "string", "format": "date-time"},
        payload={"type": "object"},
    ),
    "Job": _object("id kind status", id=_ID, kind=_TEXT, status={"type": "string", "enum": ["queued", "running"]}),
    "JobList": _list(ref("Job")),
}
_ERRORS = {
    "Problem": _object("detail", detail=_TEXT),
    "Fault": _object("loc msg type", loc=_list(_TEXT), msg=_TEXT, type=_TEXT),
    "Invalid": _object("detail", detail=_list(ref("Fault"))),
}

SCHEMAS: Mapping[str, dict[str, Any]] = {**_ITEMS, **_USERS, **_ORDERS, **_FILES, **_JOBS, **_ERRORS}
"By name; they refer to each other as `#/$defs/NAME`."
