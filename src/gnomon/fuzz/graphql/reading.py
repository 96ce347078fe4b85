"""Answers of a GraphQL server: data and errors, the objects in the data, and what in it is not as the schema has it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from graphql import (
    GraphQLEnumType,
    GraphQLNamedType,
    GraphQLOutputType,
    GraphQLScalarType,
    GraphQLSchema,
    get_named_type,
    is_composite_type,
    is_list_type,
    is_non_null_type,
)

from gnomon.fuzz.graphql.selections import ARGUMENTS, Tree, field_name, fields_of, type_condition

__all__ = ["Answered", "Found", "answered", "mismatches", "objects"]

_BUILT_IN: Mapping[str, type | tuple[type, ...]] = {
    "Int": int,
    "Float": (int, float),
    "String": str,
    "Boolean": bool,
    "ID": (str, int),
}


class Answered(NamedTuple):
    """What a server said: data by root field, None where there are none; and errors."""

    data: Mapping[str, Any] | None
    errors: tuple[Mapping[str, Any], ...]


class Found(NamedTuple):
    """An object in an answer: its type, scalars by field, where each stands, and the JSON pointer of the object."""

    type: str
    scalars: dict[str, Any]
    keys: dict[str, str]
    pointer: str


@lru_cache(maxsize=64)
def answered(body: bytes) -> Answered | None:
    """An answer read; None where it is not one of GraphQL."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not {"data", "errors"} & said.keys():
        return None
    data, errors = said.get("data"), said.get("errors")
    told = tuple(each for each in errors if isinstance(each, dict)) if isinstance(errors, list) else ()
    return Answered(data if isinstance(data, dict) else None, told)


def objects(schema: GraphQLSchema, kind: GraphQLNamedType, tree: Tree, value: Any, pointer: str) -> Iterator[Found]:
    """The objects of a value, outer ones first; those of a type that the answer does not tell are left out."""
    if isinstance(value, list):
        for i, each in enumerate(value):
            yield from objects(schema, kind, tree, each, f"{pointer}/{i}")
        return
    if not isinstance(value, dict):
        return
    own = _concrete(schema, kind, value)
    inner = []
    found = Found(own.name, {}, {}, pointer)
    for key, name, node, of in _asked(own, tree):
        there, named = value.get(key), get_named_type(of)
        if is_composite_type(named):
            inner.append((named, node, there, f"{pointer}/{key}"))
        elif isinstance(there, str | int | float):
            found.scalars[name], found.keys[name] = there, key
    yield found
    for named, node, there, at in inner:
        yield from objects(schema, named, node, there, at)


def mismatches(
    schema: GraphQLSchema, of: GraphQLOutputType, tree: Tree, value: Any, place: str
) -> Iterator[tuple[str, str]]:
    """Where a value is not of the type that the schema has: `Type.field`, and what is wrong."""
    if is_non_null_type(of):
        of = of.of_type
        if value is None:
            yield place, "is null, which it may not be"
            return
    if value is None:
        return
    if is_list_type(of):
        if not isinstance(value, list):
            yield place, "is no list"
            return
        for each in value:
            yield from mismatches(schema, of.of_type, tree, each, place)
    elif is_composite_type(of):
        yield from _inside(schema, of, tree, value, place)
    elif isinstance(of, GraphQLEnumType):
        if value not in of.values:
            yield place, f"is no value of {of.name}"
    elif isinstance(of, GraphQLScalarType):
        yield from _of_scalar(of.name, value, place)


def _of_scalar(name: str, value: Any, place: str) -> Iterator[tuple[str, str]]:
    expected = _BUILT_IN.get(name)
    if expected is None:
        return
    if not isinstance(value, expected) or (isinstance(value, bool) and name != "Boolean"):
        yield place, f"is no {name}"
    elif name == "Int" and isinstance(value, int) and not -(2**31) <= value < 2**31:
        yield place, "is no Int: it has more than 32 bits"


def _inside(
    schema: GraphQLSchema, kind: GraphQLNamedType, tree: Tree, value: Any, place: str
) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield place, "is no object"
        return
    own = _concrete(schema, kind, value)
    for key, name, node, of in _asked(own, tree):
        at = f"{own.name}.{name}"
        if key in value:
            yield from mismatches(schema, of, node, value[key], at)
        else:
            yield at, "is asked for and not there"


def _concrete(schema: GraphQLSchema, kind: GraphQLNamedType, value: Mapping[str, Any]) -> GraphQLNamedType:
    """The object type of a value, as far as it tells."""
    named = value.get("__typename")
    found = schema.type_map.get(named) if isinstance(named, str) else None
    return found or kind


def _asked(kind: GraphQLNamedType, tree: Tree) -> Iterator[tuple[str, str, Tree, GraphQLOutputType]]:
    """What a tree asks of a type: name in the answer, field, node, and its type; fragments of other types apart."""
    known = fields_of(kind)
    kinds = {kind.name, *(each.name for each in getattr(kind, "interfaces", ()))}
    for key, node in tree.items():
        condition = type_condition(key)
        if condition in kinds:
            yield from _asked(kind, node)
        elif not condition and key != ARGUMENTS and field_name(key) in known:
            yield key.partition(":")[0], field_name(key), node, known[field_name(key)].type
