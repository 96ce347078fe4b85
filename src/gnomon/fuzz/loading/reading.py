"""What reading every part of a document takes, whatever its dialect: values of the expected kind, or a repair."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gnomon.fuzz.base import Schema
from gnomon.fuzz.loading.keywords import Mistake, flag
from gnomon.fuzz.loading.references import Library, Node
from gnomon.fuzz.loading.repairs import Ledger, shown
from gnomon.fuzz.loading.schemas import Schemas

__all__ = ["Reading"]


class Reading:
    """One document being read.

    Attributes:
        library: what references mean.
        ledger: repairs.
        schemas: schemas and the definitions that they refer to.
    """

    def __init__(self, library: Library, ledger: Ledger, *, siblings: bool) -> None:
        self.library, self.ledger = library, ledger
        self.schemas = Schemas(library, ledger, siblings=siblings)

    def members(self, node: Node, key: str) -> Iterator[tuple[str, Node]]:
        """Names and nodes of the object under a key, references followed; nothing where there is no object."""
        inner = self._under(node, key)
        if isinstance(inner.value, dict):
            for name in inner.value:
                yield name, self.library.resolved(inner.child(name))
        elif inner.value is not None:
            self.ledger.note(inner.where, f"{shown(inner.value)} for an object", "an empty one")

    def listed(self, node: Node, key: str) -> list[Node]:
        """Nodes of the list under a key, references followed; an object's values where it is written as one."""
        inner = self._under(node, key)
        if isinstance(inner.value, list):
            return [self.library.resolved(inner.child(i)) for i in range(len(inner.value))]
        if isinstance(inner.value, dict):
            self.ledger.note(inner.where, "an object for a list", "the list of its values")
            return [self.library.resolved(inner.child(name)) for name in inner.value]
        if inner.value is not None:
            self.ledger.note(inner.where, f"{shown(inner.value)} for a list", "an empty one")
        return []

    def words(self, node: Node, key: str) -> list[str]:
        """The texts of the list under a key; one text counts as a list of it."""
        value = self._under(node, key).value
        if isinstance(value, str):
            return [value]
        return [each.value for each in self.listed(node, key) if isinstance(each.value, str)]

    def word(self, node: Node, key: str) -> str:
        """The text under a key, a number as its text; "" for none."""
        value = self._under(node, key).value
        return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""

    def flag(self, node: Node, key: str) -> bool:
        """The boolean under a key; false where there is none."""
        value = self._under(node, key).value
        if value is None:
            return False
        try:
            return flag(value)
        except Mistake as mistake:
            self.ledger.note(node.child(key).where, mistake.found, mistake.taken)
            return bool(mistake.value)

    def schema(self, node: Node, key: str) -> Schema:
        """The schema under a key; any value, with a repair, where there is none."""
        if not isinstance(node.value, dict) or node.value.get(key) is None:
            self.ledger.note(node.where, f"no {key}", "any value")
            return True
        return self.schemas.read(node.child(key))

    def examples(self, node: Node) -> tuple[Any, ...]:
        """Values that a parameter or a body shows: its own, or else those of the schema under it."""
        found = [node.value[key] for key in ("example", "x-example") if key in node.value]
        for key in ("examples", "x-examples"):
            if isinstance(node.value.get(key), dict):
                found += [value for _, each in self.members(node, key) for value in _example(each.value)]
            elif isinstance(node.value.get(key), list):
                found += node.value[key]
        if found or "schema" not in node.value:
            return tuple(found)
        held = node.child("schema")
        schema = held.value
        if isinstance(schema, dict) and isinstance(schema.get("$ref"), str):
            target = self.library.target(held, schema["$ref"])
            schema = target.value if target else None
        if not isinstance(schema, dict):
            return ()
        many = schema.get("examples")
        found = list(many) if isinstance(many, list) else []
        return (*found, *(schema[key] for key in ("example", "x-example") if key in schema))

    def _under(self, node: Node, key: str) -> Node:
        """What stands under a key, a reference followed; a node of `None` for nothing."""
        if isinstance(node.value, dict) and key in node.value:
            return self.library.resolved(node.child(key))
        return Node(None)


def _example(value: Any) -> list[Any]:
    """What an Example Object shows; a bare value stands for itself, one kept elsewhere for nothing."""
    if not isinstance(value, dict):
        return [] if value is None else [value]
    for key in ("dataValue", "value"):
        if key in value:
            return [value[key]]
    return [] if {"externalValue", "serializedValue"} & set(value) else [value]
