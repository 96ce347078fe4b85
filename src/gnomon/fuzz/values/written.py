"""Schemas as they are written, for comparison: nothing that combines schemas is worked out beforehand.

Of `allOf` the part that says most is built, of `anyOf` and `oneOf` any branch, of `not` and conditions nothing; the
judge of the whole refuses what does not fit, which the canonical form mostly makes needless. Only bounds of one text
or number, which say how it is drawn, are read together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gnomon.fuzz.values.nodes import Choice, Lazy, Node, escaped, settle
from gnomon.fuzz.values.objects import INFINITE, ArrayNode, ObjectNode
from gnomon.fuzz.values.schemas import canonical_of
from gnomon.fuzz.values.views import Build

__all__ = ["written_node"]

BOUNDS = (
    *("type", "enum", "const", "format", "pattern", "minLength", "maxLength", "minimum", "maximum"),
    *("exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
)
"What is said of one value alone."


def written_node(build: Build, schema: Any) -> Node:
    """The node of a schema as it is written; its values have to be judged.

    Args:
        build: makes the nodes of single values, and is told that values need a judge.
        schema: JSON Schema 2020-12 with definitions under `$defs`.
    """
    build.guard()
    found = _node(build, schema, schema.get("$defs", {}) if isinstance(schema, Mapping) else {}, {})
    settle(found)
    return found


def _node(build: Build, schema: Any, definitions: Mapping[str, Any], known: dict[str, Node]) -> Node:
    if not isinstance(schema, Mapping):
        return build.node(canonical_of(schema))

    def inner(part: Any) -> Node:
        return _node(build, part, definitions, known)

    if "$ref" in schema:
        return _referred(str(schema["$ref"]), definitions, known, inner)
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            return Choice([inner(part) for part in schema[keyword]])
    if "allOf" in schema:
        return inner(max(schema["allOf"], key=lambda part: len(repr(part))))
    if schema.get("type") == "object" or "properties" in schema:
        return build.known(_object(schema, inner), canonical_of({"type": "object"}))
    if schema.get("type") == "array" or "items" in schema:
        return build.known(_array(schema, inner), canonical_of({"type": "array"}))
    return build.node(canonical_of({key: schema[key] for key in BOUNDS if key in schema}))


def _referred(
    reference: str, definitions: Mapping[str, Any], known: dict[str, Node], inner: Callable[[Any], Node]
) -> Node:
    """What a reference means, made once; what is not defined may be anything."""

    def find() -> Node:
        if reference not in known:
            known[reference] = inner(definitions.get(reference.removeprefix("#/$defs/"), True))
        return known[reference]

    return Lazy(find)


def _object(schema: Mapping[str, Any], inner: Callable[[Any], Node]) -> ObjectNode:
    properties = {**dict.fromkeys(schema.get("required", ()), True), **schema.get("properties", {})}
    members = [(name, escaped(name), inner(part)) for name, part in properties.items()]
    needed = set(schema.get("required", ()))
    return ObjectNode(
        required=[each for each in members if each[0] in needed],
        optional=[each for each in members if each[0] not in needed],
        barred=frozenset(properties),
    )


def _array(schema: Mapping[str, Any], inner: Callable[[Any], Node]) -> ArrayNode:
    item = inner(schema.get("items", True))
    least = schema.get("minItems", 0)
    return ArrayNode(
        place=lambda index, need: item, items=item, least=least, most=max(least, schema.get("maxItems", INFINITE))
    )
