"""What is asked of a root field once: every type below it, arguments of fields there, and questions that are none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from graphql import get_named_type, is_composite_type

from gnomon.fuzz.base import Case, Fault
from gnomon.fuzz.graphql.selections import ARGUMENTS, Reached, Tree, fields_of, keyed
from gnomon.fuzz.values import Draws, spoil

if TYPE_CHECKING:
    from gnomon.fuzz.graphql.fields import Graph, RootField

__all__ = ["plays"]

_BORDERS, _FLAWS = 40, 12
_ALIASES = 5
_TYPENAME = "{ __typename }"
_QUERIES = (
    "", " ", "\ufeff{ __typename }", "{", "{ }", "{ __typename", "query", "query { __typename } query { __typename }",
    "query A { __typename } query A { __typename }", "{ ...F } fragment F on Query { ...F }", "{ ...F }",
    "fragment F on Query { __typename }", "query ($a: Unknown) { __typename }", "query ($a: Int!) { __typename }",
    "query ($a: Int, $a: Int) { __typename }", "{ __typename @skip }", '{ __typename @include(if: "x") }',
    "{ __typename @unknown }", "{ __typename(a: 1) }", "{ __typename { a } }", "{ __type(name: null) { name } }",
    '{ __type(name: "\\ud800") { name } }', "subscription { __typename }", "{ __schema }", "type A { a: Int }", "\x00",
    "{ a: __typename a: __schema { types { name } } }", "# only a comment", "{ __typename }" + " " * 70_000,
    "{" + " __typename" * 500 + " }", "{" + "".join(f" a{i}: __typename" for i in range(500)) + " }",
    "{" * 2000 + "}" * 2000,
)  # fmt: skip
_BODIES: tuple[Any, ...] = (
    None, [], {}, "", 0, [{"query": _TYPENAME}], [{"query": _TYPENAME}] * 50, {"query": None}, {"query": 1},
    {"query": [_TYPENAME]}, {"query": _TYPENAME, "variables": None}, {"query": _TYPENAME, "variables": []},
    {"query": _TYPENAME, "variables": "{}"}, {"query": _TYPENAME, "variables": {"unknown": 1, "": None}},
    {"query": _TYPENAME, "operationName": "A"}, {"query": _TYPENAME, "operationName": 1},
    {"query": _TYPENAME, "extensions": []}, {"query": {"a": 1}}, {"mutation": _TYPENAME}, {"id": "1", "variables": {}},
    {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}},
)  # fmt: skip
_MEDIA_TYPES = ("application/graphql", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "")


def plays(root: RootField, base: Callable[[], Case], swept: set[str], rng: Draws) -> Iterator[Case]:
    """Cases around valid ones of `base`.

    Args:
        swept: `Type.field` whose arguments were looked at, by whatever root field; those of this one are added.
    """
    if not swept:
        swept.add("")
        yield from _malformed(base())
    yield from _structural(root, base)
    reached = list(root.graph.selections.swept(root.field.type, rng))
    for at in reached:
        tree = at.asking(root.graph.selections.leaves(at.type, rng))
        yield replace(base(), selection=tree, mode="valid", technique="sweep")
    for at in reached:
        yield from _arguments(root.graph, at, base, swept, rng)


def _arguments(graph: Graph, at: Reached, base: Callable[[], Case], swept: set[str], rng: Draws) -> Iterator[Case]:
    """Borders and flaws of the arguments of a type's fields."""
    for name, field in fields_of(at.type).items():
        place = f"{at.type.name}.{name}"
        if not field.args or place in swept:
            continue
        swept.add(place)
        inner = get_named_type(field.type)
        below = graph.selections.leaves(inner, rng) if is_composite_type(inner) else {}
        key = keyed(at.type, name) if at.inside else name
        compiled = graph.inputs.compiled(field.args)

        def case(value: Any, why: Fault, valid: bool, key: str = key, below: Tree = below) -> Case:
            tree = at.asking({key: {ARGUMENTS: value, **below}})
            return replace(
                base(), selection=tree, mode="valid" if valid else "invalid", why=(why,), technique="argument"
            )

        for border in islice(compiled.borders(rng), _BORDERS):
            if isinstance(border.value, dict):
                yield case(border.value, border.fault("body", f"/{place}"), border.valid)
        for flaw in compiled.flaws[:_FLAWS]:
            made = spoil(compiled, rng, flaw)
            if made and isinstance(made.value, dict):
                at_flaw = f"/{place}{made.flaw.pointer}"
                why = Fault(location="body", pointer=at_flaw, keyword=made.flaw.keyword, kind=made.flaw.kind)
                yield case(made.value, why, False)


def _structural(root: RootField, base: Callable[[], Case]) -> Iterator[Case]:
    """The root field several times in one question, and fields and fragments that are not there."""
    case = base()
    if isinstance(case.body, bytes):
        return
    asked = json.loads(root.written(case, "").body)
    head, _, rest = asked["query"].partition(" { ")
    inner = rest.removesuffix(" }")
    batch = " ".join(f"a{i}: {inner}" for i in range(_ALIASES))
    yield _probe(case, f"{_ALIASES} aliases", {**asked, "query": f"{head} {{ {batch} }}"})
    yield _probe(case, "a fragment on no type", {**asked, "query": f"{head} {{ {inner} ... on Missing {{ a }} }}"})
    yield replace(case, selection={**case.selection, "unknownField": {}}, **_as_probe("an unknown field"))


def _malformed(case: Case) -> Iterator[Case]:
    """Bodies that are no question, whatever the root field."""
    for query in _QUERIES:
        yield _probe(case, "malformed", {"query": query})
    for body in _BODIES:
        yield _probe(case, "malformed", body)
    raw = json.dumps({"query": _TYPENAME}).encode()
    for spoiled in (b"", raw[:-1], b"\xef\xbb\xbf" + raw, raw + b"\xff", b"[" * 2000 + b"]" * 2000, b"NaN"):
        yield replace(case, body=spoiled, **_as_probe("malformed"))
    for kind in _MEDIA_TYPES:
        yield replace(case, body=raw, headers={"content-type": kind}, **_as_probe("media type"))


def _probe(case: Case, kind: str, body: Any) -> Case:
    return replace(case, body=json.dumps(body, separators=(",", ":")).encode(), **_as_probe(kind))


def _as_probe(kind: str) -> dict[str, Any]:
    why = Fault(location="body", pointer="", keyword="probe", kind=kind)
    return {"mode": "probe", "why": (why,), "technique": "probe"}
