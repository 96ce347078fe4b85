"""Objects and arrays: which members a value has, and how the keywords that count or pair them are met by building."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jsonschema_rs.canonical.json import to_string

from gnomon.fuzz.values.nodes import DEPTH, HEIGHTS, Leaf, Node, Source

__all__ = ["ArrayNode", "ObjectNode", "identity"]

INFINITE = float("inf")
RARE = 8
"One in so many objects with declared properties gets another that nobody declared."

MOST_EXTRA = 3
"Members beyond the least number that are drawn for maps and arrays."

TRIES = 16
"Draws for a member that has to differ from the others."


@dataclass(eq=False)
class ObjectNode:
    """An object.

    Attributes:
        required: name, step of a pointer and node, in order.
        optional: likewise.
        barred: names that must not appear.
        names: draws names that nobody declared; None where there are none.
        others: the node of the value under such a name; None where the name may not appear.
        forced: pairs of a leaf for a name and a node for its value that must be among the members.
        least, most: how many members.
        free: whether it declares nothing, so that members nobody declared are the rule.
    """

    required: list[tuple[str, str, Node]] = field(default_factory=list)
    optional: list[tuple[str, str, Node]] = field(default_factory=list)
    barred: frozenset[str] = frozenset()
    names: Leaf | None = None
    others: Callable[[str], Node | None] = lambda name: None
    forced: Sequence[tuple[Leaf, Node | None]] = ()
    least: int = 0
    most: float = INFINITE
    free: bool = False
    height: float = 0.0

    def build(self, source: Source, at: str, depth: int) -> dict[str, Any]:
        """An object: what is required, some of what is not, and names nobody declared where that is allowed."""
        source.left -= 1
        value: dict[str, Any] = {}
        for name, step, node in self.required:
            value[name] = node.build(source, at + step, depth)
        for leaf, chosen in self.forced:
            self._other(value, source, at, depth, leaf, chosen)
        small = depth >= DEPTH or source.left <= 0
        if self.optional and not small:
            self._some(value, source, at, depth)
        extra = 0
        if self.names is not None and not small:
            extra = source.index(MOST_EXTRA + 1) if self.free else int(source.index(RARE) == RARE - 1)
        if extra or len(value) < self.least:
            self._fill(value, source, at, depth, extra)
        return value

    def children(self) -> Sequence[tuple[str, Node]]:
        """The nodes of declared properties, and of those that are forced."""
        declared = [(step, node) for _, step, node in (*self.required, *self.optional)]
        return [*declared, *(("/*", node) for _, node in self.forced if node is not None)]

    def _some(self, value: dict[str, Any], source: Source, at: str, depth: int) -> None:
        """None, each by a coin, or all: a mixture of everything would hide what one member does alone."""
        mode = source.index(4) if source.swarm else 1
        if mode == 0:
            return
        for name, step, node in self.optional:
            if len(value) >= self.most:
                return
            if mode == 3 or source.index(2):
                value[name] = node.build(source, at + step, depth)

    def _fill(self, value: dict[str, Any], source: Source, at: str, depth: int, extra: int) -> None:
        for name, step, node in sorted(self.optional, key=lambda entry: entry[2].height):
            if len(value) >= self.least:
                break
            if name not in value:
                value[name] = node.build(source, at + step, depth)
        wanted = min(max(self.least, len(value) + extra), self.most)
        for _ in range(TRIES * (MOST_EXTRA + self.least)):
            if self.names is None or len(value) >= wanted:
                return
            self._other(value, source, at, depth, self.names, None)

    def _other(
        self, value: dict[str, Any], source: Source, at: str, depth: int, leaf: Leaf, chosen: Node | None
    ) -> None:
        name = source.leaf(leaf, at + "/#names")
        if name in value or name in self.barred or len(value) >= self.most:
            return
        node = chosen or self.others(name)
        if node is not None:
            value[name] = node.build(source, at + "/*", depth)


@dataclass(eq=False)
class ArrayNode:
    """An array.

    Attributes:
        place: the node of the item at an index, given what it must contain (an index into `needs`, or -1); None where
            nothing fits there.
        needs: how many items must fit each `contains`.
        prefix: items that have a node of their own.
        items: the node of those after them; None where there may be none.
        least, most: how many items.
        distinct: whether no two may be equal.
        repeated: whether two must be.
    """

    place: Callable[[int, int], Node | None]
    needs: Sequence[int] = ()
    prefix: Sequence[Node] = ()
    items: Node | None = None
    least: int = 0
    most: float = INFINITE
    distinct: bool = False
    repeated: bool = False
    height: float = 0.0

    def build(self, source: Source, at: str, depth: int) -> list[Any]:
        """An array: as many items as the source says, those that must be there among them."""
        source.left -= 1
        least = max(self.least, sum(self.needs), 2 if self.repeated else 0)
        size = least
        if depth < DEPTH and source.left > 0:
            size += source.index(int(min(self.most - least, MOST_EXTRA)) + 1) if self.most > least else 0
        wanted = self._placed(size)
        while len(wanted) < sum(self.needs) and size < min(self.most, len(self.prefix) + sum(self.needs)):
            size += 1
            wanted = self._placed(size)
        value: list[Any] = []
        seen: set[str] = set()
        for index in range(size):
            node = self.place(index, wanted.get(index, -1))
            if node is None:
                break
            self._add(value, seen, node, source, f"{at}/*", depth)
        if self.repeated and len(value) > 1:
            value[-1] = value[-2]
        return value

    def children(self) -> Sequence[tuple[str, Node]]:
        """The nodes of its items, and of those that it must contain."""
        found = [(f"/{index}", node) for index, node in enumerate(self.prefix)]
        found += [("/*", self.items)] if self.items is not None else []
        return [*found, *(("/*", node) for node in self.contained())]

    def contained(self) -> list[Node]:
        """The nodes of items that must be there, past those that have a node of their own."""
        placed = [self.place(len(self.prefix), need) for need, count in enumerate(self.needs) if count]
        return [node for node in placed if node is not None]

    def _placed(self, size: int) -> Mapping[int, int]:
        """By index, which `contains` the item there is for: the last places that will do."""
        found: dict[int, int] = {}
        for need, count in enumerate(self.needs):
            places = [i for i in range(size - 1, -1, -1) if i not in found and self.place(i, need) is not None]
            found |= dict.fromkeys(places[:count], need)
        return found

    def _add(self, value: list[Any], seen: set[str], node: Node, source: Source, at: str, depth: int) -> None:
        item = node.build(source, at, depth)
        if self.distinct:
            for _ in range(TRIES):
                if identity(item) not in seen:
                    break
                item = node.build(source, at, depth)
            else:
                return
            seen.add(identity(item))
        value.append(item)


def identity(value: Any) -> str:
    """Equal for values that JSON Schema holds equal: 1 and 1.0, objects whatever their order."""
    try:
        return str(to_string(value))
    except ValueError:
        return repr(value)


def _object_height(node: ObjectNode) -> float:
    known = [inner.height for _, _, inner in node.required]
    known += [inner.height for _, inner in node.forced if inner is not None]
    if node.least > len(node.required):
        spare = sorted(inner.height for _, _, inner in node.optional)[: node.least - len(node.required)]
        known += [] if node.names is not None else spare
    return max(known, default=0.0)


def _array_height(node: ArrayNode) -> float:
    known = [inner.height for inner in node.contained()]
    if node.least > 0:
        known += [inner.height for inner in node.prefix[: node.least]]
        known += [node.items.height] if node.items is not None and node.least > len(node.prefix) else []
    return max(known, default=0.0)


HEIGHTS[ObjectNode] = _object_height
HEIGHTS[ArrayNode] = _array_height
