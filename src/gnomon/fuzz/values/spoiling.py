"""Invalid values made out of valid ones, by pools or by Hypothesis. A validator has the last word on each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from gnomon.fuzz.values.dissolved import dissolved, form_of
from gnomon.fuzz.values.negation import Flaw, drawable, flaws_of
from gnomon.fuzz.values.nodes import Drawn, Lazy, Node, Source, escaped
from gnomon.fuzz.values.places import Place, changed, places, reach
from gnomon.fuzz.values.pools import EmptyPool
from gnomon.fuzz.values.schemas import Read
from gnomon.fuzz.values.views import Build

__all__ = ["MISSED", "Spoiled", "all_flaws", "broken", "broken_keyword", "broken_strategy", "relabelled"]

MISSED: Any = object()
"Stands for a try that made no invalid value with a single thing wrong."


class Spoiled(NamedTuple):
    """An invalid value, what is wrong with it, and the choices that make it again."""

    value: Any
    flaw: Flaw
    trail: list[int]


def all_flaws(build: Build, root: Node, read: Read) -> list[Flaw]:
    """The ways to leave a schema, outer places first."""
    known: dict[tuple[str | int, ...], Place] = {}
    for place in places(root):
        known.setdefault(place.keys, place)
    return [*flaws_of(build, root), *_of_keywords(build, read, known)]


def broken(root: Node, flaw: Flaw, is_valid: Callable[[Any], bool], source: Source) -> Any:
    """A value with the flaw and, since it was valid before, with no other; `MISSED` where these choices make none."""
    base = reach(root, flaw.place.route, source)
    if not is_valid(base):
        return MISSED
    try:
        value = changed(base, flaw.place.keys, lambda inner: flaw.change(inner, source))
    except LookupError:
        return MISSED
    return MISSED if is_valid(value) else value


def broken_strategy(root: Node, flaw: Flaw, is_valid: Callable[[Any], bool]) -> SearchStrategy[Any]:
    """Values with the flaw, as Hypothesis draws and shrinks them."""

    @st.composite
    def draw_broken(draw: DrawFn) -> Any:
        value = broken(root, flaw, is_valid, Drawn(draw))
        assume(value is not MISSED)
        return value

    found: SearchStrategy[Any] = draw_broken()
    return found


def relabelled(flaw: Flaw, value: Any, read: Read) -> Flaw:
    """The flaw with the keyword that the schema itself breaks at its place, where it words things otherwise."""
    told = broken_keyword(read, flaw.place.pointer, flaw.keyword, value)
    return flaw if told == flaw.keyword else replace(flaw, keyword=told)


def broken_keyword(read: Read, pointer: str, keyword: str, value: Any) -> str:
    """The keyword if the validator finds it broken at the pointer, else the first that is broken there, else itself."""
    told = []
    with suppress(ValueError):
        for error in read.validator.iter_errors(value):
            if "".join(escaped(str(key)) for key in error.instance_path) == pointer:
                told.append(_keyword(error.schema_path))
    return keyword if not told or keyword in told else told[0]


def _keyword(path: Sequence[str | int]) -> str:
    """The keyword at the end of a path, before names and places that belong to it."""
    return next((key for key in reversed(path) if isinstance(key, str)), "")


def _of_keywords(build: Build, read: Read, known: dict[tuple[str | int, ...], Place]) -> Iterator[Flaw]:
    for keys, keyword, kind, broken in dissolved(read.schema):
        place = known.get(keys)
        if place is not None:
            yield Flaw(place.pointer, keyword, kind, place, _instead(build, broken))


def _instead(build: Build, broken: dict[str, Any]) -> Callable[[Any, Source], Any]:
    """A change to any value of a schema, of which the canonical form is found when it is first needed."""

    def find() -> Node:
        found = form_of(broken)
        if found is None:
            raise EmptyPool
        return drawable(build, found)

    node = Lazy(find)
    return lambda value, source: node.build(source, "", 0)
