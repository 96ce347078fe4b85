"""Names of members that a request made up: those of maps and of what schemas do not name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

__all__ = ["made_up", "named"]


def named(schema: Any) -> Iterator[str]:
    """The members that a schema names, at any depth; what it refers to is not followed."""
    if isinstance(schema, Mapping):
        if isinstance(schema.get("properties"), Mapping):
            yield from schema["properties"]
        for each in schema.values():
            yield from named(each)
    elif isinstance(schema, list | tuple):
        for each in schema:
            yield from named(each)


def made_up(value: Any, names: Collection[str], within: str = "") -> Iterator[str]:
    """The names of members that are not among `names`, alone and behind that of what holds them, `questions.x`: a short
    one stands for nothing in a text."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name not in names:
                yield name
                yield f"{within}.{name}"
            yield from made_up(each, names, name)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from made_up(each, names, within)
