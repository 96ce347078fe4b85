"""What a GraphQL API keeps: object types with an identifier; mutations that answer one make it, arguments take it.

What an argument identifies is read off its name (`customerId`), and of a bare `id` off its root field: the type that it
answers, or that its name ends in (`deleteCustomer`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import cast

from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
)

from gnomon.fuzz.base import Operation
from gnomon.fuzz.graphql.inputs import Arguments
from gnomon.fuzz.graphql.selections import fields_of
from gnomon.fuzz.state.names import is_identifier, is_key, singular, subject_of, words
from gnomon.fuzz.state.resources import Resource

__all__ = ["identifier_field", "kinds_of", "resources", "subject_of_field"]

_REMOVES = re.compile(r"^(delete|remove|destroy|drop|wipe|purge|erase)", re.IGNORECASE)
_PAYLOAD_DEPTH = 3


def identifier_field(kind: GraphQLNamedType) -> str:
    """The field that identifies an object of this type: id, uuid, or its own name with Id; "" where it has none."""
    if not isinstance(kind, GraphQLObjectType) or kind.name.startswith("__"):
        return ""
    own = kind.name[0].lower() + kind.name[1:] + "Id"
    last = words(kind.name)[-1:]
    for name in ("id", "uuid", own, *(f"{word}Id" for word in last)):
        if name in kind.fields and is_leaf_type(get_named_type(kind.fields[name].type)):
            return name
    return ""


def subject_of_field(name: str, field: GraphQLField, kinds: Mapping[str, str]) -> str:
    """What a bare `id` of a root field identifies, in lower case; "" where nothing says so.

    Args:
        kinds: types with an identifier by `Resource.name`.
    """
    answered = get_named_type(field.type)
    found = singular("".join(words(answered.name)))
    if kinds.get(found) == answered.name:
        return found
    parts = words(name)
    for start in range(len(parts)):
        found = singular("".join(parts[start:]))
        if found in kinds:
            return found
    inside = [kind for kind in _answered(answered, _PAYLOAD_DEPTH) if kind.name in kinds.values()]
    return singular("".join(words(inside[0].name))) if inside else ""


def resources(schema: GraphQLSchema, operations: tuple[Operation, ...]) -> Iterator[Resource]:
    """Each kind of thing, with the root fields that make it, read it, change it, remove it or take its identifier."""
    roots = [(each, each.root) for each in operations if each.root]
    takes = [(each, _taken(root.field.args, root.subject)) for each, root in roots]
    answers = [(each, _answered(get_named_type(root.field.type), _PAYLOAD_DEPTH)) for each, root in roots]
    for kind in list(schema.type_map.values()):
        if not identifier_field(kind):
            continue
        name = singular("".join(words(kind.name)))
        taking = [each for each, names in takes if name in names]
        answering = [each for each, kinds in answers if kind in kinds]
        changing = [each for each in taking if each.method == "MUTATION"]
        deletes = [each for each in changing if _REMOVES.match(each.path) and each.root and each.root.subject == name]
        updates = [each for each in changing if each in answering and each not in deletes]
        reads = [each for each in taking if each.method == "QUERY" and each in answering]
        yield Resource(
            item=kind.name,
            key=kind.name[0].lower() + kind.name[1:] + "Id",
            creates=tuple(each for each in answering if each.method == "MUTATION" and each not in taking),
            reads=tuple(reads),
            updates=tuple(updates),
            deletes=tuple(deletes),
            inner=tuple(each for each in taking if each not in (*deletes, *updates, *reads)),
        )


def _taken(arguments: Arguments, bare: str, depth: int = 2) -> set[str]:
    """Kinds whose identifiers arguments take, members of input objects too."""
    found: set[str] = set()
    for name, each in arguments.items():
        kind = get_named_type(each.type)
        if isinstance(kind, GraphQLInputObjectType):
            found |= _taken(cast(Arguments, kind.fields), bare, depth - 1) if depth else set()
        elif is_identifier(name):
            found.add(bare if is_key(name) else subject_of(name))
    return found - {""}


def _answered(kind: GraphQLNamedType, depth: int) -> list[GraphQLNamedType]:
    """A type and those inside it that a payload wraps: members of a union, then fields with fields."""
    found, level = [kind], [kind]
    if identifier_field(kind):
        return found
    for _ in range(depth):
        level = [inner for each in level if not identifier_field(each) for inner in _inside(each)]
        found += [each for each in level if each not in found]
    return found


def _inside(kind: GraphQLNamedType) -> list[GraphQLNamedType]:
    if isinstance(kind, GraphQLUnionType):
        return list(kind.types)
    inner = [get_named_type(field.type) for field in fields_of(kind).values()]
    return [each for each in inner if not is_leaf_type(each)]


def kinds_of(schema: GraphQLSchema) -> dict[str, str]:
    """Types with an identifier, by `Resource.name`."""
    return {
        singular("".join(words(kind.name))): kind.name for kind in schema.type_map.values() if identifier_field(kind)
    }
