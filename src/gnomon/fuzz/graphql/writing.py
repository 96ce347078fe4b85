"""A root field with arguments and a selection as a query: values are variables, never literals."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    get_named_type,
    is_abstract_type,
    is_composite_type,
)

from gnomon.fuzz.graphql.selections import ARGUMENTS, Tree, field_name, fields_of, type_condition

__all__ = ["query_of"]

_NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]*\Z")


def query_of(
    schema: GraphQLSchema, kind: str, name: str, field: GraphQLField, arguments: Mapping[str, Any], selection: Tree
) -> dict[str, Any]:
    """Query and variables that ask a root field.

    Args:
        kind: query or mutation.
        arguments: by name; variables of the root field's arguments have their names.
        selection: a tree as `selections` makes it. Arguments and fields that the schema does not have are written as
            they are.
    """
    writer = _Writer(schema)
    called = writer.arguments(field.args, arguments, own=True)
    inner = writer.inside(get_named_type(field.type), selection)
    declared = f" ({', '.join(writer.declared)})" if writer.declared else ""
    asked: dict[str, Any] = {"query": f"{kind}{declared} {{ {name}{called}{inner} }}"}
    return {**asked, "variables": writer.variables} if writer.declared else asked


class _Writer:
    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self.declared: list[str] = []
        self.variables: dict[str, Any] = {}

    def arguments(self, known: Mapping[str, GraphQLArgument], given: Mapping[str, Any], *, own: bool = False) -> str:
        """`(first: $first)`, its variables noted; those of `own` arguments have their names."""
        parts = []
        for name, value in given.items():
            variable = name if own and _NAME.match(name) else self._unused(name)
            kind = str(known[name].type) if name in known else "String"
            self.declared.append(f"${variable}: {kind}")
            self.variables[variable] = value
            parts.append(f"{name}: ${variable}")
        return f"({', '.join(parts)})" if parts else ""

    def inside(self, kind: GraphQLNamedType | None, tree: Tree) -> str:
        """` { ... }` of a type that has fields, and nothing of one that has none."""
        parts = [self._part(kind, key, node) for key, node in tree.items() if key != ARGUMENTS]
        if not parts and not is_composite_type(kind):
            return ""
        if is_abstract_type(kind) and "__typename" not in tree:
            parts.insert(0, "__typename")
        return f" {{ {' '.join(parts) or '__typename'} }}"

    def _part(self, kind: GraphQLNamedType | None, key: str, node: Tree) -> str:
        condition = type_condition(key)
        if condition:
            return f"{key}{self.inside(self._schema.type_map.get(condition), node)}"
        field = fields_of(kind).get(field_name(key)) if kind else None
        given = node.get(ARGUMENTS)
        called = self.arguments(field.args if field else {}, given) if isinstance(given, Mapping) else ""
        inner = self.inside(get_named_type(field.type) if field else None, node)
        return f"{key.replace(':', ': ')}{called}{inner}"

    def _unused(self, name: str) -> str:
        base = name if _NAME.match(name) else "x"
        number = 1
        while f"{base}{number}" in self.variables:
            number += 1
        return f"{base}{number}"
