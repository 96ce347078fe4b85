"""What an API keeps, read off its paths: `/users` makes and lists, `/users/{id}` reads, changes and removes.

RESTler (Atlidakis et al. 2019) calls it producers and consumers. Nothing needs links in the document; those that are
there are followed as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urlsplit

from gnomon.fuzz.base import Api, Operation
from gnomon.fuzz.state.names import plain, singular

__all__ = ["Resource", "Route", "resources"]

_ITEM = re.compile(r"^(?P<collection>.*)/\{(?P<key>[^{}]+)\}/?$")
_PLACE = re.compile(r"\{([^{}]+)\}")
_MAKES = re.compile(r"/(create|new|add|register|signup)/?$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One kind of thing.

    Attributes:
        item: path template of one of them, `/users/{id}`.
        key: name of the last path parameter.
        creates, reads, lists, updates, deletes: operations by what they do to it.
        inner: further operations below the item: `/users/{id}/orders`, `/orders/{id}/pay`.
        parent: item template of what it belongs to; "" for none.
    """

    item: str
    key: str
    creates: tuple[Operation, ...] = ()
    reads: tuple[Operation, ...] = ()
    lists: tuple[Operation, ...] = ()
    updates: tuple[Operation, ...] = ()
    deletes: tuple[Operation, ...] = ()
    inner: tuple[Operation, ...] = ()
    parent: str = ""

    @cached_property
    def name(self) -> str:
        """`user` of `/api/users/{id}`."""
        fixed = [part for part in self.item.split("/") if part and not part.startswith("{")]
        return singular(plain(fixed[-1])) if fixed else ""


def resources(api: Api) -> tuple[Resource, ...]:
    """Every kind of thing that has an item path, those that others belong to first."""
    by_path: dict[str, list[Operation]] = {}
    for operation in api.operations:
        by_path.setdefault(operation.path.rstrip("/") or "/", []).append(operation)
    items = sorted((path for path in by_path if _ITEM.match(path)), key=lambda path: (path.count("{"), path))
    return tuple(_resource(path, by_path, items) for path in items)


def _resource(item: str, by_path: Mapping[str, Sequence[Operation]], items: Sequence[str]) -> Resource:
    match = _ITEM.match(item)
    assert match, item
    collection, own = match["collection"] or "/", by_path[item]
    beside = by_path.get(collection, ())
    makers = [
        *beside,
        *(each for path, of in by_path.items() if path.startswith(collection) for each in of if _MAKES.search(path)),
    ]
    inside = [each for path, of in by_path.items() if path.startswith(item + "/") for each in of]
    parents = [other for other in items if collection.startswith(other + "/")]
    return Resource(
        item=item,
        key=match["key"],
        creates=_of(makers, "POST") or _of(own, "PUT"),
        reads=_of(own, "GET"),
        lists=_of(beside, "GET"),
        updates=(*_of(own, "PUT"), *_of(own, "PATCH"), *_of(own, "POST")),
        deletes=_of(own, "DELETE"),
        inner=tuple(each for each in inside if not any(_inside(each.path, other, item) for other in items)),
        parent=max(parents, key=len, default=""),
    )


def _inside(path: str, other: str, item: str) -> bool:
    """Whether a path belongs to the item path `other` below `item`."""
    return (
        other != item and other.startswith(item + "/") and (path.rstrip("/") == other or path.startswith(other + "/"))
    )


def _of(operations: Sequence[Operation], method: str) -> tuple[Operation, ...]:
    return tuple(dict.fromkeys(each for each in operations if each.method == method))


@dataclass(frozen=True)
class Route:
    """A path template as a pattern over paths that were answered: in a Location header, a link, a list of URLs."""

    template: str
    base_path: str = ""
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = _PLACE.split(self.template.rstrip("/"))
        pattern = "".join(re.escape(part) if i % 2 == 0 else "([^/]+)" for i, part in enumerate(parts))
        object.__setattr__(self, "_pattern", re.compile(pattern + "/?$"))

    def read(self, url: str) -> dict[str, Any] | None:
        """Path parameters of a URL or path that this template covers; None where it does not."""
        path = urlsplit(url).path if "://" in url else url.partition("?")[0]
        if self.base_path and path.startswith(self.base_path):
            path = path[len(self.base_path) :]
        match = self._pattern.match(path)
        names = _PLACE.findall(self.template)
        return {name: unquote(value) for name, value in zip(names, match.groups(), strict=True)} if match else None
