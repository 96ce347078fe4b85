"""Arguments as JSON Schema, so that values for them are made as for any other API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLSchema,
    is_required_argument,
    is_required_input_field,
)

from gnomon.fuzz.base import NOTHING, Schema
from gnomon.fuzz.graphql.scalars import schema_of_scalar
from gnomon.fuzz.loading import closed
from gnomon.fuzz.values import Compiled, Draws, assemble, compile

__all__ = ["Arguments", "Inputs", "is_needed"]

Arguments = Mapping[str, GraphQLArgument]
_Taken = GraphQLArgument | GraphQLInputField


class Inputs:
    """Input types of one GraphQL schema.

    Attributes:
        definitions: its input objects and enums as JSON Schema, by name.
    """

    def __init__(self, schema: GraphQLSchema) -> None:
        self.definitions: dict[str, Schema] = {}
        for name, each in schema.type_map.items():
            if isinstance(each, GraphQLInputObjectType):
                self.definitions[name] = _members(each.fields, one_of=bool(getattr(each, "is_one_of", False)))
            elif isinstance(each, GraphQLEnumType):
                self.definitions[name] = {"enum": list(each.values)}
        self._compiled: dict[int, tuple[Arguments, Compiled]] = {}

    def schema(self, arguments: Arguments) -> Schema:
        """JSON Schema of arguments as one object; references lead to `definitions`."""
        return _members(arguments)

    def compiled(self, arguments: Arguments) -> Compiled:
        """The same, compiled once."""
        found = self._compiled.get(id(arguments))
        if found is None:
            made = compile(closed(self.schema(arguments), self.definitions))
            found = self._compiled[id(arguments)] = (arguments, made)
        return found[1]

    def made(self, arguments: Arguments, rng: Draws) -> Any:
        """Values for arguments; `NOTHING` where there are none that will do."""
        found = assemble(self.compiled(arguments), rng)
        return found.value if found else NOTHING


def is_needed(taken: _Taken) -> bool:
    """Whether an argument or member of an input object must be given."""
    return is_required_argument(taken) if isinstance(taken, GraphQLArgument) else is_required_input_field(taken)


def _members(members: Mapping[str, _Taken], *, one_of: bool = False) -> dict[str, Any]:
    properties = {name: _schema(each.type, null=not one_of) for name, each in members.items()}
    needed = [name for name, each in members.items() if is_needed(each)]
    found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if needed:
        found["required"] = needed
    return {**found, "minProperties": 1, "maxProperties": 1} if one_of else found


def _schema(kind: GraphQLInputType, *, null: bool = True) -> Any:
    if isinstance(kind, GraphQLNonNull):
        return _schema(cast(GraphQLInputType, kind.of_type), null=False)
    if isinstance(kind, GraphQLList):
        items = _schema(kind.of_type)
        # A single value stands for a list of it (GraphQL, October 2021, sec. 3.11).
        found: Any = {"anyOf": [{"type": "array", "items": items}, _schema(kind.of_type, null=False)]}
    elif isinstance(kind, GraphQLScalarType):
        found = schema_of_scalar(kind)
    else:
        found = {"$ref": f"#/$defs/{kind.name}"}
    return _or_null(found) if null else found


def _or_null(schema: Any) -> Any:
    """The schema, or null."""
    if isinstance(schema, dict) and set(schema) == {"type"}:
        types = [schema["type"]] if isinstance(schema["type"], str) else list(schema["type"])
        return {"type": [*types, "null"]}
    return {"anyOf": [schema, {"type": "null"}]}
