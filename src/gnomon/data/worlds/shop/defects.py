"""What is planted in the shop: defects that a fuzzer is to find, and right behaviour that it is to leave alone."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DECOYS", "DEFECTS", "GRAPH_DEFECTS", "Decoy", "Defect", "explained"]


@dataclass(frozen=True, slots=True)
class Defect:
    """One planted defect.

    Attributes:
        id: as the log names it; its first word is the kind.
        title: what goes wrong.
        operation: method and path template that show it, or root field of the GraphQL view.
        trigger: the least that makes it happen.
        checks: what kinds of finding report it, by the names of the fuzzer's checks.
    """

    id: str
    title: str
    operation: str
    trigger: str
    checks: tuple[str, ...]

    @property
    def kind(self) -> str:
        """input, state, contract, accept, reject, auth, semantics or graphql."""
        return self.id.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Decoy:
    """Right behaviour that a naive check takes for a defect.

    Attributes:
        id: as the log names it.
        title: what the shop does, and why that is right.
        operation: where; "*" for everywhere.
        check: the check that would be fooled.
    """

    id: str
    title: str
    operation: str
    check: str


_CRASH = ("server_error",)

_INPUT = (
    ("empty-list", "first of an empty list", "POST /items/compare", "ids: []"),
    ("limit-zero", "division by a limit of zero", "GET /items", "limit=0"),
    ("int-64", "a cursor that does not fit 64 bits", "GET /orders", "after=2^63 or more"),
    ("surrogate", "a name that UTF-8 cannot hold", "POST /users", 'name with the escape "\\ud800"'),
    ("year-zero", "a date that the calendar does not have", "GET /reports/orders", "since=0000-01-01"),
    ("optional-key", "an optional key is taken for given", "POST /items/search", "price without max"),
    ("null-item", "null in a list that may hold it", "POST /items/{item_id}/tags", "tags: [null]"),
    ("two-options", "two options that are each fine alone", "POST /jobs", "retries and deadline together"),
    ("nested-enum", "an unknown word deep in a list", "POST /orders", "lines[].options[].wrap outside its enum"),
    ("duplicate-key", "the same key twice", "PUT /users/{user_id}/settings", '{"theme": "dark", "theme": "dark"}'),
    ("header-bytes", "a header outside ASCII", "GET /items/{item_id}", "X-Trace with a byte above 127"),
    ("nesting", "attributes 60 levels deep", "POST /items", "attributes nested 60 times"),
)
_STATE = (
    (
        "deleted-parent",
        "an order whose user is gone",
        "GET /orders/{order_id}",
        "create both, delete the user, read",
    ),
    ("second-delete", "a file is deleted twice", "DELETE /files/{file_id}", "create, delete, delete"),
    ("after-cancel", "a cancelled order is changed", "PATCH /orders/{order_id}", "create, cancel, change"),
    (
        "label-again",
        "an address comes back under its old label",
        "PUT /users/{user_id}/addresses/{label}",
        "put, delete, put the same label",
    ),
    ("third-note", "notes cannot be listed once there are three", "GET /orders/{order_id}/notes", "three notes, list"),
    ("race", "two payments at once", "POST /orders/{order_id}/payments", "two within 5 ms for one order"),
)
_CONTRACT = (
    (
        "status",
        "an answer of 202 that no document mentions",
        "PUT /items/{item_id}/stock",
        "quantity above 1000",
        ("undocumented_status",),
    ),
    (
        "media-type",
        "CSV is sent as text/plain",
        "GET /reports/orders",
        "format=csv",
        ("undocumented_content_type",),
    ),
    (
        "missing-field",
        "an item loses its currency by being changed",
        "GET /items/{item_id}",
        "PATCH an item, then read it",
        ("response_body",),
    ),
    ("flag-type", "a rating is a string", "GET /items/{item_id}", "detail=true", ("response_body",)),
    ("missing-header", "an empty page has no X-Total-Count", "GET /users", "an empty page", ("response_headers",)),
    (
        "body-of-204",
        "a body after No Content",
        "DELETE /items/{item_id}/tags/{tag}",
        "delete a tag that is there",
        ("response_body", "undocumented_content_type"),
    ),
)
_ACCEPT = (
    ("max-length", "a name of any length", "POST /users", "name over 40 characters"),
    ("pattern", "any sku", "POST /items", "sku outside its pattern"),
    ("additional", "any further property", "PATCH /users/{user_id}", "a property that the schema forbids"),
    ("enum", "any kind of job", "POST /jobs", "kind outside its enum"),
    ("minimum", "a quantity below 1", "POST /orders", "lines[].quantity of 0 or less"),
    ("required", "a file without a name", "POST /files", "body without name"),
)
_REJECT = (
    ("maximum", "the highest price allowed is refused", "POST /items", "price of 10000"),
    ("enum", "a sorting order of the document is refused", "GET /items", "sort=-price"),
    ("letters", "a city outside ASCII is refused", "PUT /users/{user_id}/addresses/{label}", "city: Łódź"),
)
_AUTH = (
    ("anonymous", "stock is set by anybody", "PUT /items/{item_id}/stock", "no credentials", "ignored_auth"),
    ("any-token", "any token reads the stock", "GET /reports/stock", "a wrong bearer token", "ignored_auth"),
    ("read", "a file is read by another user", "GET /files/{file_id}", "B reads A's file", "object_level_auth"),
    (
        "delete",
        "an order is deleted by another user",
        "DELETE /orders/{order_id}",
        "B deletes A's",
        "object_level_auth",
    ),
)
_SEMANTICS = (
    (
        "lost-update",
        "a changed phone is not kept",
        "PATCH /users/{user_id}",
        "PATCH the phone, then read",
        ("update_not_visible",),
    ),
    ("ghost", "a deleted job is listed", "GET /jobs", "delete a job, then list", ("list_inconsistent",)),
    (
        "growing-put",
        "the same PUT adds its notes again",
        "PUT /orders/{order_id}/shipping",
        "the same notes twice",
        ("non_idempotent_put", "update_not_visible"),
    ),
)
_GRAPH = (
    ("page-zero", "division by a page of zero", "items", "first: 0"),
    ("word-id", "an id that is no number", "item", 'id: "x"'),
    ("empty-list", "the dearest of nothing", "dearest", "ids: []"),
    ("empty-name", "the initial of an empty name", "createCustomer", 'name: ""'),
    ("deleted-parent", "a purchase whose customer is gone", "purchase", "create both, delete the customer, read"),
    ("null", "null where none may be", "item", "discount of an item that has none"),
)

DEFECTS: tuple[Defect, ...] = (
    *(Defect(f"input-{i}", title, where, how, _CRASH) for i, title, where, how in _INPUT),
    *(Defect(f"state-{i}", title, where, how, _CRASH) for i, title, where, how in _STATE),
    *(Defect(f"contract-{i}", title, where, how, checks) for i, title, where, how, checks in _CONTRACT),
    *(Defect(f"accept-{i}", title, where, how, ("negative_data_accepted",)) for i, title, where, how in _ACCEPT),
    *(Defect(f"reject-{i}", title, where, how, ("valid_data_rejected",)) for i, title, where, how in _REJECT),
    *(Defect(f"auth-{i}", title, where, how, (check,)) for i, title, where, how, check in _AUTH),
    *(Defect(f"semantics-{i}", title, where, how, checks) for i, title, where, how, checks in _SEMANTICS),
)
"The 40 of the HTTP view."

GRAPH_DEFECTS: tuple[Defect, ...] = tuple(
    Defect(f"graphql-{i}", title, where, how, ("graphql_error",)) for i, title, where, how in _GRAPH
)
"Those of the GraphQL view, beside the 40."

DECOYS: tuple[Decoy, ...] = (
    Decoy("numeric-text", "a query is text, so 1 is a number and a word", "GET /items", "negative_data_accepted"),
    Decoy("null-text", "the text null is a text", "GET /items", "negative_data_accepted"),
    Decoy("conflict", "409 for an address that is taken", "POST /users", "valid_data_rejected"),
    Decoy("unknown-id", "404 for an id that nobody has made", "GET /jobs/{job_id}", "valid_data_rejected"),
    Decoy("media-type", "415 for a body of another type", "*", "undocumented_status"),
    Decoy("late", "202 promises a job for later, so it may be 404 at first", "POST /jobs", "created_not_found"),
    Decoy("public", "what is public answers anybody", "GET /items", "ignored_auth"),
    Decoy("extra-query", "an unknown query parameter is ignored", "*", "negative_data_accepted"),
    Decoy("soft-delete", "a deleted item is shown as deleted", "DELETE /items/{item_id}", "use_after_delete"),
    Decoy("trimmed", "spaces around a title are taken off", "PATCH /items/{item_id}", "update_not_visible"),
    Decoy("retry-after", "503 with Retry-After, and then it works", "GET /files/{file_id}/scan", "server_error"),
    Decoy("stale-list", "a list is one reading behind", "GET /files", "list_inconsistent"),
    Decoy(
        "default-header",
        "a required header with a default may be left out",
        "GET /files/{file_id}/content",
        "missing_header_accepted",
    ),
    Decoy("head", "HEAD has the headers of GET and no body", "*", "response_body"),
    Decoy("not-implemented", "501 for a method that is not there yet", "PATCH /jobs/{job_id}", "server_error"),
)
"The 15 of the HTTP view."


def explained(operation: str, check: str) -> tuple[str, ...]:
    """Ids of the planted defects that a finding of `check` on `operation` may be; none means a false alarm.

    >>> explained("GET /items", "server_error")
    ('input-limit-zero',)
    """
    known = (*DEFECTS, *GRAPH_DEFECTS)
    return tuple(d.id for d in known if d.operation == operation and check in d.checks)
