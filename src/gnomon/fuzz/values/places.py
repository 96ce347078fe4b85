"""Places in a value: how a value is built that has one, and how one is changed with the rest left as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gnomon.fuzz.values.nodes import Choice, Lazy, Node, Source, escaped
from gnomon.fuzz.values.objects import ArrayNode, ObjectNode

__all__ = ["Place", "changed", "places", "reach"]

Key = str | int
MOST_HOPS = 2
"References followed along one path when places are listed."


class Place:
    """A node of a schema and where its values stand.

    Attributes:
        node: what is built there; references followed.
        route: from the root, which branch, member or item comes next.
        keys: names and indices alone, which lead through a value.
        pointer: the same as a JSON pointer.
        branch: whether it is one of several that may stand there.
    """

    def __init__(self, node: Node, route: tuple[Key, ...], keys: tuple[Key, ...], branch: bool) -> None:
        self.node, self.route, self.keys, self.branch = node, route, keys, branch

    @property
    def pointer(self) -> str:
        """Its JSON pointer."""
        return "".join(escaped(str(key)) for key in self.keys)


def places(root: Node) -> Iterator[Place]:
    """The places of values of a schema, outer ones first; each reference is followed `MOST_HOPS` times at most."""
    waiting: list[tuple[Place, int]] = [(Place(root, (), (), False), 0)]
    while waiting:
        found, waiting = waiting, []
        for place, hops in found:
            node = place.node
            while isinstance(node, Lazy) and hops <= MOST_HOPS:
                node, hops = node.target, hops + 1
            if isinstance(node, Lazy) or node.height == float("inf"):
                continue
            place.node = node
            yield place
            waiting += [(inner, hops) for inner in _inner(place)]


def reach(node: Node, route: Sequence[Key], source: Source, at: str = "", depth: int = 0) -> Any:
    """A value that has the place at the end of the route; a valid one, unless what leads there forbids it."""
    while isinstance(node, Lazy):
        node, depth = node.target, depth + 1
    if not route:
        return node.build(source, at, depth)
    key, rest = route[0], route[1:]
    if isinstance(node, Choice):
        return reach(node.branches[int(key)], rest, source, at, depth)
    value = node.build(source, at, depth)
    if isinstance(node, ObjectNode):
        inner = next(inner for name, _, inner in (*node.required, *node.optional) if name == key)
        value[key] = reach(inner, rest, source, at + escaped(str(key)), depth)
        return value
    assert isinstance(node, ArrayNode) and isinstance(key, int)
    while len(value) <= key:
        filler = node.place(len(value), -1)
        if filler is None:
            return value
        value.append(filler.build(source, f"{at}/*", depth))
    item = node.place(key, -1)
    if item is not None:
        value[key] = reach(item, rest, source, f"{at}/*", depth)
    return value


def changed(value: Any, keys: Sequence[Key], change: Callable[[Any], Any]) -> Any:
    """The value with what stands at `keys` changed; what is not on the way is shared with the old one.

    Raises:
        LookupError: there is no such place.
    """
    if not keys:
        return change(value)
    key = keys[0]
    found: Any = dict(value) if isinstance(value, dict) else list(value)
    found[key] = changed(value[key], keys[1:], change)
    return found


def _inner(place: Place) -> Iterator[Place]:
    node, route, keys = place.node, place.route, place.keys
    if isinstance(node, Choice):
        for index, branch in enumerate(node.branches):
            yield Place(branch, (*route, index), keys, True)
    elif isinstance(node, ObjectNode):
        for name, _, inner in (*node.required, *node.optional):
            yield Place(inner, (*route, name), (*keys, name), False)
    elif isinstance(node, ArrayNode):
        nodes = [*node.prefix, *([node.items] if node.items is not None else [])]
        for index, inner in enumerate(nodes):
            yield Place(inner, (*route, index), (*keys, index), False)
