"""The values of JSON Schema's keywords: each is given back as it must be, or raised as a `Mistake`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

from gnomon.fuzz.loading.patterns import is_common, readable
from gnomon.fuzz.loading.repairs import shown

__all__ = ["CLEANED", "IN_PLACE", "LISTS", "MAPS", "SINGLE", "Mistake", "distinct", "flag", "subschemas", "typed"]

MAX_NESTING = 60
"Levels of a constant, a default or an example; validators stop at some depth."

SINGLE: tuple[str, ...] = ("additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then")
SINGLE += ("unevaluatedItems", "unevaluatedProperties")
LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
MAPS = ("dependentSchemas", "patternProperties", "properties")
IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas")
"Keywords whose schemas judge the value itself, not a part of it."

_TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
_FAMILIES: dict[str, dict[str, Any]] = {
    "int long short int32 int64 bigint integer32 integer64": {"type": "integer"},
    "float double decimal numeric real": {"type": "number"},
    "bool": {"type": "boolean"},
    "str text char varchar enum password": {"type": "string"},
    "list tuple set": {"type": "array"},
    "dict map hash hashmap json struct": {"type": "object"},
    "none nil void": {"type": "null"},
    "any * mixed": {},
    "datetime date-time timestamp": {"type": "string", "format": "date-time"},
    "file binary bytes": {"type": "string", "format": "binary"},
    "url uri": {"type": "string", "format": "uri"},
    **{
        word: {"type": "string", "format": word}
        for word in ("date", "time", "email", "uuid", "ipv4", "ipv6", "hostname")
    },
}
_WORDS = {word: meant for words, meant in _FAMILIES.items() for word in words.split()}


class Mistake(Exception):
    """A keyword's value that is none: what was found, what it is taken for, and that value, `None` for none."""

    def __init__(self, found: str, taken: str = "no constraint", value: Any = None) -> None:
        super().__init__(found)
        self.found, self.taken, self.value = found, taken, value


def typed(word: Any) -> tuple[dict[str, Any], str]:
    """Keywords that a `type` means, and what to say of it where it is no type: "" for a right one.

    >>> typed("string"), typed("int")
    (({'type': 'string'}, ''), ({'type': 'integer'}, 'type integer'))
    """
    if isinstance(word, str):
        if word in _TYPES:
            return {"type": word}, ""
        low = word.strip().lower()
        meant = {"type": low} if low in _TYPES else _WORDS.get(low)
        if meant is None and "|" in low:
            return typed(low.split("|"))[0], "the types named"
        said = " of format ".join(meant.values()) if meant else ""
        return dict(meant or {}), f"type {said}" if said else "any type"
    if isinstance(word, list) and word:
        parts = [typed("null" if each is None else each) for each in word]
        names = distinct([part["type"] for part, _ in parts if "type" in part])
        wrong = any(said for _, said in parts) or len(names) != len(word)
        keep = len(parts) == len([part for part, _ in parts if "type" in part])
        return ({"type": names} if keep else {}), ("the types known" if keep else "any type") if wrong else ""
    return ({"type": "null"}, "type null") if word is None else ({}, "any type")


def distinct(values: list[Any]) -> list[Any]:
    """Each value once, in order; as JSON tells them apart, save that 1 and 1.0 differ."""
    seen: dict[str, Any] = {}
    for value in values:
        seen.setdefault(json.dumps(value, sort_keys=True), value)
    return list(seen.values())


