"""Schemas of JSON Schema drafts 4 to 2019-09 in the words of 2020-12, by the letter of those drafts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["modern"]

ONE = (
    *("additionalItems", "additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"),
    *("unevaluatedItems", "unevaluatedProperties"),
)
MANY = ("allOf", "anyOf", "oneOf", "items", "prefixItems")
NAMED = ("properties", "patternProperties", "definitions", "$defs", "dependentSchemas")
OLD = ("draft4", "draft6", "draft7")


def modern(schema: Any, draft: str, outer: bool = False) -> Any:
    """The schema in the words of 2020-12.

    Args:
        draft: draft4, draft6, draft7, draft2019-09 or draft2020-12.
        outer: whether the resource that it stands in has `$recursiveAnchor`.
    """
    if draft == "draft2020-12" or not isinstance(schema, dict):
        return schema
    if draft in OLD and isinstance(schema.get("$ref"), str):
        schema = {key: value for key, value in schema.items() if key in ("$ref", "definitions")}
    anchored = schema.get("$recursiveAnchor", False) is True if "$id" in schema else outer
    anchored = anchored or schema.get("$recursiveAnchor") is True
    found: dict[str, Any] = {}
    for key, value in schema.items():
        found.update(_keyword(key, value, schema, draft, anchored))
    return found


def _keyword(key: str, value: Any, schema: dict[str, Any], draft: str, anchored: bool) -> Iterator[tuple[str, Any]]:
    def inner(each: Any) -> Any:
        return modern(each, draft, anchored)

    if key in NAMED and isinstance(value, dict):
        yield ("$defs" if key == "definitions" else key), {name: inner(each) for name, each in value.items()}
    elif key == "dependencies":
        yield "dependentRequired", {name: each for name, each in value.items() if isinstance(each, list)}
        yield "dependentSchemas", {name: inner(each) for name, each in value.items() if not isinstance(each, list)}
    elif key == "items" and isinstance(value, list):
        yield "prefixItems", [inner(each) for each in value]
        if "additionalItems" in schema:
            yield "items", inner(schema["additionalItems"])
    elif key in MANY and isinstance(value, list):
        yield key, [inner(each) for each in value]
    elif key in ONE:
        if key != "additionalItems":
            yield key, inner(value)
    elif key in ("minimum", "maximum") and schema.get(f"exclusiveM{key[1:]}") is True:
        yield f"exclusiveM{key[1:]}", value
    elif key in ("id", "$id") and draft in OLD:
        if (key == "id") is (draft == "draft4") and isinstance(value, str):
            yield ("$anchor", value[1:]) if value.startswith("#") else ("$id", value)
    elif key == "$ref" and isinstance(value, str):
        yield key, value.replace("/definitions/", "/$defs/").replace("#/items/", "#/prefixItems/")
    elif key == "$recursiveRef":
        yield ("$dynamicRef", "#outer") if anchored else ("$ref", "#")
    elif key == "$recursiveAnchor":
        if value:
            yield "$dynamicAnchor", "outer"
    elif key != "$schema" and not (key.startswith("exclusive") and isinstance(value, bool)):
        yield key, value
