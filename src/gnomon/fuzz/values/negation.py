"""Values that a schema does not admit: a valid one with a single thing wrong, at a known place and by a known keyword.

The complement of a whole schema, `canonicalize(schema).negate()`, has branches that leave all else open, so that its
values are wrong in many ways at once. Here the complement is taken of one place at a time: a value is built that is
valid, and judged so, and then what stands at the place is exchanged for a value of a branch of that place's complement.
Keywords that the canonical form dissolves (oneOf, dependentRequired, if …) are negated in the schema (`dissolved`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from hypothesis import strategies as st
from jsonschema_rs import CanonicalSchema, canonical

from gnomon.fuzz.base import Fault, Location
from gnomon.fuzz.values.formats import FORMATS
from gnomon.fuzz.values.members import array_flaws, object_flaws
from gnomon.fuzz.values.nodes import Lazy, Leaf, Node, Source
from gnomon.fuzz.values.objects import ArrayNode, ObjectNode
from gnomon.fuzz.values.places import Place, places
from gnomon.fuzz.values.pools import EmptyPool
from gnomon.fuzz.values.views import ANYTHING, Build
from gnomon.fuzz.values.wrong import NULL, near_values, types_of, wrong_type

__all__ = ["Flaw", "drawable", "flaws_of"]

Change = Callable[[Any, Source], Any]


@dataclass(frozen=True, eq=False)
class Flaw:
    """One way to leave a schema.

    Attributes:
        pointer: where in the value.
        keyword: the keyword that is broken; where a schema says one thing in several ways, the first to say so.
        kind: how, in words.
        place: the place that is changed; for a missing member the object.
        change: from the valid value of the place and a source of choices, the wrong one.
    """

    pointer: str
    keyword: str
    kind: str
    place: Place
    change: Change

    def fault(self, location: Location, prefix: str = "") -> Fault:
        """The flaw as a case states it; `prefix` stands before the pointer."""
        return Fault(location=location, pointer=prefix + self.pointer, keyword=self.keyword, kind=self.kind)


def flaws_of(build: Build, root: Node) -> Iterator[Flaw]:
    """The flaws that values of a node can have, place by place, outer ones first."""
    for place in places(root):
        form = build.form(place.node)
        if form is None:
            continue
        of_type = [] if place.branch else [*_type_flaws(place, form)]
        yield from (each for each in of_type if each.kind != "null")
        if isinstance(place.node, ObjectNode):
            yield from (_made(place, *told) for told in object_flaws(place.node))
        elif isinstance(place.node, ArrayNode):
            yield from (_made(place, *told) for told in array_flaws(place.node))
        elif isinstance(place.node, Leaf):
            yield from _leaf_flaws(build, place, form)
        elif isinstance(form.view(), canonical.RawView):
            # It is built wider than it is; what it excludes is among its values.
            yield Flaw(place.pointer, "not", "what is excluded", place, _drawn(place.node))
        yield from (each for each in of_type if each.kind == "null")


def drawable(build: Build, form: CanonicalSchema) -> Node:
    """The node of a schema.

    Raises:
        EmptyPool: it goes on for ever.
    """
    found = build.node(form)
    if found.height == float("inf"):
        raise EmptyPool
    return found


def _made(place: Place, step: str, keyword: str, kind: str, change: Change) -> Flaw:
    return Flaw(place.pointer + step, keyword, kind, place, change)


def _type_flaws(place: Place, form: CanonicalSchema) -> Iterator[Flaw]:
    types = types_of(form)
    keyword = _listed(form.view()) or "type"
    for kind, wrong in (("like another type", wrong_type(types, alike=True)), ("wrong type", wrong_type(types))):
        if wrong is not None:
            yield Flaw(place.pointer, keyword, kind, place, _drawn(wrong))
    if "null" not in types:
        yield Flaw(place.pointer, keyword, "null", place, _drawn(NULL))


def _leaf_flaws(build: Build, place: Place, form: CanonicalSchema) -> Iterator[Flaw]:
    """A flaw for each branch of the complement that is of the right type."""
    view = form.view()
    listed = _listed(view)
    if listed:
        values = view.values if isinstance(view, canonical.EnumView) else [view.value]  # type: ignore[union-attr]
        near, seed = near_values(values), crc32(repr(values).encode())
        leaf = Leaf(st.sampled_from(near), lambda value: True, seed, [(value, listed) for value in near], True)
        yield Flaw(place.pointer, listed, "not listed", place, _drawn(leaf))
        return
    try:
        complement = form.negate()
    except canonical.CanonicalizationError:
        anything = Leaf(ANYTHING, lambda value: True, crc32(b"anything"))
        yield Flaw(place.pointer, "type", "anything else", place, _drawn(anything))
        return
    types = types_of(form)
    for branch in _branches(complement):
        if not _is_flaw(branch.view()) or not _alike(types, types_of(branch)):
            continue
        keyword, kind = _told(view, branch.view())
        yield Flaw(place.pointer, keyword, kind, place, _drawn(Lazy(_node(build, branch))))


def _listed(view: Any) -> str:
    """The keyword of a schema that lists its values; "" for others, and for null and boolean, which are types."""
    if isinstance(view, canonical.ConstView):
        return "" if view.value is None else "const"
    if isinstance(view, canonical.EnumView):
        return "" if view.values == [False, True] else "enum"
    return ""


def _is_flaw(wrong: Any) -> bool:
    """Whether a branch of a complement is more than another type, and can be drawn from."""
    if isinstance(wrong, canonical.StringView) and wrong.excluded_formats:
        return any(FORMATS[name].misses for name in wrong.excluded_formats if name in FORMATS)
    return not isinstance(wrong, canonical.MultiTypeView | canonical.FalseView)


def _alike(types: frozenset[str], others: frozenset[str]) -> bool:
    numbers = frozenset({"integer", "number"})
    return bool(types & others) or bool(types & numbers and others & numbers)


def _told(view: Any, wrong: Any) -> tuple[str, str]:
    """Which keyword a branch of the complement breaks, and how."""
    if isinstance(wrong, canonical.StringView):
        return _told_of_text(wrong)
    if isinstance(wrong, canonical.NumberView) and isinstance(view, canonical.IntegerView | canonical.MultiTypeView):
        return "type", "fraction"
    if not isinstance(wrong, canonical.IntegerView | canonical.NumberView):
        return "enum", "not listed"
    if wrong.not_multiple_of:
        return "multipleOf", "no multiple"
    if wrong.maximum is not None and wrong.minimum is None:
        return ("exclusiveMinimum" if getattr(view, "exclusive_minimum", False) else "minimum"), "too small"
    if wrong.minimum is not None and wrong.maximum is None:
        return ("exclusiveMaximum" if getattr(view, "exclusive_maximum", False) else "maximum"), "too large"
    return "not", "in a gap"


def _told_of_text(wrong: canonical.StringView) -> tuple[str, str]:
    if wrong.excluded_patterns:
        return "pattern", "no match"
    if wrong.excluded_formats:
        return "format", f"no {wrong.excluded_formats[0]}"
    if wrong.max_length is not None:
        return "minLength", "too short"
    return ("maxLength", "too long") if wrong.min_length is not None else ("not", "barred")


def _branches(form: CanonicalSchema) -> Sequence[CanonicalSchema]:
    view = form.view()
    return view.branches if isinstance(view, canonical.AnyOfView) else [form]


def _node(build: Build, form: CanonicalSchema) -> Callable[[], Node]:
    return lambda: drawable(build, form)


def _drawn(node: Node) -> Change:
    return lambda value, source: node.build(source, "", 0)
