"""A schema compiled: strategies for what it admits and for what it does not, and a quick way to make both."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from jsonschema_rs import canonical
from jsonschema_rs.canonical.json import to_string

from gnomon.fuzz.base import Schema
from gnomon.fuzz.values.nodes import Leaf, Node, strategy_of
from gnomon.fuzz.values.pools import Accepted, Assembled, build_value, rebuild_value
from gnomon.fuzz.values.schemas import Read, read_schema
from gnomon.fuzz.values.views import ANYTHING, Build

__all__ = ["Compiled", "assemble", "compile", "replay"]

TRIES = 200
"Assembled values that are judged before it is said that there is none."

_COMPILED: dict[str, Compiled] = {}
MOST_COMPILED = 10_000


@dataclass(frozen=True, eq=False)
class Compiled:
    """A schema that values are made for.

    Attributes:
        read: the schema made ready, with its canonical form and its validator.
        node: what values are built from.
        guarded: whether built values have to be judged, because building alone does not guarantee them.
        satisfiable: False where no value meets the schema; then `valid` draws none.
        loose: what was given up, so that values may be looser than the schema; empty for almost every schema.
    """

    read: Read
    node: Node
    guarded: bool
    satisfiable: bool
    loose: tuple[str, ...]

    @cached_property
    def valid(self) -> SearchStrategy[Any]:
        """Draws values that the schema admits."""
        if not self.satisfiable:
            return st.nothing()
        return strategy_of(self.node, self.read.validator if self.guarded else None)

    def is_valid(self, value: Any) -> bool:
        """Whether the schema admits a value; formats are asserted. Text that no JSON can carry is not admitted."""
        try:
            return self.read.validator.is_valid(value)
        except ValueError:
            return False


def compile(schema: Schema) -> Compiled:
    """The schema compiled, once for all schemas that are the same JSON.

    Args:
        schema: JSON Schema 2020-12 whose references stay within it. What of it cannot be read is said in
            `Compiled.loose`; nothing is raised.
    """
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


def assemble(compiled: Compiled, rng: random.Random, accepted: Accepted | None = None) -> Assembled | None:
    """A valid value put together from pools, with the choices that make it again.

    Args:
        compiled: for which schema.
        rng: makes the choices.
        accepted: values that a server took, by pointer; they are taken half the time where there are some.

    Returns:
        None where the schema admits nothing, or nothing that was met in `TRIES` tries.
    """
    if not compiled.satisfiable:
        return None
    node = compiled.node
    judge = compiled.is_valid if compiled.guarded else None
    return build_value(lambda source: node.build(source, "", 0), judge, rng, accepted, TRIES)


def replay(compiled: Compiled, trail: Sequence[int], accepted: Accepted | None = None) -> Assembled:
    """The value of a trail. A changed trail makes a value too: where it ends or leaves a range the simplest is chosen.

    The trail that comes back holds the choices that were really made. Lower indices are simpler; whether a changed
    trail still makes a valid value is for `Compiled.is_valid` to say.
    """
    node = compiled.node
    return rebuild_value(lambda source: node.build(source, "", 0), trail, accepted)


def _compiled(schema: Schema) -> Compiled:
    read = read_schema(schema)
    build = Build()
    if read.canonical is None:
        return Compiled(read, Leaf(ANYTHING, lambda value: True, 0), False, True, read.loose)
    node = build.root(read.canonical)
    admits = read.canonical.satisfiability() != canonical.Satisfiability.NO and node.height != float("inf")
    loose = (*read.loose, *sorted(build.loose))
    guarded = (build.guarded or read.partial) and not loose
    return Compiled(read, node, guarded, admits, loose)
