"""Where a value stands in a document, and what a `$ref` beside it means.

References stay on the side of the document they are in: from a file to other files, from a URL to others of the same
origin. Anything else is not opened, and means any value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from gnomon.core.errors import DataError
from gnomon.fuzz.loading.fetch import Document, from_file, from_url
from gnomon.fuzz.loading.repairs import Ledger, shown
from gnomon.fuzz.pointers import escaped, unescaped

__all__ = ["Library", "Node"]

_NOWHERE: Any = object()
_SECTIONS = ("/components/schemas", "/definitions")


class Node(NamedTuple):
    """A value and where it stands: the document's place ("" for the main one) and a JSON pointer."""

    value: Any
    place: str = ""
    pointer: str = ""

    def child(self, key: str | int) -> Node:
        """What stands under a key that is there; `None` where it is not."""
        value = self.value
        inner = value.get(key) if isinstance(value, dict) else value[int(key)]
        return Node(inner, self.place, f"{self.pointer}/{escaped(str(key))}")

    @property
    def where(self) -> str:
        """For messages: the pointer, after the document where that is not the main one."""
        return f"{self.place}#{self.pointer}" if self.place else self.pointer


class Library:
    """The documents that references lead to, each opened once.

    Args:
        document: the main one; its own place becomes "".
        ledger: takes a repair for each reference that leads nowhere.
    """

    def __init__(self, document: Document, ledger: Ledger) -> None:
        self._base, self._ledger = document.place, ledger
        self._documents: dict[str, Any] = {"": document.content}
        self._missing: set[str] = set()
        self._named: dict[str, dict[str, Node]] = {}

    @property
    def root(self) -> Node:
        """The main document."""
        return Node(self._documents[""])

    def resolved(self, node: Node) -> Node:
        """What a node means: itself, or what its chain of references ends at; a node of `None` for nowhere."""
        seen = set()
        while isinstance(node.value, dict) and isinstance(node.value.get("$ref"), str):
            if (node.place, node.pointer) in seen:
                self._ledger.note(node.where, f"the reference {node.value['$ref']!r}, which leads back here", "nothing")
                return Node(None, node.place, node.pointer)
            seen.add((node.place, node.pointer))
            node = self.target(node, node.value["$ref"]) or Node(None, node.place, node.pointer)
        return node

    def target(self, node: Node, reference: str) -> Node | None:
        """What a reference at a node leads to, without following further ones; None for nowhere, which is noted."""
        uri, _, fragment = reference.partition("#")
        place = self._place(node.place, uri)
        document = self._document(place) if place is not None else _NOWHERE
        root, found = Node(document, place or ""), None
        if document is _NOWHERE:
            found = self._by_name(node, reference)
        elif not fragment:
            found = root
        elif fragment.startswith("/"):
            found = _at(root, unquote(fragment)) or self._mistaken(node, unquote(fragment))
        else:
            found = self._anchor(root, fragment) or self._without_slash(node, root, fragment)
        # One repair a target, however many places name it.
        if found is None and (key := f"{node.place} {reference}") not in self._missing:
            self._missing.add(key)
            why = "cannot be opened" if document is _NOWHERE else "leads to nothing"
            self._ledger.note(node.where, f"the reference {shown(reference)}, which {why}", "any value")
        return found

    def section(self, name: str) -> Node | None:
        """The schema of this name in the main document, wherever its dialect keeps them."""
        for section in _SECTIONS:
            found = _at(self.root, f"{section}/{escaped(name)}")
            if found:
                return found
        return None

    def sections(self) -> list[Node]:
        """Where the main document keeps its named schemas."""
        found = [_at(self.root, section) for section in _SECTIONS]
        return [node for node in found if node and isinstance(node.value, dict)]

    def _mistaken(self, node: Node, pointer: str) -> Node | None:
        """What a pointer from the wrong root means: within the schema that it stands in, or of the other dialect."""
        document = Node(self._documents[node.place], node.place)
        steps = node.pointer.split("/")
        for end in range(len(steps) - 1, 1, -1):
            found = _at(document, "/".join(steps[:end]) + pointer)
            if found:
                return found
        found = self.section(unescaped(pointer.rpartition("/")[2]))
        if found:
            self._ledger.note(node.where, f"the reference '#{pointer}', which is not there", f"#{found.pointer}")
        return found

    def _without_slash(self, node: Node, root: Node, fragment: str) -> Node | None:
        """`#definitions/Pet`, which is meant as a pointer."""
        found = _at(root, f"/{unquote(fragment)}")
        if found:
            self._ledger.note(node.where, f"the reference '#{fragment}'", f"#{found.pointer}")
        return found

    def _by_name(self, node: Node, reference: str) -> Node | None:
        """`$ref: Pet`, as Swagger 1 wrote it; or the `$id` of a schema."""
        known = self._anchor(self.root, reference)
        if known:
            return known
        found = self.section(reference) if re.fullmatch(r"[\w.\- ]+", reference) else None
        if found:
            self._ledger.note(node.where, f"the reference {reference!r}", f"#{found.pointer}")
        return found

    def _place(self, base: str, uri: str) -> str | None:
        """The document that a relative URI means; None where that may not be opened."""
        if not uri:
            return base
        whole = base or self._base
        own = self._documents[""].get("$self") if isinstance(self._documents[""], dict) else None
        if uri == own:
            return ""
        if urlsplit(whole).scheme in ("http", "https"):
            place = urljoin(whole, uri)
            same = urlsplit(place)[:2] == urlsplit(whole)[:2]
        elif whole and not urlsplit(uri).scheme:
            place, same = str((Path(whole).parent / unquote(uri)).resolve()), True
        else:
            return None
        if place == self._base:
            return ""
        return place if same else None

    def _document(self, place: str) -> Any:
        if place not in self._documents:
            try:
                opened = from_url if urlsplit(place).scheme in ("http", "https") else from_file
                self._documents[place] = opened(place, self._ledger).content
            except DataError:
                self._documents[place] = _NOWHERE
        return self._documents[place]

    def _anchor(self, root: Node, name: str) -> Node | None:
        if root.place not in self._named:
            self._named[root.place] = dict(_anchors(root))
        return self._named[root.place].get(name)


def _at(root: Node, pointer: str) -> Node | None:
    value = root.value
    for token in pointer.split("/")[1:]:
        key = unescaped(token)
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return Node(value, root.place, pointer)


def _anchors(root: Node) -> Iterator[tuple[str, Node]]:
    """Every value that has a name of its own: `$anchor`, `$dynamicAnchor`, `$id`."""
    stack = [root]
    while stack:
        node = stack.pop()
        if isinstance(node.value, dict):
            for key in ("$anchor", "$dynamicAnchor", "$id"):
                if isinstance(node.value.get(key), str):
                    yield node.value[key], node
            stack.extend(node.child(key) for key, value in node.value.items() if isinstance(value, dict | list))
        elif isinstance(node.value, list):
            stack.extend(node.child(i) for i, value in enumerate(node.value) if isinstance(value, dict | list))
