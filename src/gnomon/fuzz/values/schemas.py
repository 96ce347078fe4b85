"""Schemas made ready: annotations that bind become explicit, and what cannot be read is loosened instead of refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs
from jsonschema_rs import CanonicalSchema

from gnomon.fuzz.base import Schema
from gnomon.fuzz.values.formats import checks
from gnomon.fuzz.values.patterns import is_heavy

__all__ = ["Read", "Validator", "canonical_of", "judge_of", "lean_of", "plain_of", "read_schema", "validator_of"]

Validator = jsonschema_rs.Draft202012Validator
ONE = (
    *("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"),
    *("unevaluatedItems", "unevaluatedProperties"),
)
MANY = ("allOf", "anyOf", "oneOf", "prefixItems")
NAMED = ("properties", "patternProperties", "$defs", "dependentSchemas")
EXCLUDING = ("not", "unevaluatedItems", "unevaluatedProperties")
BOUNDS: dict[str, tuple[float, float]] = {
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "float": (-3.4028234663852886e38, 3.4028234663852886e38),
}
"Number formats as the bounds that they mean."

MOST_DEPENDENT = 6
"Entries of dependentRequired that are multiplied out; each doubles the cases."

MOST_DEPTH = 24
"Levels of a schema that are kept where the whole is nested too deeply to be read."

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")


@dataclass(frozen=True)
class Read:
    """A schema as it is used.

    Attributes:
        schema: with annotations that bind made explicit.
        canonical: its canonical form; None where there is none.
        validator: judges values by `schema`; formats are asserted.
        partial: the canonical form leaves something out, so that values need the validator.
        loose: what was given up to read it at all; empty for almost every schema.
    """

    schema: Schema
    canonical: CanonicalSchema | None
    validator: Validator
    partial: bool = False
    loose: tuple[str, ...] = field(default=())

    def admits(self, value: Any) -> bool:
        """Whether the validator accepts a value; text that no JSON in UTF-8 can carry is not accepted."""
        try:
            return self.validator.is_valid(value)
        except ValueError:
            return False

    def wrong(self, value: Any) -> frozenset[tuple[tuple[str | int, ...], ...]]:
        """What is wrong with a value, as paths to its places and to the schema's; empty where it is admitted."""
        try:
            found = self.validator.iter_errors(value)
            return frozenset((tuple(each.instance_path), tuple(each.schema_path)) for each in found)
        except ValueError:
            return frozenset({((), ())})


def read_schema(schema: Schema) -> Read:
    """The schema made ready; never raises for what it says."""
    loose: list[str] = []
    for loosen, how in LOOSER:
        try:
            explicit = _explicit(loosen(schema))
            lean = lean_of(explicit)
            said = (f"{how}: {loose[0]}",) if how else ()
            return Read(explicit, canonical_of(lean), validator_of(explicit), lean != explicit, said)
        except (ValueError, RecursionError) as error:
            loose.append(str(error).splitlines()[0])
    return Read(True, None, validator_of(True), loose=(f"any value: {loose[0]}",))


def validator_of(schema: Schema) -> Validator:
    """A judge of values by `schema`, formats asserted, registered ones too."""
    whole = dict(schema) if isinstance(schema, Mapping) else schema
    return Validator(whole, validate_formats=True, formats=checks(), offline=True)


def canonical_of(schema: Schema) -> CanonicalSchema:
    """The canonical form of a schema; ValueError where it is none. Two forms combine only if read alike, so all are."""
    whole = dict(schema) if isinstance(schema, Mapping) else schema
    return jsonschema_rs.canonicalize(whole, draft=20, validate_formats=True, offline=True)


def judge_of(form: CanonicalSchema) -> Validator:
    """A judge of values by a canonical schema."""
    schema: Any = form.to_json_schema()
    return validator_of(schema)


