"""Keywords of one schema that contradict each other: put right where the meaning is plain, said where it is not."""

from __future__ import annotations

from typing import Any

from gnomon.fuzz.loading.keywords import IN_PLACE, LISTS, Mistake, distinct, flag
from gnomon.fuzz.loading.references import Node
from gnomon.fuzz.loading.repairs import Ledger, shown

__all__ = ["sensible"]

_TYPED = {"type", "enum", "const", "$ref", *IN_PLACE}
_PAIRS = [("minimum", "maximum"), ("exclusiveMinimum", "exclusiveMaximum"), ("minLength", "maxLength")]
_PAIRS += [("minItems", "maxItems"), ("minProperties", "maxProperties"), ("minContains", "maxContains")]


def sensible(node: Node, out: dict[str, Any], ledger: Ledger, *, unsaid_items: bool) -> None:
    """Changes the schema `out`, read from `node`, where its keywords do not go together.

    Args:
        unsaid_items: whether an array may leave its items unsaid.
    """
    _booleans(node.value, out)
    _untyped(node, out, ledger)
    for low, high in _PAIRS:
        if low in out and high in out and out[low] > out[high]:
            found = f"{low} {shown(out[low])} above {high} {shown(out[high])}"
            ledger.note(node.where, found, "a schema that nothing satisfies")
    if out.get("type") == "array":
        _array(node, out, ledger, unsaid_items)
    if "enum" in out:
        _enum(node, out, ledger)


def _untyped(node: Node, out: dict[str, Any], ledger: Ledger) -> None:
    """Properties without a type are meant as those of an object, items as those of an array.

    By the letter such a schema takes every number and text as well. A part of `allOf` and the like is let be: its type
    stands beside it.
    """
    steps = node.pointer.split("/")
    if _TYPED & set(out) or set(steps[-2:-1]) & {*LISTS, "dependentSchemas"} or steps[-1] in IN_PLACE:
        return
    for keyword, kind in (("properties", "object"), ("items", "array")):
        if out.get(keyword):
            ledger.note(node.where, f"{keyword} without a type", f"type {kind}")
            out["type"] = kind
            return


def _booleans(value: dict[str, Any], out: dict[str, Any]) -> None:
    """`minimum: 1, exclusiveMinimum: true` is `exclusiveMinimum: 1`."""
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if value.get(exclusive) is True and bound in out:
            out[exclusive] = out.pop(bound)


def _array(node: Node, out: dict[str, Any], ledger: Ledger, unsaid_items: bool) -> None:
    values = out.get("enum")
    if values and not any(isinstance(value, list) for value in values):
        ledger.note(node.where, "an enum of single values on an array", "the enum of its items")
        inner = out.get("items")
        out["items"] = {**(inner if isinstance(inner, dict) else {}), "enum": out.pop("enum")}
    if "items" not in out and "prefixItems" not in out and not unsaid_items:
        ledger.note(node.where, "an array without items", "an array of any values")


def _enum(node: Node, out: dict[str, Any], ledger: Ledger) -> None:
    """Values of another type than the schema's, which YAML and careless generators make: 1 for "1", "1" for 1."""
    kinds = out.get("type")
    kind = next((each for each in kinds if each != "null"), "") if isinstance(kinds, list) and len(kinds) < 3 else kinds
    cast = {"string": _as_text, "integer": _as_number, "number": _as_number, "boolean": _as_flag}.get(str(kind))
    if cast is None:
        return
    meant = distinct([cast(value) for value in out["enum"]])
    if meant != out["enum"]:
        ledger.note(node.where, f"values of an enum that are no {kind}", ", ".join(map(shown, meant[:4])))
        out["enum"] = meant


def _as_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _as_number(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _as_flag(value: Any) -> Any:
    try:
        return flag(value)
    except Mistake as mistake:
        return value if mistake.value is None else mistake.value
