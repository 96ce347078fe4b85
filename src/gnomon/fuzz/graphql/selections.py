"""What is asked of an answer: trees of fields with their arguments, drawn at random or swept type by type.

A tree is a mapping by the name that a field has in the answer, so that it shrinks like any value. A key is `field`,
`alias:field` or `... on Type`; a node holds its own tree and, under `()`, its arguments. A field of an object that asks
for nothing is written `{ __typename }`, so that whatever is left out of a tree, the query stays valid.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_composite_type,
    is_list_type,
    is_non_null_type,
)

from gnomon.fuzz.base import NOTHING
from gnomon.fuzz.graphql.inputs import Inputs, is_needed
from gnomon.fuzz.values import Draws

__all__ = [
    "ARGUMENTS",
    "Reached",
    "Selections",
    "Tree",
    "field_name",
    "fields_of",
    "is_error",
    "is_list",
    "keyed",
    "type_condition",
]

Tree = Mapping[str, Any]

ARGUMENTS = "()"
"The key of a node's arguments."

_ON = "... on "
_MOST_FIELDS, _MOST_LISTS, _MOST_TYPES, _SWEPT_DEPTH, _SWEPT = 60, 2, 3, 5, 200
_DEPTHS, _SHARES = (1, 2, 2, 3, 4), (0.2, 0.5, 0.9)
# Wrappers of what is really asked for (connections, pages, payloads) are half a level.
_HALF = 0.5
_THROUGH = frozenset({"edges", "node", "nodes", "results", "items", "data", "errors", "userErrors"})
_OPTIONAL, _ALIASED = 0.3, 0.1
_ERROR = re.compile(r"Error|Exception|Failure|Problem|NotFound|Denied")
_SAYS = ("message", "className", "code")


class Reached(NamedTuple):
    """A type on a way from a root field: keys, nodes and what is asked beside them, and the lists that they pass."""

    type: GraphQLNamedType
    way: tuple[tuple[str, Tree, Tree], ...]
    lists: int

    def asking(self, tree: Tree) -> Tree:
        """A selection of the root field that asks this of the type."""
        for key, node, beside in reversed(self.way):
            tree = {**beside, key: {**node, **tree}}
        return tree

    @property
    def inside(self) -> bool:
        """Whether it is asked for in a fragment."""
        return bool(self.way) and self.way[-1][0].startswith(_ON)


class Selections:
    """Makes selections of a schema, at most `_MOST_LISTS` lists inside each other."""

    def __init__(self, schema: GraphQLSchema, inputs: Inputs) -> None:
        self._schema, self._inputs = schema, inputs

    def drawn(self, of: GraphQLOutputType, rng: Draws) -> Tree:
        """A tree for what a field answers: few fields or many, shallow or deep; none for a scalar."""
        kind = get_named_type(of)
        if not is_composite_type(kind):
            return {}
        drawing = _Drawing(self, rng, rng.choice(_SHARES))
        return drawing.tree(kind, float(rng.choice(_DEPTHS)), _MOST_LISTS - is_list(of))

    def swept(self, of: GraphQLOutputType, rng: Draws) -> Iterator[Reached]:
        """Each type that can be reached from a field once, the nearest first."""
        kind = get_named_type(of)
        if not is_composite_type(kind):
            return
        waiting, seen = deque([Reached(kind, (), int(is_list(of)))]), {kind.name}
        while waiting and len(seen) <= _SWEPT:
            at = waiting.popleft()
            yield at
            beside = self.told(at.type)
            for key, node, inner, lists in self._steps(at, rng):
                if inner.name not in seen and len(at.way) < _SWEPT_DEPTH and at.lists + lists <= _MOST_LISTS:
                    seen.add(inner.name)
                    waiting.append(Reached(inner, (*at.way, (key, node, beside)), at.lists + lists))

    def leaves(self, kind: GraphQLNamedType, rng: Draws) -> Tree:
        """All fields of a type that have no fields themselves, and `__typename`."""
        found: dict[str, Any] = {"__typename": {}, **self.told(kind)}
        for name, field in fields_of(kind).items():
            node = self.node(field, rng, optional=0.0)
            if node is not None and not is_composite_type(get_named_type(field.type)):
                found[name] = node
        return found

    def node(self, field: GraphQLField, rng: Draws, *, optional: float = _OPTIONAL) -> dict[str, Any] | None:
        """A node with the arguments that a field needs, or also optional ones; None where no values will do."""
        wanted = any(map(is_needed, field.args.values())) or (field.args and rng.random() < optional)
        if not wanted:
            return {}
        made = self._inputs.made(field.args, rng)
        return None if made is NOTHING else {ARGUMENTS: made}

    def told(self, kind: GraphQLNamedType) -> dict[str, Any]:
        """Of a union or interface, its type and what the errors among its types say: a tree of fragments."""
        possible = self.possible(kind)
        if not possible:
            return {}
        found: dict[str, Any] = {"__typename": {}}
        for each in possible:
            shared = next((i for i in each.interfaces if is_error(i.name) and "message" in i.fields), None)
            on = shared or each
            if is_error(on.name) and len(found) <= _MOST_TYPES:
                says = [name for name in _SAYS if name in on.fields and not on.fields[name].args]
                found[f"{_ON}{on.name}"] = {keyed(on, name): {} for name in says} or {"__typename": {}}
        return found

    def possible(self, kind: GraphQLNamedType) -> list[GraphQLObjectType]:
        """The object types that a union or interface may turn out to be."""
        if isinstance(kind, GraphQLUnionType | GraphQLInterfaceType):
            return list(self._schema.get_possible_types(kind))
        return []

    def _steps(self, at: Reached, rng: Draws) -> Iterator[tuple[str, Tree, GraphQLNamedType, int]]:
        for each in self.possible(at.type):
            yield f"{_ON}{each.name}", {}, each, 0
        for name, field in fields_of(at.type).items():
            inner, node = get_named_type(field.type), self.node(field, rng, optional=0.0)
            if node is not None and is_composite_type(inner):
                yield keyed(at.type, name) if at.inside else name, node, inner, int(is_list(field.type))


class _Drawing:
    """One tree as it is drawn."""

    def __init__(self, of: Selections, rng: Draws, share: float) -> None:
        self._of, self._rng, self._share, self._left = of, rng, share, _MOST_FIELDS

    def tree(self, kind: GraphQLNamedType, depth: float, lists: int, *, inside: bool = False) -> dict[str, Any]:
        found: dict[str, Any] = {}
        possible = self._of.possible(kind)
        if possible:
            found |= self._of.told(kind)
            for each in self._rng.sample(possible, min(len(possible), _MOST_TYPES)):
                key = f"{_ON}{each.name}"
                found[key] = {**found.get(key, {}), **self.tree(each, depth, lists, inside=True)}
        for name, field in fields_of(kind).items():
            node = self._field(name, field, depth, lists) if self._left > 0 else None
            if node is not None:
                self._left -= 1
                found[keyed(kind, name) if inside else name] = node
                if ARGUMENTS in node and not inside and self._rng.random() < _ALIASED:
                    again = self._of.node(field, self._rng, optional=1.0)
                    found[f"again_{name}:{name}"] = {**node, **(again or {})}
        return found or {"__typename": {}}

    def _field(self, name: str, field: GraphQLField, depth: float, lists: int) -> dict[str, Any] | None:
        """A field's node; None where it is left out."""
        inner, through = get_named_type(field.type), name in _THROUGH
        if not is_composite_type(inner):
            kept = name == "id" or self._rng.random() < self._share
            return self._of.node(field, self._rng) if kept else None
        deeper, fewer = depth - (_HALF if through else 1), lists - is_list(field.type)
        if deeper < _HALF or fewer < 0 or not (through or self._rng.random() < self._share / 2):
            return None
        node = self._of.node(field, self._rng)
        return None if node is None else {**node, **self.tree(inner, deeper, fewer)}


def keyed(kind: GraphQLNamedType, name: str) -> str:
    """The key of a field inside a fragment: other fragments may have another field of that name."""
    return f"{kind.name}_{name}:{name}"


def is_error(name: str) -> bool:
    """Whether a type's name is of one that tells of a failure."""
    return bool(_ERROR.search(name))


def fields_of(kind: GraphQLNamedType) -> Mapping[str, GraphQLField]:
    """Fields of an object or interface; a union has none."""
    if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
        return cast(Mapping[str, GraphQLField], kind.fields)
    return {}


def field_name(key: str) -> str:
    """The field that a key of a tree asks for."""
    return key.rpartition(":")[2]


def type_condition(key: str) -> str:
    """The type of a key `... on Type`; "" of others."""
    return key[len(_ON) :] if key.startswith(_ON) else ""


def is_list(of: GraphQLOutputType) -> bool:
    """Whether a field answers a list."""
    while is_non_null_type(of):
        of = of.of_type
    return bool(is_list_type(of))
