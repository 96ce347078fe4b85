"""What can be wrong with the members of an object or an array, each as a change of a valid one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gnomon.fuzz.values.nodes import Leaf, Node, Source, escaped
from gnomon.fuzz.values.objects import ArrayNode, ObjectNode

__all__ = ["array_flaws", "object_flaws"]

Told = tuple[str, str, str, Callable[[Any, Source], Any]]
"A step of a pointer, the keyword, how, and the change."

FRESH = ("unknownField", "extra", "x", "__proto__", "constructor", "id_", "$ref")
EVERY: tuple[Any, ...] = ("", 0, None, True, 1.5, [], {})
"A value of every type."

MOST_ADDED = 300
"Members that are added to pass a bound; beyond it the bound is left alone."


def object_flaws(node: ObjectNode) -> Iterator[Told]:
    """A member missing, unknown, in another case, wrong where all unknown ones are of a kind, too few, too many."""
    for name, step, _ in node.required:
        yield step, "required", "left out", _without(name)
    closed = all(node.others(name) is None for name in FRESH) or node.names is None
    if closed or _named_only(node):
        yield "", "additionalProperties", "unknown name", _with_unknown(node)
    else:
        other = node.others(FRESH[0])
        if other is not None and not _takes_all(other):
            yield f"/{FRESH[0]}", "additionalProperties", "wrong additional value", _with_wrong(node)
    declared = {name for name, _, _ in (*node.required, *node.optional)}
    for name in sorted(node.barred - declared):
        yield escaped(name), "properties", "barred name", _with(name)
    if node.least > len(node.required):
        yield "", "minProperties", "too few", _fewer(node)
    if node.most < MOST_ADDED:
        yield "", "maxProperties", "too many", _more(node)


def array_flaws(node: ArrayNode) -> Iterator[Told]:
    """Too few items, too many, equal ones."""
    if node.least > 0:
        yield "", "minItems", "too few", lambda value, source: value[: node.least - 1]
    if node.most < MOST_ADDED:
        yield "", "maxItems", "too many", _longer(node)
    if node.distinct:
        yield "", "uniqueItems", "equal items", _repeating(node)


def _without(name: str) -> Callable[[Any, Source], Any]:
    return lambda value, source: {key: member for key, member in value.items() if key != name}


def _with(name: str) -> Callable[[Any, Source], Any]:
    return lambda value, source: {**value, name: ("", 0, None)[source.index(3)]}


def _with_unknown(node: ObjectNode) -> Callable[[Any, Source], Any]:
    names = [name.swapcase() for name, _, _ in (*node.required, *node.optional)][:4]
    names = [name for name in (*FRESH, *names) if name not in node.barred]
    return lambda value, source: {**value, names[source.index(len(names))]: ("", 0, None)[source.index(3)]}


def _with_wrong(node: ObjectNode) -> Callable[[Any, Source], Any]:
    return lambda value, source: {**value, FRESH[0]: EVERY[source.index(len(EVERY))]}


def _fewer(node: ObjectNode) -> Callable[[Any, Source], Any]:
    needed = {name for name, _, _ in node.required}

    def change(value: Any, source: Source) -> Any:
        spare = [name for name in value if name not in needed]
        dropped = set(spare[: len(value) - node.least + 1])
        return {name: member for name, member in value.items() if name not in dropped}

    return change


def _more(node: ObjectNode) -> Callable[[Any, Source], Any]:
    def change(value: Any, source: Source) -> Any:
        found = dict(value)
        for name, _, inner in node.optional:
            if len(found) <= node.most and name not in found:
                found[name] = inner.build(source, "", 0)
        number = 0
        while len(found) <= node.most and number < 2 * MOST_ADDED and node.names is not None:
            number += 1
            name = source.leaf(node.names, "/#names") if number % 2 else f"{FRESH[1]}{number}"
            other = node.others(name)
            if name not in found and other is not None and name not in node.barred:
                found[name] = other.build(source, "", 0)
        return found

    return change


def _longer(node: ArrayNode) -> Callable[[Any, Source], Any]:
    def change(value: Any, source: Source) -> Any:
        found = list(value)
        while len(found) <= node.most:
            more = node.place(len(found), -1)
            # Past the end of a closed tuple nothing fits, and anything is one too many.
            found.append(more.build(source, "", 0) if more is not None else None)
        return found

    return change


def _repeating(node: ArrayNode) -> Callable[[Any, Source], Any]:
    def change(value: Any, source: Source) -> Any:
        if not value:
            item = node.place(0, -1)
            return [item.build(source, "", 0)] * 2 if item is not None else value
        again = value[source.index(len(value))]
        return [*value, again] if len(value) < node.most else [*value[:-1], value[0]]

    return change


def _named_only(node: ObjectNode) -> bool:
    """Whether names that may appear are restricted, so that an arbitrary one breaks the object."""
    return node.names is not None and any(not node.names.accepts(name) for name in FRESH)


def _takes_all(node: Node) -> bool:
    return isinstance(node, Leaf) and all(node.accepts(value) for value in EVERY)
