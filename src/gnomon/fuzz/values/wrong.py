"""Values of the wrong type, those first that look like the right one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from zlib import crc32

from hypothesis import strategies as st
from jsonschema_rs import CanonicalSchema, canonical

from gnomon.fuzz.values.nodes import Leaf

__all__ = ["NULL", "near_values", "type_of", "types_of", "wrong_type"]

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
LOOKALIKES: dict[str, tuple[Any, ...]] = {
    "null": ("null", "", 0, False, "None"),
    "boolean": ("true", "false", 0, 1, "yes", "True", []),
    "integer": ("0", "1", 1.5, True, [1], "1.5", "abc", {}),
    "number": ("0", "1.5", True, [1.5], "NaN", "abc", {}),
    "string": (0, 1, True, ["a"], {"a": "b"}, 1.5, []),
    "array": ({}, "", "a,b", {"0": "a"}, 0, "[]", True),
    "object": ([], "", "{}", [[]], 0, "a=b", True),
}
"Values that a careless reader takes for the type."

NULL = Leaf(st.none(), lambda value: value is None, crc32(b"null"), [(None, "type")], True)


def type_of(value: Any) -> str:
    """The JSON type of a value; whole numbers are integers, whatever their Python type.

    >>> type_of(1.0), type_of(True), type_of([])
    ('integer', 'boolean', 'array')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return "integer"
    return {float: "number", str: "string", list: "array", dict: "object"}.get(type(value), "object")


def types_of(form: CanonicalSchema) -> frozenset[str]:
    """The JSON types that values of a canonical schema may have; all where it cannot be told."""
    view = form.view()
    single = SINGLE.get(type(view))
    if single is not None:
        return frozenset({single})
    if isinstance(view, canonical.MultiTypeView):
        return frozenset(view.types)
    if isinstance(view, canonical.ConstView):
        return frozenset({type_of(view.value)})
    if isinstance(view, canonical.EnumView):
        return frozenset(type_of(value) for value in view.values)
    if isinstance(view, canonical.AnyOfView | canonical.OneOfView):
        return frozenset[str]().union(*(types_of(branch) for branch in view.branches))
    if isinstance(view, canonical.TypedGroupView):
        return frozenset({view.type_name})
    return frozenset(TYPES)


@lru_cache(maxsize=128)
def wrong_type(types: frozenset[str], *, alike: bool = False) -> Leaf | None:
    """Values, null aside, of none of the types; None where every type is one of them.

    Args:
        alike: only the one that servers which convert values take most often.
    """
    whole = types | ({"integer"} if "number" in types else frozenset())
    # Whoever takes null and something else converts to that.
    values = [value for name in reversed(TYPES) if name in types for value in LOOKALIKES[name]]
    values += [value for name in TYPES for value in LOOKALIKES[name]]
    left = [value for value in _distinct(values) if value is not None and type_of(value) not in whole]
    left = left[:1] if alike else left
    if not left:
        return None
    name = ",".join(sorted(types)) + " alike" * alike
    edges = [(value, "type") for value in left]
    return Leaf(st.sampled_from(left), lambda value: type_of(value) not in whole, crc32(name.encode()), edges, True)


def near_values(values: Sequence[Any]) -> list[Any]:
    """Values that are almost among these: another case, a blank, a type that looks like it, the next number."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, str):
            found += [value.swapcase(), value.upper(), value.title(), f"{value} ", f" {value}", f"{value}x", value[:-1]]
        elif isinstance(value, bool) or value is None:
            found += [str(value).lower(), int(value or 0)]
        elif isinstance(value, int | float):
            found += [value + 1, value - 1, value + 0.5, str(value)]
        elif isinstance(value, list):
            found += [[*value, None], value[:-1], {}]
        else:
            found += [{**value, "extra": 0}, {}, []]
    return _distinct([*found, "", 0, "unknown", None, [], {}])


def _distinct(values: Sequence[Any]) -> list[Any]:
    seen: dict[tuple[str, str], Any] = {}
    for value in values:
        seen.setdefault((type_of(value), repr(value)), value)
    return list(seen.values())


SINGLE: dict[type, str] = {
    canonical.StringView: "string",
    canonical.IntegerView: "integer",
    canonical.NumberView: "number",
    canonical.ArrayView: "array",
    canonical.ObjectView: "object",
}
