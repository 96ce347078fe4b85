"""Canonical objects and arrays as nodes: which schema a member has, and where an item stands that must be there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from zlib import crc32

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from jsonschema_rs import CanonicalSchema, canonical

from gnomon.fuzz.values.nodes import Leaf, Node, escaped, strategy_of
from gnomon.fuzz.values.objects import INFINITE, ArrayNode, ObjectNode
from gnomon.fuzz.values.schemas import canonical_of, judge_of, validator_of
from gnomon.fuzz.values.strings import TEXT, keys_like

if TYPE_CHECKING:
    from gnomon.fuzz.values.views import Build

__all__ = ["array_node", "object_node"]

MANY = 256
"Members above this are not built."

TRUE = canonical_of(True)
STRING = canonical_of({"type": "string"})
COMMON = ("extra", "id", "name", "a", "__proto__", "constructor", "$where", "X", "")
NAME = st.one_of(st.sampled_from(COMMON), st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=8), TEXT)
NAMES = Leaf(NAME, lambda name: True, crc32(b"names"))


def object_node(build: Build, view: canonical.ObjectView) -> Node:
    """The node of an object."""
    forms = view.properties
    barred = {name for name, form in forms.items() if isinstance(form.view(), canonical.FalseView)}
    others = _others(build, view)
    needed = list(dict.fromkeys(view.required))
    required = [
        (name, escaped(name), build.node(forms[name]) if name in forms else others(name) or build.node(TRUE))
        for name in needed
    ]
    optional = [
        (name, escaped(name), build.node(form))
        for name, form in forms.items()
        if name not in needed and name not in barred
    ]
    least = view.min_properties or 0
    if least > MANY:
        build.loose.add(f"minProperties {least}")
        least = len(needed)
    forced = [_violation(build, violation) for violation in view.violations]
    if forced or least > len(needed):
        build.guard()
    return ObjectNode(
        required=required,
        optional=optional,
        barred=frozenset({*barred, *forms}),
        names=_names(build, view),
        others=others,
        forced=forced,
        least=least,
        most=INFINITE if view.max_properties is None else view.max_properties,
        free=not required and not optional,
    )


def array_node(build: Build, view: canonical.ArrayView) -> Node:
    """The node of an array."""
    least = view.min_items or 0
    if least > MANY:
        build.loose.add(f"minItems {least}")
        least = MANY
    place = _places(build, view)
    needs = [1 if need.min_contains is None else need.min_contains for need in view.contains]
    distinct = view.distinctness == canonical.Distinctness.ALL_DISTINCT
    repeated = view.distinctness == canonical.Distinctness.SOME_REPEATED
    if view.contains or distinct or repeated:
        build.guard()
    most = INFINITE if view.max_items is None else max(least, view.max_items)
    prefix = [node for index in range(len(view.prefix_items)) if (node := place(index, -1)) is not None]
    return ArrayNode(
        place=place,
        needs=[min(need, MANY) for need in needs],
        prefix=prefix,
        items=place(len(prefix), -1) if most > len(prefix) else None,
        least=least,
        most=most,
        distinct=distinct,
        repeated=repeated,
    )


def _others(build: Build, view: canonical.ObjectView) -> Callable[[str], Node | None]:
    """The node of a value under a name that is not declared: all patterns that match it, else what is additional."""
    patterns = [(validator_of({"pattern": p}).is_valid, form) for p, form in view.pattern_properties.items()]
    additional = view.additional_properties or TRUE
    known: dict[tuple[int, ...], Node | None] = {}

    def other(name: str) -> Node | None:
        matching = tuple(place for place, (matches, _) in enumerate(patterns) if matches(name))
        if matching not in known:
            form = _all([patterns[place][1] for place in matching], build) if matching else additional
            known[matching] = None if isinstance(form.view(), canonical.FalseView) else build.node(form)
        return known[matching]

    return other


def _names(build: Build, view: canonical.ObjectView) -> Leaf | None:
    """Draws names that are not declared; None where there can be none."""
    names, additional = view.property_names, view.additional_properties
    patterns = list(view.pattern_properties)
    if names is None and not patterns:
        closed = additional is not None and isinstance(additional.view(), canonical.FalseView)
        return None if closed else NAMES
    drawn = [keys_like(pattern) for pattern in patterns]
    if names is None:
        return _leaf(st.one_of([*drawn, NAME]), lambda name: True, "/".join(patterns))
    kind = names.view()
    if isinstance(kind, canonical.EnumView | canonical.ConstView):
        values = kind.values if isinstance(kind, canonical.EnumView) else [kind.value]
        left = [str(name) for name in values if name not in view.properties]
        return _leaf(st.sampled_from(left), left.__contains__, repr(left)) if left else None
    accepts = judge_of(names).is_valid
    own = strategy_of(build.node(_all([names, STRING], build)), None)
    drawn = [*(keys.filter(accepts) for keys in drawn), own.filter(accepts)]
    return _leaf(st.one_of(drawn), accepts, canonical.json.to_string(names.to_json_schema()))


def _violation(build: Build, violation: Any) -> tuple[Leaf, Node | None]:
    """A name and the node of its value that break what the violation says is broken."""
    if isinstance(violation, canonical.NameFailsView):
        accepts = judge_of(violation.schema).is_valid
        return _leaf(NAME.filter(lambda name: not accepts(name)), lambda name: not accepts(name), "fails"), None
    if isinstance(violation, canonical.PatternValueFailsView):
        names = _leaf(keys_like(violation.pattern), lambda name: True, violation.pattern)
        return names, _complement(build, violation.schema)
    barred = set(violation.names)
    bars = [{"not": {"pattern": pattern}} for pattern in violation.patterns]
    accepts = validator_of({"allOf": [True, *bars]}).is_valid
    fresh = NAME.filter(lambda name: name not in barred and accepts(name))
    return _leaf(fresh, accepts, repr(sorted(barred))), _complement(build, violation.additional)


def _complement(build: Build, form: CanonicalSchema) -> Node:
    try:
        return build.node(form.negate())
    except canonical.CanonicalizationError:
        build.guard()
        return build.node(TRUE)


def _leaf(strategy: SearchStrategy[str], accepts: Callable[[str], bool], seed: str) -> Leaf:
    return Leaf(strategy, accepts, crc32(seed.encode()))


def _places(build: Build, view: canonical.ArrayView) -> Callable[[int, int], Node | None]:
    """The node of the item at an index that has to fit `contains[need]`, or none of those that have a most."""
    prefix, rest = view.prefix_items, view.items or TRUE
    contains = view.contains
    known: dict[tuple[int, int], Node | None] = {}

    def place(index: int, need: int) -> Node | None:
        key = (min(index, len(prefix)), need)
        if key not in known:
            form = prefix[index] if index < len(prefix) else rest
            form = _all([contains[need].schema, form], build) if need >= 0 else _spared(build, form, contains)
            known[key] = None if isinstance(form.view(), canonical.FalseView) else build.node(form)
        return known[key]

    return place


def _spared(build: Build, form: CanonicalSchema, contains: Sequence[canonical.ContainsView]) -> CanonicalSchema:
    """The items that do not count towards a most, where there are such."""
    found = form
    for need in contains:
        if need.max_contains is not None:
            try:
                found = found.intersect(need.schema.negate())
            except canonical.CanonicalizationError:
                build.guard()
    return form if isinstance(found.view(), canonical.FalseView) else found


def _all(forms: list[CanonicalSchema], build: Build) -> CanonicalSchema:
    """What meets all; the first alone, judged afterwards, where that has no canonical form."""
    found = forms[0]
    for form in forms[1:]:
        try:
            found = found.intersect(form)
        except canonical.CanonicalizationError:
            build.guard()
    return found
