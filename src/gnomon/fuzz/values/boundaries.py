"""The borders of a schema, without chance: for each place, values on it and just beyond, with a plain rest."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

from gnomon.fuzz.base import Fault, Location
from gnomon.fuzz.turns import in_turns
from gnomon.fuzz.values.nodes import Choice, Lazy, Leaf, Node, Source, escaped
from gnomon.fuzz.values.objects import ArrayNode, ObjectNode
from gnomon.fuzz.values.places import Place, changed, places, reach
from gnomon.fuzz.values.pools import Draws, EmptyPool, Simplest, as_json
from gnomon.fuzz.values.schemas import Read
from gnomon.fuzz.values.spoiling import broken_keyword

__all__ = ["Border", "borders_of"]

DEEP = 100
"Levels of the nested value."

MOST_BORDERS = 1000
"Borders of one schema."

MOST_PLACES = 400
"Places of a schema whose borders are listed."

SURROGATE = re.compile(r"\\ud800(?!\\u)")
"A lone surrogate in JSON."

MOST_SWAPPED = 12
"Branches of a choice whose discriminators are swapped."

MOST_LARGE = 70_000
"Longest value, as JSON, that the borders of one place may have besides the simple ones."


@dataclass(frozen=True)
class Border:
    """A value on a border or just beyond it.

    Attributes:
        value: the whole value.
        pointer: JSON pointer of the place whose border it is.
        keyword: the keyword that draws the border; "type" for values that are odd for their type.
        kind: which value it is, in words.
        valid: whether the schema admits it.
    """

    value: Any
    pointer: str
    keyword: str
    kind: str
    valid: bool

    def fault(self, location: Location, prefix: str = "") -> Fault:
        """The border as a case states it; `prefix` stands before the pointer."""
        return Fault(location=location, pointer=prefix + self.pointer, keyword=self.keyword, kind=self.kind)


def borders_of(root: Node, read: Read, draws: Draws) -> Iterator[Border]:
    """The borders of a schema that admits something: the plainest value, then one of each place in turn, outer first.

    Of each place those come first that servers stumble over most. No value comes twice.
    """
    seen: set[str] = set()
    for pointer, keyword, kind, value in _all(root, draws):
        key = as_json(value)
        if len(seen) >= MOST_BORDERS:
            return
        if key not in seen:
            seen.add(key)
            valid = _is_valid(read, value)
            told = keyword if valid else broken_keyword(read, pointer, keyword, value)
            yield Border(value, pointer, told, kind, valid)


def _all(root: Node, draws: Draws) -> Iterator[tuple[str, str, str, Any]]:
    with suppress(EmptyPool):
        yield "", "type", "simplest", root.build(Simplest(draws), "", 0)
    yield from in_turns([_around(root, place, draws) for place in islice(places(root), MOST_PLACES)])


def _around(root: Node, place: Place, draws: Draws) -> Iterator[tuple[str, str, str, Any]]:
    """The borders of one place with a plain rest around them."""
    with suppress(EmptyPool, LookupError):
        base = reach(root, place.route, Simplest(draws))
        for step, keyword, kind, inner in _of_place(place, base, draws):
            yield place.pointer + step, keyword, kind, changed(base, place.keys, _constant(inner))


def _of_place(place: Place, base: Any, draws: Draws) -> Iterator[tuple[str, str, str, Any]]:
    """A step of the pointer, the keyword, what it is, and what stands at the place."""
    node, value = place.node, base
    for key in place.keys:
        value = value[key]
    yield "", "type", "null", None
    if isinstance(node, Leaf):
        yield from _of_leaf(node, draws)
    elif isinstance(node, ObjectNode):
        yield from _of_object(node, draws)
    elif isinstance(node, ArrayNode):
        yield from _of_array(node, draws)
    elif isinstance(node, Choice):
        for index, branch in enumerate(node.branches):
            with suppress(EmptyPool):
                yield "", "anyOf", f"branch {index}", branch.build(Simplest(draws), "", 0)
        yield from _swapped(node, draws)


def _swapped(node: Choice, draws: Draws) -> Iterator[tuple[str, str, str, Any]]:
    """Values of a branch that name another: the constant that tells the branches apart is that of the next."""
    branches = [branch.target if isinstance(branch, Lazy) else branch for branch in node.branches]
    objects = [branch for branch in branches if isinstance(branch, ObjectNode)][:MOST_SWAPPED]
    for mine, other in pairwise([*objects, *objects[:1]]):
        theirs = dict(_constants(other))
        for name, value in _constants(mine):
            if theirs.get(name, value) != value:
                with suppress(EmptyPool):
                    swapped = {**mine.build(Simplest(draws), "", 0), name: theirs[name]}
                    yield escaped(name), "oneOf", "discriminator swapped", swapped


def _constants(node: ObjectNode) -> Iterator[tuple[str, Any]]:
    for name, _, inner in node.required:
        if isinstance(inner, Leaf) and [keyword for _, keyword in inner.edges] == ["const"]:
            yield name, inner.edges[0][0]


def _of_leaf(leaf: Leaf, draws: Draws) -> Iterator[tuple[str, str, str, Any]]:
    by_keyword: dict[str, list[tuple[Any, str]]] = {}
    for value, keyword in leaf.edges:
        by_keyword.setdefault(keyword, []).append((value, _described(value)))
    if "pattern" in by_keyword:
        match = draws.pool(leaf).at(0)
        near = (f"{match}~", match[:-1], f"~{match}")
        by_keyword["pattern"] += [(each, f"near {match!a}"[:60]) for each in near]
    # What the document says of the value comes before what is odd for its type, and what is long last.
    keywords = sorted(by_keyword, key=lambda each: (each == "type", len(repr(by_keyword[each][0]))))
    for keyword, value, kind in in_turns([_told(keyword, by_keyword[keyword]) for keyword in keywords]):
        yield "", keyword, kind, value
    if any(isinstance(value, str) for value, _ in leaf.edges):
        # No JSON text in UTF-8 holds it; whoever writes the bytes escapes it.
        yield "", "type", "lone surrogate", "\ud800"
    if leaf.accepts({}) is True:
        yield "", "type", f"{DEEP} levels deep", _nested()


def _told(keyword: str, edges: Sequence[tuple[Any, str]]) -> Iterator[tuple[str, Any, str]]:
    return ((keyword, value, kind) for value, kind in edges)


def _of_object(node: ObjectNode, draws: Draws) -> Iterator[tuple[str, str, str, Any]]:
    least = _members(node, draws, optional=False)
    whole = _members(node, draws, optional=True)
    yield "", "required", "only what is required", least
    yield "", "properties", "all members", whole
    yield "", "type", "empty", {}
    yield "", "additionalProperties", "unknown name", {**least, "unknownField": ""}
    left_out = (("required", "left out", name, step) for name, step, _ in node.required)
    others = (("properties", "all but this", name, step) for name, step, _ in node.optional)
    for keyword, kind, name, step in in_turns([left_out, others]):
        yield step, keyword, kind, {key: value for key, value in whole.items() if key != name}
    for name in whole:
        if name.swapcase() not in whole:
            renamed = {(name.swapcase() if key == name else key): value for key, value in whole.items()}
            yield escaped(name), "properties", "name in another case", renamed
            break
    yield "", "type", f"{DEEP} levels deep", {**least, "unknownField": _nested()}


def _of_array(node: ArrayNode, draws: Draws) -> Iterator[tuple[str, str, str, Any]]:
    most = int(node.most) if node.most < MOST_LARGE // 64 else None
    first = _items(node, max(1, node.least), draws)
    ends = [0, *([most + 1] if most is not None else []), node.least - 1, 1, node.least, node.least + 1]
    ends += [most, most - 1] if most is not None else []
    sized = _of_sizes(node, [end for end in dict.fromkeys(ends) if end >= 0], most, draws)
    yield from islice(sized, 1)
    yield "", "items", "a null item", [*first, None]
    yield from islice(sized, 1)
    yield "", "uniqueItems", "equal items", [*first, first[0]] if first else [None, None]
    yield "", "items", "items of several types", [*first, 0, "", True, {}, []]
    yield from sized


def _of_sizes(
    node: ArrayNode, sizes: Sequence[int], most: int | None, draws: Draws
) -> Iterator[tuple[str, str, str, Any]]:
    for size in sizes:
        keyword = "maxItems" if most is not None and size >= most - 1 else "minItems"
        items = _items(node, size, draws)
        if len(json.dumps(items)) < MOST_LARGE:
            yield "", keyword, f"{size} items", items


def _members(node: ObjectNode, draws: Draws, *, optional: bool) -> dict[str, Any]:
    chosen = [*node.required, *(node.optional if optional else ())]
    source: Source = Simplest(draws)
    found = {}
    for name, step, inner in chosen:
        with suppress(EmptyPool):
            found[name] = inner.build(source, step, 0)
    return found


def _items(node: ArrayNode, size: int, draws: Draws) -> list[Any]:
    """Items that differ where they have to and can, simple otherwise."""
    source = Simplest(draws)
    inner = [node.place(index, -1) for index in range(size)]
    return [each.build(source, "/*", 0) if each is not None else None for each in inner]


def _constant(value: Any) -> Callable[[Any], Any]:
    return lambda old: value


def _nested() -> Any:
    value: Any = 0
    for _ in range(DEEP):
        value = {"a": value}
    return value


def _described(value: Any) -> str:
    if isinstance(value, str):
        return f"{len(value)} characters" if len(value) > 40 else f"text {value!a}"
    return f"{type(value).__name__} {value!r}"[:60]


def _is_valid(read: Read, value: Any) -> bool:
    """Whether the schema admits it; a lone surrogate counts as one character."""
    text = json.dumps(value)
    return read.admits(json.loads(text.replace("\\ud800", "\\ufffd")) if SURROGATE.search(text) else value)
