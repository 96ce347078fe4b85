"""A schema with the definitions that it reaches, and no others, so that it can be compiled alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from gnomon.fuzz.base import Schema
from gnomon.fuzz.loading.keywords import subschemas

__all__ = ["closed"]

_PREFIX = "#/$defs/"
_KEPT = 8
_sets: OrderedDict[int, _Definitions] = OrderedDict()


def closed(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """The schema with `$defs` for what its references lead to, directly or through others; itself where it has none.

    Args:
        schema: of an `Api`.
        definitions: of the same `Api`; not to be changed afterwards, since what each of them reaches is kept.

    The `$defs` of two schemas that reach the same definitions are the same object.

    >>> closed({"$ref": "#/$defs/A"}, {"A": {"type": "string"}, "B": True})
    {'$ref': '#/$defs/A', '$defs': {'A': {'type': 'string'}}}
    """
    if isinstance(schema, bool):
        return schema
    named = _named(schema)
    if not named:
        return schema
    return {**schema, "$defs": _of(definitions).reached(named)}


class _Definitions:
    """One set of definitions with what each refers to, found when first asked for."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self.definitions = definitions
        self._named: dict[str, frozenset[str]] = {}
        self._reached: dict[frozenset[str], dict[str, Schema]] = {}

    def reached(self, names: frozenset[str]) -> dict[str, Schema]:
        if names not in self._reached:
            found: dict[str, Schema] = {}
            stack = sorted(names)
            while stack:
                name = stack.pop()
                if name in found:
                    continue
                found[name] = self.definitions[name]
                if name not in self._named:
                    self._named[name] = _named(found[name])
                stack.extend(self._named[name] - found.keys())
            self._reached[names] = {name: found[name] for name in sorted(found)}
        return self._reached[names]


def _of(definitions: Mapping[str, Schema]) -> _Definitions:
    known = _sets.get(id(definitions))
    if known is None or known.definitions is not definitions:
        known = _sets[id(definitions)] = _Definitions(definitions)
        while len(_sets) > _KEPT:
            _sets.popitem(last=False)
    return known


def _named(schema: Any) -> frozenset[str]:
    """Names that a schema's references have, itself and the schemas in it."""
    return frozenset(_references(schema))


def _references(schema: Any) -> Iterable[str]:
    stack = [schema]
    while stack:
        each = stack.pop()
        if isinstance(each, dict):
            reference = each.get("$ref")
            if isinstance(reference, str) and reference.startswith(_PREFIX):
                yield reference.removeprefix(_PREFIX)
            stack.extend(inner for _, inner in subschemas(each))
