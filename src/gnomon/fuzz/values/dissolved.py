"""Negation of keywords that no part of the canonical form stands for: combinations, conditions, dependencies.

At each level of the schema, one such keyword is negated and all others stay: `{rest, not: {keyword}}`. The canonical
form of that is what is drawn from, so that a value breaks the keyword and nothing else at its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from jsonschema_rs import CanonicalSchema, canonical

from gnomon.fuzz.base import Schema
from gnomon.fuzz.values.schemas import canonical_of, lean_of

__all__ = ["dissolved", "form_of"]

GROUPS: tuple[tuple[str, ...], ...] = (
    ("dependentSchemas",),
    ("propertyNames",),
    ("anyOf",),
    ("not",),
    ("if", "then", "else"),
    ("patternProperties",),
)
KINDS = {
    "dependentSchemas": "dependent schema broken",
    "propertyNames": "name not allowed",
    "anyOf": "none of the alternatives",
    "not": "what is excluded",
    "if": "condition broken",
    "patternProperties": "wrong value under a matching name",
}
SMALL = 1500
"Length of a schema that is canonical in a millisecond or so."

MOST_LEVELS, MOST_HOPS, MOST_PAIRS = 200, 2, 6

Keys = tuple[str | int, ...]
Level = tuple[Mapping[str, Any], Keys, int]


def dissolved(schema: Schema) -> Iterator[tuple[Keys, str, str, dict[str, Any]]]:
    """Keys that lead to a level, the keyword, how it is broken, and the schema of what breaks it there.

    Where that is small it is looked at, and left out if nothing meets it; else nothing may.
    """
    if not isinstance(schema, Mapping):
        return
    definitions = schema.get("$defs", {})
    for level, keys in _levels(schema, definitions):
        for keyword, kind, broken in _broken(level):
            whole = {**broken, "$defs": definitions} if definitions else broken
            if len(repr(broken)) > SMALL or form_of(whole) is not None:
                yield keys, keyword, kind, whole


def _levels(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Keys]]:
    """Levels that stand for a place of the value, references followed and parts of `allOf` merged beside the rest."""
    waiting: list[Level] = [(schema, (), 0)]
    for _ in range(MOST_LEVELS):
        if not waiting:
            return
        level, keys, hops = waiting.pop(0)
        while "$ref" in level and hops <= MOST_HOPS:
            target = definitions.get(str(level["$ref"]).removeprefix("#/$defs/"))
            rest = {key: value for key, value in level.items() if key not in ("$ref", "$defs")}
            hops += 1
            level = {"allOf": [target, rest]} if rest and isinstance(target, Mapping) else target or {}
            if not isinstance(level, Mapping):
                level = {}
        level = {key: value for key, value in level.items() if key not in ("$defs", "$schema")}
        yield level, keys
        waiting += [(inner, (*keys, key), hops) for key, inner in _inner(level)]


def _inner(level: Mapping[str, Any]) -> Iterator[tuple[str | int, Mapping[str, Any]]]:
    parts = [level, *(part for part in level.get("allOf", []) if isinstance(part, Mapping))]
    for part in parts:
        for name, inner in (part.get("properties") or {}).items():
            if isinstance(inner, Mapping):
                yield name, inner
        if isinstance(part.get("items"), Mapping):
            yield len(part.get("prefixItems", [])), part["items"]


def _broken(level: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The level with one keyword negated, its own or one of a part of `allOf`."""
    yield from _own(level)
    for place, part in enumerate(level.get("allOf", [])):
        if isinstance(part, Mapping):
            others = [other for index, other in enumerate(level["allOf"]) if index != place]
            rest = {key: value for key, value in level.items() if key != "allOf"}
            yield from ((key, kind, {"allOf": [*others, rest, broken]}) for key, kind, broken in _own(part))


def _own(level: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for group in GROUPS:
        if group[0] in level:
            rest = _without(level, group)
            negated = {"not": {key: level[key] for key in group if key in level}}
            yield group[0], KINDS[group[0]], {"allOf": [rest, negated]}
    yield from _contained(level)
    for name, needed in (level.get("dependentRequired") or {}).items():
        rest = _with_others(level, name)
        for missing in needed:
            lacking = {"required": [name], "not": {"required": [missing]}}
            yield "dependentRequired", f"{name} without {missing}", {"allOf": [rest, lacking]}
    if isinstance(level.get("oneOf"), list):
        rest = _without(level, ("oneOf",))
        yield "oneOf", "none of the alternatives", {"allOf": [rest, {"not": {"anyOf": level["oneOf"]}}]}
        for both in list(combinations(level["oneOf"], 2))[:MOST_PAIRS]:
            yield "oneOf", "more than one of the alternatives", {"allOf": [rest, *both]}
    for keyword in ("unevaluatedProperties", "unevaluatedItems"):
        if keyword in level:
            yield keyword, "not evaluated", {"allOf": [_without(level, (keyword,)), {"not": level}]}


def _contained(level: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Too few items that fit and too many, said without `not`: the negation of a count has no canonical form."""
    if "contains" not in level:
        return
    rest = _without(level, ("contains", "minContains", "maxContains"))
    least, most = level.get("minContains", 1), level.get("maxContains")
    if least == 1:
        yield "contains", "not what it must contain", {"allOf": [rest, {"items": {"not": level["contains"]}}]}
    elif least > 1:
        few = {"contains": level["contains"], "minContains": 0, "maxContains": least - 1}
        yield "minContains", "too few that fit", {"allOf": [rest, few]}
    if most is not None:
        many = {"contains": level["contains"], "minContains": most + 1}
        yield "maxContains", "too many that fit", {"allOf": [rest, many]}


def _with_others(level: Mapping[str, Any], name: str) -> dict[str, Any]:
    others = {key: value for key, value in level["dependentRequired"].items() if key != name}
    return {**level, "dependentRequired": others}


def _without(level: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in level.items() if key not in keys}


def form_of(schema: dict[str, Any]) -> CanonicalSchema | None:
    """The canonical form, where there is one that admits something."""
    try:
        form = canonical_of(lean_of(schema))
    except (ValueError, RecursionError):
        return None
    unclear = isinstance(form.view(), canonical.RawView | canonical.FalseView | canonical.TrueView)
    return None if unclear or form.satisfiability() == canonical.Satisfiability.NO else form
