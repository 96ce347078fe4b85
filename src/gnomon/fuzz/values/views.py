"""Canonical schemas as nodes: one function a kind of view, and each distinct schema once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from zlib import crc32

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from jsonschema_rs import CanonicalSchema, canonical

from gnomon.fuzz.values.containers import array_node, object_node
from gnomon.fuzz.values.nodes import Choice, Lazy, Leaf, Node, settle
from gnomon.fuzz.values.numbers import (
    integer_edges,
    integer_strategy,
    integers_of,
    missed,
    number_edges,
    number_strategy,
)
from gnomon.fuzz.values.schemas import canonical_of, judge_of, plain_of
from gnomon.fuzz.values.strings import LONG, TEXT, string_edges, string_strategy, sure
from gnomon.fuzz.values.wrong import near_values

__all__ = ["Build"]

MOST_BRANCHES = 64
"Branches of a choice that are kept: those of a product of cases are many and alike."

INTEGERS = integers_of(-(2**63), 2**64)
REALS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS: dict[str, SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "integer": INTEGERS,
    "number": st.one_of(INTEGERS, REALS),
    "string": TEXT,
}
SCALAR = st.one_of(*SCALARS.values())
TYPES: dict[str, SearchStrategy[Any]] = {
    **SCALARS,
    "array": st.lists(SCALAR, max_size=3),
    "object": st.dictionaries(TEXT, SCALAR, max_size=3),
}
SIMPLE: dict[str, list[Any]] = {
    "null": [None],
    "boolean": [False, True],
    "integer": [0],
    "number": [0, 1.5],
    "string": ["", "0"],
    "array": [[]],
    "object": [{}],
}
ANYTHING = st.one_of(*TYPES.values())
BARE: Any = SimpleNamespace(
    min_length=None,
    max_length=None,
    minimum=None,
    maximum=None,
    patterns=(),
    formats=(),
    multiple_of=(),
    not_multiple_of=(),
)
"A type without bounds, as the views of strings and numbers show them."

Judge = Callable[[Any], bool]
_LEAVES: dict[CanonicalSchema, Leaf] = {}
MOST_LEAVES = 20_000
MOST_LISTED = 200
"Values of an enum that are all kept; of more, those that are drawn."


class Build:
    """Nodes of one document.

    Attributes:
        guarded: whether some node does not guarantee that its values fit, so that a validator has to judge them.
        loose: what is built looser than its schema.
    """

    def __init__(self) -> None:
        self.guarded = False
        self.loose: set[str] = set()
        self._nodes: dict[CanonicalSchema, Node] = {}
        self._inside = False
        self._forms: dict[int, CanonicalSchema] = {}

    def node(self, form: CanonicalSchema) -> Node:
        """The node of a schema, made once, with heights worked out."""
        found = self._nodes.get(form)
        if found is None:
            outer, self._inside = not self._inside, True
            found = self._nodes[form] = VIEWS[type(form.view())](self, form, form.view())
            self._forms[id(found)] = form
            if outer:
                settle(found)
                self._inside = False
        return found

    def form(self, node: Node) -> CanonicalSchema | None:
        """The schema of a node that was made here."""
        return self._forms.get(id(node))

    def known(self, node: Node, form: CanonicalSchema) -> Node:
        """Notes the schema of a node that was made elsewhere."""
        self._forms[id(node)] = form
        return node

    def guard(self) -> None:
        """Notes that values of this document need the validator."""
        self.guarded = True


def _leaf(
    form: CanonicalSchema,
    make: Callable[[Judge], SearchStrategy[Any]],
    edges: Sequence[tuple[Any, str]] = (),
    narrow: Callable[[Judge], Judge] | None = None,
) -> Leaf:
    """The leaf of a schema without references, shared by all documents that have it.

    Args:
        form: the schema.
        make: its strategy, given its judge.
        edges: values at its borders.
        narrow: makes the validator's judgement into the judge.
    """
    found = _LEAVES.get(form)
    if found is None:
        accepts: Judge = judge_of(form).is_valid
        accepts = narrow(accepts) if narrow else accepts
        text = canonical.json.to_string(form.to_json_schema())
        listed = isinstance(form.view(), canonical.ConstView | canonical.EnumView) and len(edges) <= MOST_LISTED
        found = Leaf(make(accepts), accepts, crc32(text.encode()), edges, listed)
        if len(_LEAVES) < MOST_LEAVES:
            _LEAVES[form] = found
    return found


def _nothing(build: Build, form: CanonicalSchema, view: canonical.FalseView) -> Node:
    nothing = _leaf(form, lambda accepts: st.nothing())
    nothing.height = float("inf")
    return nothing


def _true(build: Build, form: CanonicalSchema, view: canonical.TrueView) -> Node:
    simple: list[Any] = [None, False, 0, "", [], {}, 1.5]
    edges = [(value, "type") for value in simple]
    return _leaf(form, lambda accepts: ANYTHING, edges)


def _types(build: Build, form: CanonicalSchema, view: canonical.MultiTypeView) -> Node:
    types = view.types
    if types == ["string"]:
        return _leaf(form, lambda accepts: TEXT, string_edges(BARE))
    if types == ["integer"]:
        return _leaf(form, lambda accepts: INTEGERS, integer_edges(BARE))
    if types == ["number"]:
        return _leaf(form, lambda accepts: SCALARS["number"], number_edges(BARE))
    return _leaf(
        form, lambda accepts: st.one_of([TYPES[name] for name in types]), [(v, "type") for v in _samples(types)]
    )


def _samples(types: Sequence[str]) -> list[Any]:
    return [value for name in types for value in SIMPLE[name]]


def _string(build: Build, form: CanonicalSchema, view: canonical.StringView) -> Node:
    if (view.min_length or 0) > LONG:
        build.loose.add(f"minLength {view.min_length}")
    return _leaf(form, lambda accepts: string_strategy(view, accepts), string_edges(view), sure(view))


def _integer(build: Build, form: CanonicalSchema, view: canonical.IntegerView) -> Node:
    return _leaf(form, lambda accepts: integer_strategy(view, accepts), integer_edges(view), missed(view))


def _number(build: Build, form: CanonicalSchema, view: canonical.NumberView) -> Node:
    return _leaf(form, lambda accepts: number_strategy(view, accepts), number_edges(view), missed(view))


def _const(build: Build, form: CanonicalSchema, view: canonical.ConstView) -> Node:
    return _leaf(form, lambda accepts: st.just(view.value), [(view.value, "const")])


def _enum(build: Build, form: CanonicalSchema, view: canonical.EnumView) -> Node:
    values = view.values
    edges = [(value, "enum") for value in (*values, *near_values(values[:1]))]
    return _leaf(form, lambda accepts: st.sampled_from(values), edges)


def _array(build: Build, form: CanonicalSchema, view: canonical.ArrayView) -> Node:
    return array_node(build, view)


def _object(build: Build, form: CanonicalSchema, view: canonical.ObjectView) -> Node:
    return object_node(build, view)


def _group(build: Build, form: CanonicalSchema, view: canonical.TypedGroupView) -> Node:
    return _guarded(build, [view.body])


def _any_of(build: Build, form: CanonicalSchema, view: canonical.AnyOfView) -> Node:
    branches = view.branches
    step = max(1, len(branches) // MOST_BRANCHES)
    return Choice([build.node(branch) for branch in branches[::step][:MOST_BRANCHES]])


def _one_of(build: Build, form: CanonicalSchema, view: canonical.OneOfView) -> Node:
    return _guarded(build, view.branches)


def _reference(build: Build, form: CanonicalSchema, view: canonical.ReferenceView) -> Node:
    target = form.definition(view.uri)
    if target is None:
        build.guard()
        return _leaf(canonical_of(True), lambda accepts: ANYTHING)
    return Lazy(lambda: build.node(target))


def _all_of(build: Build, form: CanonicalSchema, view: canonical.AllOfView) -> Node:
    def merged() -> Node:
        whole: CanonicalSchema | None = None
        for branch in view.branches:
            part = _target(form, branch)
            try:
                whole = part if whole is None else whole.intersect(part)
            except canonical.CanonicalizationError:
                build.guard()
        assert whole is not None
        return build.node(whole) if whole != form else build.node(_target(form, view.branches[0]))

    return Lazy(merged)


def _target(form: CanonicalSchema, branch: CanonicalSchema) -> CanonicalSchema:
    view = branch.view()
    found = form.definition(view.uri) if isinstance(view, canonical.ReferenceView) else None
    return found if found is not None else branch


def _not(build: Build, form: CanonicalSchema, view: canonical.NotView) -> Node:
    def complement() -> Node:
        try:
            return build.node(_target(form, view.schema).negate())
        except canonical.CanonicalizationError:
            return _judged(form, ANYTHING)

    return Lazy(complement)


def _raw(build: Build, form: CanonicalSchema, view: canonical.RawView) -> Node:
    schema = view.schema
    plain = plain_of(schema)
    if plain != schema:
        with suppress(ValueError):
            wider = canonical_of(plain)
            if not isinstance(wider.view(), canonical.RawView):
                return _guarded(build, [wider])
    types = schema.get("type", []) if isinstance(schema, dict) else []
    names = [types] if isinstance(types, str) else [str(name) for name in types] if isinstance(types, list) else []
    return _judged(form, st.one_of([TYPES[name] for name in names]) if names else ANYTHING)


def _judged(form: CanonicalSchema, drawn: SearchStrategy[Any]) -> Leaf:
    """A leaf of what the judge lets through."""
    schema: Any = form.to_json_schema()
    accepts = judge_of(form).is_valid
    return Leaf(drawn.filter(accepts), accepts, crc32(canonical.json.to_string(schema).encode()))


def _guarded(build: Build, branches: Sequence[CanonicalSchema]) -> Node:
    """A choice whose values the judge of the whole has to see."""
    build.guard()
    return Choice([build.node(branch) for branch in branches])


VIEWS: dict[type, Callable[[Build, CanonicalSchema, Any], Node]] = {
    canonical.TrueView: _true,
    canonical.FalseView: _nothing,
    canonical.MultiTypeView: _types,
    canonical.TypedGroupView: _group,
    canonical.StringView: _string,
    canonical.IntegerView: _integer,
    canonical.NumberView: _number,
    canonical.ConstView: _const,
    canonical.EnumView: _enum,
    canonical.ArrayView: _array,
    canonical.ObjectView: _object,
    canonical.AnyOfView: _any_of,
    canonical.OneOfView: _one_of,
    canonical.ReferenceView: _reference,
    canonical.AllOfView: _all_of,
    canonical.NotView: _not,
    canonical.RawView: _raw,
}
