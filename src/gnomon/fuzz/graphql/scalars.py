"""What custom scalars hold: known names, what `@specifiedBy` leads to, and what users say."""

from __future__ import annotations

from collections.abc import Mapping

from graphql import GraphQLScalarType

from gnomon.fuzz.base import Schema

__all__ = ["register_scalar", "registered", "schema_of_scalar"]

_INT = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
_OBJECT = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}
_BUILT_IN: Mapping[str, Schema] = {
    "Int": _INT,
    # Beyond these a whole number may lose precision as a Float, for which some servers refuse it.
    "Float": {"type": "number", "minimum": -(2**53), "maximum": 2**53},
    "String": {"type": "string"},
    "Boolean": {"type": "boolean"},
    "ID": {"type": ["string", "integer"]},
}
# By lower-case name without underscores, as libraries of servers name them.
_COMMON: Mapping[str, Schema] = {
    "datetime": {"type": "string", "format": "date-time"},
    "timestamp": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
    "localdate": {"type": "string", "format": "date"},
    "time": {"type": "string", "format": "time"},
    "duration": {"type": "string", "format": "duration"},
    "uuid": {"type": "string", "format": "uuid"},
    "guid": {"type": "string", "format": "uuid"},
    "email": {"type": "string", "format": "email"},
    "emailaddress": {"type": "string", "format": "email"},
    "url": {"type": "string", "format": "uri"},
    "uri": {"type": "string", "format": "uri"},
    "ipv4": {"type": "string", "format": "ipv4"},
    "ipv6": {"type": "string", "format": "ipv6"},
    "base64": {"type": "string", "format": "byte"},
    "byte": {"type": "string", "format": "byte"},
    "decimal": {"type": "string", "pattern": r"^-?(0|[1-9][0-9]{0,8})(\.[0-9]{1,4})?$"},
    "long": {"type": "integer", "format": "int64"},
    "bigint": {"type": "integer", "format": "int64"},
    "int64": {"type": "integer", "format": "int64"},
    "positiveint": {**_INT, "minimum": 1},
    "nonnegativeint": {**_INT, "minimum": 0},
    "unsignedint": {**_INT, "minimum": 0},
    "positivefloat": {"type": "number", "exclusiveMinimum": 0},
    "json": _OBJECT,
    "jsonobject": _OBJECT,
    "any": _OBJECT,
    "jsonstring": {"type": "string", "enum": ["{}", "[]", "null", "0", '{"a": [1, {"b": null}]}']},
    "genericscalar": {"type": ["string", "integer", "boolean"]},
}
# What a scalar's `@specifiedBy` URL has in it.
_SPECIFIED = {"rfc3339": "datetime", "rfc4122": "uuid", "rfc9562": "uuid", "date-time": "datetime", "rfc3986": "url"}
_UNKNOWN: Schema = {"type": ["string", "integer"]}
_REGISTERED: dict[str, Schema] = {}


def register_scalar(name: str, schema: Schema) -> None:
    """Says what values of a custom scalar are, for APIs that are loaded afterwards.

    Args:
        name: as the GraphQL schema has it.
        schema: JSON Schema of its values in variables. What it does not admit is then invalid for certain; of scalars
            that nobody registered no value is.
    """
    _REGISTERED[name] = schema


def registered(name: str) -> Schema | None:
    """What a user has said of a scalar."""
    return _REGISTERED.get(name)


def schema_of_scalar(scalar: GraphQLScalarType) -> Schema:
    """JSON Schema of a scalar's values; of one that nothing is known of, texts and integers."""
    name = scalar.name
    found = _REGISTERED.get(name) or _BUILT_IN.get(name) or _COMMON.get(name.replace("_", "").lower())
    if found is None and scalar.specified_by_url:
        said = scalar.specified_by_url.lower()
        found = next((_COMMON[kind] for text, kind in _SPECIFIED.items() if text in said), None)
    return _UNKNOWN if found is None else found
