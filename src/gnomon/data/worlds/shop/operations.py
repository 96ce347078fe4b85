"""The operations of the shop: one table, of which the documents are made and by which requests are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gnomon.data.worlds.shop.schemas import ref

__all__ = ["FORM", "JSON", "OPERATIONS", "Operation", "Outcome", "Parameter"]

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
Place = Literal["path", "query", "header"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value outside the body."""

    name: str
    place: Place
    schema: Mapping[str, Any]
    required: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a status promises: the schema of its body (none: no body), its media types, headers that must be there."""

    text: str
    schema: Mapping[str, Any] | None = None
    media: tuple[str, ...] = (JSON,)
    headers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """A method of a path template.

    Attributes:
        name: `operationId`, and the name of the function that answers.
        body: name of the schema of its body; "" where it takes none.
        media: how that body is written.
        outcomes: by status.
        public: whether anybody may call it.
    """

    method: str
    path: str
    name: str
    parameters: tuple[Parameter, ...] = ()
    body: str = ""
    media: str = JSON
    outcomes: Mapping[int, Outcome]
    public: bool = False

    @property
    def key(self) -> str:
        """`GET /items/{item_id}`."""
        return f"{self.method} {self.path}"


_UUID = {"type": "string", "format": "uuid"}
_WORD = {"type": "string", "pattern": "^[a-z]{1,12}$"}
_PATH: Mapping[str, Mapping[str, Any]] = {
    "item_id": {"type": "integer", "minimum": 1},
    "label": _WORD,
    "tag": {"type": "string", "minLength": 1, "maxLength": 30},
}
_LOCATION = {"Location": {"type": "string"}}
_PAGE = {
    "limit": {"type": "integer", "minimum": 0, "maximum": 100},
    "offset": {"type": "integer", "minimum": 0, "maximum": 1000000},
}
_DAY = {"type": "string", "format": "date"}
_CHOICE = {"type": "string", "enum": ["json", "csv"]}


def _query(**schemas: Mapping[str, Any]) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, "query", schema) for name, schema in schemas.items())


def _does(
    line: str,
    name: str,
    good: Outcome | None = None,
    status: int = 200,
    *,
    body: str = "",
    media: str = JSON,
    parameters: tuple[Parameter, ...] = (),
    more: Mapping[int, Outcome] | None = None,
    public: bool = False,
) -> Operation:
    """An operation with the errors that follow from what it takes."""
    method, path = line.split()
    in_path = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    taken = tuple(Parameter(p, "path", _PATH.get(p, _UUID), required=True) for p in in_path) + parameters
    outcomes = {status: good or Outcome("Done.")}
    if body:
        outcomes[400] = Outcome("The body is malformed.", ref("Problem"))
    if not public:
        outcomes[401] = Outcome("Credentials are missing or wrong.", ref("Problem"))
    if in_path:
        outcomes[404] = Outcome("There is no such thing.", ref("Problem"))
    if taken or body:
        outcomes[422] = Outcome("The request is not as it should be.", ref("Invalid"))
    outcomes |= more or {}
    return Operation(
        method=method, path=path, name=name, parameters=taken, body=body, media=media, outcomes=outcomes, public=public
    )


def _made(name: str) -> Outcome:
    return Outcome("It is made.", ref(name), headers=_LOCATION)


def _shows(name: str) -> Outcome:
    return Outcome("As asked.", ref(name))


_NO_SUCH = {404: Outcome("What it names is not there.", ref("Problem"))}
_TAKEN = {409: Outcome("It is taken, or not in a state for this.", ref("Problem"))}

OPERATIONS: tuple[Operation, ...] = (
    _does(
        "GET /items",
        "list_items",
        _shows("ItemPage"),
        public=True,
        parameters=_query(
            **_PAGE,
            q={"type": "string", "maxLength": 50},
            sort={"type": "string", "enum": ["title", "price", "-price"]},
            min_price={"type": "number", "minimum": 0},
            tag={"type": "array", "items": {"type": "string"}, "maxItems": 5},
        ),
    ),
    _does("POST /items", "create_item", _made("Item"), 201, body="NewItem"),
    _does(
        "GET /items/{item_id}",
        "read_item",
        _shows("Item"),
        public=True,
        parameters=(
            *_query(detail={"type": "boolean"}),
            Parameter("X-Trace", "header", {"type": "string", "maxLength": 64}),
        ),
    ),
    _does("PATCH /items/{item_id}", "change_item", _shows("Item"), body="ItemChange"),
    _does("DELETE /items/{item_id}", "delete_item", status=204),
    _does("PUT /items/{item_id}/stock", "set_stock", _shows("Stock"), body="Stock"),
    _does("POST /items/{item_id}/tags", "add_tags", _shows("Item"), body="NewTags"),
    _does("DELETE /items/{item_id}/tags/{tag}", "remove_tag", status=204),
    _does("POST /items/search", "search_items", _shows("ItemList"), body="Search", public=True),
    _does("POST /items/compare", "compare_items", _shows("Compared"), body="Comparison", public=True),
    _does(
        "GET /users",
        "list_users",
        Outcome("A page.", ref("UserList"), headers={"X-Total-Count": {"type": "integer"}}),
        parameters=_query(**_PAGE),
    ),
    _does("POST /users", "create_user", _made("User"), 201, body="NewUser", more=_TAKEN),
    _does("GET /users/{user_id}", "read_user", _shows("User")),
    _does("PATCH /users/{user_id}", "change_user", _shows("User"), body="UserChange", more=_TAKEN),
    _does("DELETE /users/{user_id}", "delete_user", status=204),
    _does("PUT /users/{user_id}/settings", "put_settings", _shows("Settings"), body="Settings"),
    _does("PUT /users/{user_id}/addresses/{label}", "put_address", _shows("Address"), body="Address"),
    _does("GET /users/{user_id}/addresses/{label}", "read_address", _shows("Address")),
    _does("DELETE /users/{user_id}/addresses/{label}", "delete_address", status=204),
    _does(
        "GET /orders",
        "list_orders",
        _shows("OrderPage"),
        parameters=_query(
            after={"type": "integer", "minimum": 0}, limit={"type": "integer", "minimum": 1, "maximum": 100}
        ),
    ),
    _does("POST /orders", "create_order", _made("Order"), 201, body="NewOrder", more=_NO_SUCH),
    _does("GET /orders/{order_id}", "read_order", _shows("Order")),
    _does("PATCH /orders/{order_id}", "change_order", _shows("Order"), body="OrderChange"),
    _does("DELETE /orders/{order_id}", "delete_order", status=204),
    _does("POST /orders/{order_id}/cancel", "cancel_order", _shows("Order"), more=_TAKEN),
    _does("PUT /orders/{order_id}/shipping", "put_shipping", _shows("Shipped"), body="Shipping"),
    _does("POST /orders/{order_id}/notes", "add_note", status=201, body="NewNote", media=FORM),
    _does("GET /orders/{order_id}/notes", "list_notes", _shows("NoteList")),
    _does("POST /orders/{order_id}/payments", "add_payment", Outcome("Paid.", ref("Payment")), 201, body="NewPayment"),
    _does(
        "GET /reports/orders",
        "report_orders",
        Outcome("Counts and sums.", ref("OrderReport"), media=(JSON, "text/csv")),
        parameters=_query(since=_DAY, until=_DAY, format=_CHOICE),
    ),
    _does("GET /reports/stock", "report_stock", _shows("StockReport")),
    _does("GET /files", "list_files", _shows("FileList")),
    _does("POST /files", "create_file", _made("File"), 201, body="NewFile"),
    _does("GET /files/{file_id}", "read_file", _shows("File")),
    _does("DELETE /files/{file_id}", "delete_file", status=204),
    _does(
        "GET /files/{file_id}/scan",
        "scan_file",
        _shows("Scan"),
        more={503: Outcome("Not yet.", ref("Problem"), headers={"Retry-After": {"type": "integer"}})},
    ),
    _does(
        "GET /files/{file_id}/content",
        "read_content",
        Outcome("The text.", {"type": "string"}, media=("text/plain",), headers={"X-Checksum": {"type": "string"}}),
        parameters=(
            Parameter("X-Part", "header", {"type": "string", "enum": ["all", "head"], "default": "all"}, required=True),
        ),
    ),
    _does("GET /jobs", "list_jobs", _shows("JobList")),
    _does("POST /jobs", "create_job", Outcome("Later.", ref("Job"), headers=_LOCATION), 202, body="NewJob"),
    _does("GET /jobs/{job_id}", "read_job", _shows("Job")),
    _does("DELETE /jobs/{job_id}", "delete_job", status=204),
)
"In the order of the documents."
