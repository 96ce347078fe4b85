"""What the parts of the shop share: state, calls that were read, answers, and the log of what was triggered."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gnomon.data.worlds.shop.defects import DECOYS, DEFECTS, GRAPH_DEFECTS

__all__ = ["TOKENS", "Answer", "Call", "Handler", "Log", "Refused", "State"]

TOKENS: Mapping[str, str] = {"alice": "token-of-alice", "bob": "token-of-bob"}
"Bearer tokens by who they are."
_KNOWN = frozenset(d.id for d in (*DEFECTS, *GRAPH_DEFECTS))
_DECOYS = frozenset(d.id for d in DECOYS)


class Log:
    """Which planted defects were really triggered, and how often.

    Attributes:
        triggered: times by id of a defect, in the order of their first time.
        decoys: times by id of a decoy: right behaviour that a naive check would have flagged there.
        unplanned: texts of crashes that nobody planted; a shop in order has none.
        requests: how many were served.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.triggered: dict[str, int] = {}
        self.decoys: dict[str, int] = {}
        self.unplanned: list[str] = []
        self.requests = 0
        self._file, self._start = file, time.monotonic()

    def add(self, defect: str) -> None:
        """Counts a defect; its first time goes to the file as `{"id", "at", "request"}`, seconds since the start."""
        assert defect in _KNOWN, defect
        first = defect not in self.triggered
        self.triggered[defect] = self.triggered.get(defect, 0) + 1
        if first and self._file:
            at = round(time.monotonic() - self._start, 3)
            with self._file.open("a", encoding="utf-8") as out:
                out.write(json.dumps({"id": defect, "at": at, "request": self.requests}) + "\n")

    def decoy(self, name: str) -> None:
        """Counts a decoy."""
        assert name in _DECOYS, name
        self.decoys[name] = self.decoys.get(name, 0) + 1

    @contextmanager
    def crash(self, defect: str) -> Iterator[None]:
        """Code that crashes when the defect is triggered; the exception goes on."""
        try:
            yield
        except Exception as error:
            error.add_note(f"planted: {defect}")
            self.add(defect)
            raise

    def crashed(self, error: Exception) -> None:
        """Notes an exception that nothing caught; one that was not planted is kept as such."""
        if not getattr(error, "__notes__", None):
            self.unplanned.append(repr(error))


class State:
    """All that the shop remembers; identifiers come from a seed, so the same calls meet the same shop."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.items: dict[int, dict[str, Any]] = {}
        self.shown: dict[int, dict[str, Any]] = {}
        "Items that are not deleted, in their order."
        self.users: dict[str, dict[str, Any]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.files: dict[str, dict[str, Any]] = {}
        self.file_owners: dict[str, str] = {}
        self.files_listed: dict[str, list[dict[str, Any]]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.emails: set[str] = set()
        self.numbers = 0
        for title, price in (("Lamp", 39.5), ("Chair", 120.0), ("Kettle", 24.9)):
            self.new_item({"sku": f"AAA-000{len(self.items)}", "title": title, "price": price})

    def new_id(self) -> str:
        """An identifier that nobody guesses."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def new_item(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """An item, kept."""
        number = len(self.items) + 1
        kept = {key: fields[key] for key in ("sku", "title", "price")}
        item = {"id": number, **kept, "currency": "EUR", "stock": 0, "tags": [], "deleted": False}
        self.keep(item)
        return item

    def keep(self, item: dict[str, Any]) -> None:
        """Keeps an item as it now is."""
        self.items[item["id"]] = item
        if item["deleted"]:
            self.shown.pop(item["id"], None)
        else:
            self.shown[item["id"]] = item


class Refused(Exception):
    """A request that is answered with an error: status, and what stands under `detail`."""

    def __init__(self, status: int, detail: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})


@dataclass(slots=True, kw_only=True)
class Call:
    """A request whose operation is known and whose values were read.

    Attributes:
        caller: alice, bob, or "" for nobody.
        path, query, headers: values by name, as their schemas have them; what was not sent is not there.
        body: the value of the body, `raw` its bytes.
        holes: planted defects by which the request was let through though its schema forbids it.
        loose_header: the header that is read as bytes, None where it was not sent.
    """

    state: State
    log: Log
    caller: str = ""
    token: str | None = None
    path: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    raw: bytes = b""
    holes: tuple[str, ...] = ()
    loose_header: bytes | None = None

    def mine(self, things: Mapping[str, dict[str, Any]], id: str) -> dict[str, Any]:
        """The caller's thing of this id; `Refused` with 404 where there is none, or it is another's."""
        thing = things.get(id)
        if thing is None or thing["owner"] != self.caller:
            raise Refused(404, "Not found")
        return thing

    def refuse(self, place: str, name: str, why: str, defect: str) -> Refused:
        """A refusal of what the schema allows; logged unless the schema forbids the request anyway."""
        if not self.holes:
            self.log.add(defect)
        return Refused(422, [{"loc": [place, name], "msg": why, "type": "value_error"}])


@dataclass(slots=True)
class Answer:
    """What goes back: status, a body (None: none; a text or bytes as they stand, else JSON), headers, media type."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    media: str = "application/json"


Handler = Callable[[Call], Awaitable[Answer]]
"What answers an operation."
