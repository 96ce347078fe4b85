"""One schema, two directions: what only answers have need not be sent, and what is only sent must not be answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gnomon.fuzz.base import Api, Operation

__all__ = ["answered", "request_side", "unsent", "without_formats"]


def request_side(api: Api) -> Api:
    """The API as requests must be: members that only answers have may be left out."""
    definitions = {name: _marked(schema, "readOnly", absent=False) for name, schema in api.definitions.items()}
    return replace(api, definitions=definitions, operations=tuple(_requesting(each) for each in api.operations))


def without_formats(api: Api) -> Api:
    """The API with every `format` forgotten: any text will do where it promised a date."""
    operations = tuple(
        replace(
            each,
            parameters=tuple(replace(p, schema=_formatless(p.schema)) for p in each.parameters),
            bodies={kind: replace(media, schema=_formatless(media.schema)) for kind, media in each.bodies.items()},
        )
        for each in api.operations
    )
    definitions = {name: _formatless(schema) for name, schema in api.definitions.items()}
    return replace(api, definitions=definitions, operations=operations)


def unsent(schema: Any) -> Any:
    """A schema of requests without the members that only answers have."""
    return _marked(schema, "readOnly", absent=True)


def answered(schema: Any) -> Any:
    """A schema of answers, in which members that are only sent must be absent."""
    return _marked(schema, "writeOnly", absent=True)


def _requesting(operation: Operation) -> Operation:
    bodies = {
        kind: replace(media, schema=_marked(media.schema, "readOnly", absent=False))
        for kind, media in operation.bodies.items()
    }
    return replace(operation, bodies=bodies)


def _marked(schema: Any, mark: str, *, absent: bool) -> Any:
    """Members with this mark are not required and, where `absent`, not allowed."""
    if isinstance(schema, list | tuple):
        return [_marked(each, mark, absent=absent) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {key: _marked(value, mark, absent=absent) for key, value in schema.items()}
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return found
    marked = {name for name, of in properties.items() if isinstance(of, Mapping) and of.get(mark) is True}
    if marked and absent:
        found["properties"] |= dict.fromkeys(marked, False)
    if marked and isinstance(found.get("required"), list):
        found["required"] = [name for name in found["required"] if name not in marked]
    return found


def _formatless(schema: Any) -> Any:
    if isinstance(schema, list | tuple):
        return [_formatless(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    # A member that is called format is no format.
    return {k: _formatless(v) for k, v in schema.items() if k != "format" or not isinstance(v, str)}