def _mapped(schema: Any, change: Callable[[dict[str, Any], int], dict[str, Any]], depth: int = 0) -> Any:
    """The schema with `change` made at each level, inner ones first."""
    if not isinstance(schema, Mapping):
        return schema
    found = dict(schema)
    for key in ONE:
        if key in found:
            found[key] = _mapped(found[key], change, depth + 1)
    for key in MANY:
        if isinstance(found.get(key), list):
            found[key] = [_mapped(inner, change, depth + 1) for inner in found[key]]
    for key in NAMED:
        if isinstance(found.get(key), Mapping):
            found[key] = {name: _mapped(inner, change, depth + 1) for name, inner in found[key].items()}
    return change(found, depth)


def _explicit(schema: Schema) -> Any:
    """Number formats become bounds, and an encoding of strings the format that says the same.

    Raises:
        ValueError: a pattern is one that cannot be matched in time.
    """

    def change(level: dict[str, Any], depth: int) -> dict[str, Any]:
        if level.get("format") in BOUNDS and "string" not in _types(level):
            low, high = BOUNDS[level.pop("format")]
            level["minimum"] = max(low, level.get("minimum", low))
            level["maximum"] = min(high, level.get("maximum", high))
        elif level.get("contentEncoding") == "base64" and "format" not in level:
            level["format"] = "byte"
        if is_heavy(level.get("pattern")):
            raise ValueError(f"pattern {str(level['pattern'])[:80]!r} takes too long to match")
        return level

    return _mapped(schema, change)


def lean_of(schema: Any) -> Any:
    """The schema without the dependencies whose cases would be too many to multiply out."""

    def change(level: dict[str, Any], depth: int) -> dict[str, Any]:
        for key in ("dependentRequired", "dependentSchemas"):
            if isinstance(level.get(key), Mapping) and len(level[key]) > MOST_DEPENDENT:
                del level[key]
        return level

    return _mapped(schema, change)


def plain_of(schema: Any) -> Any:
    """The schema without what only excludes values, where that is why it has no canonical form."""

    def change(level: dict[str, Any], depth: int) -> dict[str, Any]:
        return {key: value for key, value in level.items() if key not in EXCLUDING}

    return _mapped(schema, change)


def _types(level: Mapping[str, Any]) -> list[str]:
    types = level.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def _same(schema: Schema) -> Any:
    return schema


def _readable(schema: Schema) -> Any:
    """Without keywords that are no JSON Schema 2020-12."""

    there = schema.get("$defs") if isinstance(schema, Mapping) else {}
    names = set(there) if isinstance(there, Mapping) else set()

    def change(level: dict[str, Any], depth: int) -> dict[str, Any]:
        return {k: value for k, value in level.items() if k in (*ONE, *MANY, *NAMED) or _reads({k: value}, names)}

    found = _mapped(schema, change)
    return found if isinstance(found, dict) else True


def _reads(part: dict[str, Any], names: set[str]) -> bool:
    if "$ref" in part or "$dynamicRef" in part:
        name = str(part.get("$ref", "")).removeprefix("#/$defs/")
        return name == "#" or name in names
    try:
        canonical_of(_explicit(part))
    except ValueError:
        return False
    return True


def _shallow(schema: Schema) -> Any:

    def change(level: dict[str, Any], depth: int) -> dict[str, Any]:
        return level if depth < MOST_DEPTH else {}

    return _mapped(_cut(schema, 0), change)


def _cut(schema: Any, depth: int) -> Any:
    if isinstance(schema, Mapping):
        return {key: _cut(value, depth + 1) for key, value in schema.items()} if depth < 2 * MOST_DEPTH else {}
    return [_cut(value, depth + 1) for value in schema] if isinstance(schema, list) else schema


def _type_only(schema: Schema) -> Any:
    types = [t for t in _types(schema) if t in TYPES] if isinstance(schema, Mapping) else []
    return {"type": types} if types else True


LOOSER: tuple[tuple[Callable[[Schema], Any], str], ...] = (
    (_same, ""),
    (_readable, "read without keywords that are no JSON Schema 2020-12"),
    (_shallow, f"read down to {MOST_DEPTH} levels"),
    (_type_only, "read for its type alone"),
)
"Ways to read a schema, each giving up more than the one before, and what is said of it."
