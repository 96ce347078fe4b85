"""A schema compiled: strategies for what it admits and for what it does not, and a quick way to make both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from jsonschema_rs import canonical
from jsonschema_rs.canonical.json import to_string

from gnomon.fuzz.base import NOTHING, Schema
from gnomon.fuzz.values.boundaries import MOST_PLACES, Border, borders_of
from gnomon.fuzz.values.buffers import Buffered
from gnomon.fuzz.values.negation import Flaw, flaws_of
from gnomon.fuzz.values.nodes import Node, strategy_of
from gnomon.fuzz.values.places import places
from gnomon.fuzz.values.pools import Assembled, Draws, EmptyPool, build_value, rebuild_value
from gnomon.fuzz.values.schemas import Read, canonical_of, read_schema
from gnomon.fuzz.values.spoiling import MISSED, Spoiled, all_flaws, broken, broken_strategy, relabelled
from gnomon.fuzz.values.views import Build
from gnomon.fuzz.values.written import written_node

__all__ = ["Compiled", "assemble", "compile", "replay", "respoil", "spoil"]

TRIES = 200
"Assembled values that are judged before it is said that there is none."

SPOILED = 12
"Invalid values that are tried for a flaw before it is given up."

_COMPILED: dict[str, Compiled] = {}
MOST_COMPILED = 10_000


@dataclass(frozen=True, eq=False)
class Compiled:
    """A schema that values are made for.

    Attributes:
        read: the schema made ready, with its canonical form and its validator.
        node: what values are built from.
        build: makes further nodes of the same document.
        guarded: whether built values have to be judged, because building alone does not guarantee them.
        satisfiable: False where no value meets the schema; then `valid` draws none.
        loose: what was given up, so that values may be looser than the schema; empty for almost every schema.
        canonical: whether values are built by the canonical form; else by the schema as it is written.
    """

    read: Read
    node: Node
    build: Build
    guarded: bool
    satisfiable: bool
    loose: tuple[str, ...]
    canonical: bool = True

    @cached_property
    def valid(self) -> SearchStrategy[Any]:
        """Draws values that the schema admits."""
        if not self.satisfiable:
            return st.nothing()
        return strategy_of(self.node, self.read.validator if self.guarded else None)

    @cached_property
    def size(self) -> int:
        """How many places values have, `MOST_PLACES` at most; 1 at least."""
        return max(1, sum(1 for _ in islice(places(self.node), MOST_PLACES)))

    @cached_property
    def flaws(self) -> list[Flaw]:
        """The ways to leave the schema with one thing wrong, outer places first; none where it admits nothing."""
        if not self.satisfiable:
            return []
        return all_flaws(self.build, self.node, self.read) if self.canonical else [*flaws_of(self.build, self.node)]

    @cached_property
    def invalid(self) -> list[tuple[Flaw, SearchStrategy[Any]]]:
        """For each flaw, what draws values that have it and are otherwise valid.

        A flaw that the schema makes good again (another branch takes the value) draws nothing.
        """
        return [(flaw, broken_strategy(self.node, flaw, self.is_valid)) for flaw in self.flaws]

    @cached_property
    def buffered(self) -> dict[Flaw | None, Buffered]:
        """By flaw, what draws values that have it from buffers; under None valid ones. Filled on use."""
        return {}

    def borders(self, draws: Draws) -> Iterator[Border]:
        """Values on the borders of the schema and just beyond, one of each place in turn, none twice."""
        return borders_of(self.node, self.read, draws) if self.satisfiable else iter(())

    def is_valid(self, value: Any) -> bool:
        """Whether the schema admits a value; formats are asserted. Text that no JSON can carry is not admitted."""
        return self.read.admits(value)


def compile(schema: Schema, *, canonical: bool = True) -> Compiled:
    """The schema compiled, once for all schemas that are the same JSON.

    Args:
        schema: JSON Schema 2020-12 whose references stay within it. What of it cannot be read is said in
            `Compiled.loose`; nothing is raised.
        canonical: whether its canonical form says how values are built; False is there to show what that is worth.
    """
    if not canonical:
        return _as_written(schema)
    try:
        key = to_string(schema if isinstance(schema, bool) else dict(schema))
    except ValueError:
        return _compiled(schema)
    found = _COMPILED.get(key)
    if found is None:
        found = _compiled(schema)
        if len(_COMPILED) < MOST_COMPILED:
            _COMPILED[key] = found
    return found


def assemble(compiled: Compiled, draws: Draws) -> Assembled | None:
    """A valid value put together from pools, with the choices that make it again.

    Args:
        compiled: for which schema.
        draws: makes the choices; where it has no pools Hypothesis draws the value, and there is no trail.

    Returns:
        None where the schema admits nothing, or nothing that was met in `TRIES` tries.
    """
    if not compiled.satisfiable:
        return None
    if not draws.pooled:
        return _anew(compiled, None, draws, TRIES)
    node = compiled.node
    judge = compiled.is_valid if compiled.guarded else None
    return build_value(lambda source: node.build(source, "", 0), judge, draws, TRIES)


def replay(compiled: Compiled, trail: Sequence[int], draws: Draws) -> Assembled:
    """The value of a trail. A changed trail makes a value too: where it ends or leaves a range the simplest is chosen.

    The trail that comes back holds the choices that were really made. Lower indices are simpler; whether a changed
    trail still makes a valid value is for `Compiled.is_valid` to say.
    """
    node = compiled.node
    return rebuild_value(lambda source: node.build(source, "", 0), trail, draws)


def spoil(compiled: Compiled, draws: Draws, flaw: Flaw) -> Spoiled | None:
    """A value that has the flaw, its valid rest put together as by `assemble`.

    The flaw that comes back names the keyword as the schema has it. None where no try makes an invalid value: the
    schema may make the flaw good again.
    """
    if not draws.pooled:
        made = _anew(compiled, flaw, draws, SPOILED)
    else:
        made = build_value(
            lambda source: broken(compiled.node, flaw, compiled.is_valid, source),
            lambda value: value is not MISSED,
            draws,
            SPOILED,
        )
    return made and Spoiled(made.value, relabelled(flaw, made.value, compiled.read), made.trail)


def respoil(compiled: Compiled, flaw: Flaw, trail: Sequence[int], draws: Draws) -> Spoiled | None:
    """The invalid value of a trail, as `replay` does for valid ones; None where a changed trail makes none."""
    try:
        made = rebuild_value(lambda source: broken(compiled.node, flaw, compiled.is_valid, source), trail, draws)
    except EmptyPool:
        return None
    if made.value is MISSED:
        return None
    return Spoiled(made.value, relabelled(flaw, made.value, compiled.read), made.trail)


def _anew(compiled: Compiled, flaw: Flaw | None, draws: Draws, tries: int) -> Assembled | None:
    """A value out of a fresh buffer; None where Hypothesis rejects all that are tried."""
    source = compiled.buffered.get(flaw)
    if source is None:
        strategy = broken_strategy(compiled.node, flaw, compiled.is_valid) if flaw else compiled.valid
        source = compiled.buffered[flaw] = Buffered(strategy)
    values = (source.draw(source.fresh(draws)) for _ in range(tries))
    return next((Assembled(value, []) for value in values if value is not NOTHING), None)


def _as_written(schema: Schema) -> Compiled:
    read, build = read_schema(schema), Build()
    node = written_node(build, read.schema)
    return Compiled(read, node, build, True, node.height != float("inf"), read.loose, canonical=False)


def _compiled(schema: Schema) -> Compiled:
    read, build = read_schema(schema), Build()
    form = read.canonical if read.canonical is not None else canonical_of(True)
    node = build.node(form)
    admits = form.satisfiability() != canonical.Satisfiability.NO and node.height != float("inf")
    loose = (*read.loose, *sorted(build.loose))
    # What cannot be met as it stands is not judged by it either.
    guarded = (build.guarded or read.partial) and not build.loose
    return Compiled(read, node, build, guarded, admits, loose)