def flag(value: Any) -> bool:
    """A boolean, also where it is written as text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "yes", "1", "false", "no", "0"):
        meant = value.strip().lower() in ("true", "yes", "1")
        raise Mistake(f"{shown(value)} for a boolean", shown(meant), meant)
    raise Mistake(f"{shown(value)} for a boolean", "left out")


def subschemas(schema: Any) -> Iterator[tuple[str, Any]]:
    """The schemas directly in a schema, each with the keyword that it stands under."""
    if not isinstance(schema, dict):
        return
    for keyword, value in schema.items():
        if keyword in SINGLE:
            yield keyword, value
        elif keyword in LISTS:
            for each in value:
                yield keyword, each
        elif keyword in MAPS:
            for each in value.values():
                yield keyword, each


def _number(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool) and _is_sound(value, 0):
        return value
    if isinstance(value, str):
        for kind in (int, float):
            try:
                meant = kind(value)
            except ValueError:
                continue
            if _is_sound(meant, 0):
                raise Mistake(f"{shown(value)} for a number", shown(meant), meant)
    raise Mistake(f"{shown(value)} for a number")


def _count(value: Any) -> int:
    try:
        number = _number(value)
    except Mistake as mistake:
        if not isinstance(mistake.value, int) or mistake.value < 0:
            raise Mistake(f"{shown(value)} for a count") from None
        raise
    if number < 0 or number != int(number):
        raise Mistake(f"{shown(value)} for a count")
    return int(number)


def _positive(value: Any) -> Any:
    try:
        number = _number(value)
    except Mistake as mistake:
        if mistake.value is None or mistake.value <= 0:
            raise Mistake(f"{shown(value)} for a positive number") from None
        raise
    if number <= 0:
        raise Mistake(f"{shown(value)} for a positive number")
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Mistake(f"{shown(value)} for text", "left out")
    return value


def _pattern(value: Any) -> str:
    pattern = readable(_text(value))
    if pattern is None:
        raise Mistake(f"{shown(value)}, which is no regular expression")
    if pattern != value and not is_common(value):
        raise Mistake(f"{shown(value)}, a regular expression of another dialect", shown(pattern), pattern)
    return pattern


def _enum(value: Any) -> list[Any]:
    if not isinstance(value, list):
        meant = list(value) if isinstance(value, dict) else [_constant(value)]
        raise Mistake(
            f"{shown(value)} for the values of an enum", "its keys" if isinstance(value, dict) else "one", meant
        )
    if not value:
        raise Mistake("an enum of no values")
    return distinct([_constant(each) for each in value])


def _constant(value: Any) -> Any:
    if not _is_sound(value, MAX_NESTING):
        raise Mistake(f"a value nested more than {MAX_NESTING} deep, or with a number that is not finite", "left out")
    return value


def _names(value: Any) -> list[str]:
    if isinstance(value, str):
        raise Mistake(f"{shown(value)} for a list of names", "that name", [value])
    if not isinstance(value, list):
        raise Mistake(f"{shown(value)} for a list of names")
    names = [each for each in value if isinstance(each, str)]
    if len(set(names)) != len(value):
        raise Mistake("a list of names with repeats, or with what is no name", "the names, each once", distinct(names))
    return names


def _needs(value: Any) -> dict[str, list[str]]:
    if not isinstance(value, dict) or not all(isinstance(each, list) for each in value.values()):
        raise Mistake(f"{shown(value)} for names by name")
    return {key: [name for name in distinct(names) if isinstance(name, str)] for key, names in value.items()}


def _is_sound(value: Any, levels: int) -> bool:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return levels > 0 and all(_is_sound(each, levels - 1) for each in inner)
    return not isinstance(value, float) or math.isfinite(value)


CLEANED: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), _count),
    **dict.fromkeys(("minContains", "maxContains"), _count),
    **dict.fromkeys(("minimum", "maximum"), _number),
    "multipleOf": _positive,
    **dict.fromkeys(("uniqueItems", "readOnly", "writeOnly", "deprecated"), flag),
    **dict.fromkeys(("format", "contentEncoding", "contentMediaType"), _text),
    "pattern": _pattern,
    "enum": _enum,
    **dict.fromkeys(("const", "default"), _constant),
    "required": _names,
    "dependentRequired": _needs,
}
"What is done to the value of each keyword that holds no schema."
