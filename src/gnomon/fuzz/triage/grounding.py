"""Steps that stand by themselves: what they name is made first, so that they show the same on a server that is new."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from gnomon.fuzz.base import Exchange, Location, Take
from gnomon.fuzz.state.memory import Memory, Thing
from gnomon.fuzz.state.names import is_identifier, subject_of

__all__ = ["grounded"]

_MOST = 6
_TELLING = 8


def grounded(steps: Sequence[Exchange], memory: Memory) -> tuple[Exchange, ...]:
    """The steps, before them the requests that made what they name, and takes that bind the names to what those answer.

    A path names a thing by its place, a member of a body by its name (`user_id`) or by a value that nothing else has.
    What was there before the search is left as it is. Without such things, the steps as they are.
    """
    ground = _Ground(memory)
    bound = [(step, ground.takes(step)) for step in steps]
    shift = len(ground.made)
    if not shift:
        return tuple(steps)
    own = [tuple(replace(take, step=take.step + shift) for take in step.takes) for step in steps]
    return (*ground.made, *(replace(step, takes=(*own[i], *more)) for i, (step, more) in enumerate(bound)))


class _Ground:
    """The creations that were needed so far."""

    def __init__(self, memory: Memory) -> None:
        self.made: list[Exchange] = []
        self._memory = memory
        self._at: dict[int, int] = {}

    def takes(self, step: Exchange) -> tuple[Take, ...]:
        """Where a step's values come from, of those that it does not take already."""
        there = {(take.location, take.place) for take in step.takes}
        found = []
        for thing, location, place in self._named(step):
            if (location, place) not in there and len(self.made) < _MOST:
                at = self._placed(thing)
                found.append(Take(step=at, expression=_source(thing), location=location, place=place))
        return tuple(found)

    def _placed(self, thing: Thing) -> int:
        """Index of the step that makes a thing; what that step names is made before it."""
        if id(thing) not in self._at:
            creation = thing.history[0]
            takes = self.takes(replace(creation, takes=()))
            self._at[id(thing)] = len(self.made)
            self.made.append(replace(creation, takes=takes))
        return self._at[id(thing)]

    def _named(self, step: Exchange) -> Iterator[tuple[Thing, Location, str]]:
        """Things that a step names, and where."""
        path = step.case.operation.path
        for (location, name), value in step.case.parameters.items():
            if location in ("path", "query"):
                below = path if location == "path" else ""
                thing = self._thing(step, name, value, below)
                if thing:
                    yield thing, location, name
        if isinstance(step.case.body, dict | list):
            for pointer, name, value in _leaves(step.case.body):
                thing = self._thing(step, name, value, "")
                if thing:
                    yield thing, "body", pointer

    def _thing(self, step: Exchange, name: str, value: Any, path: str) -> Thing | None:
        """The thing made before a step that this value identifies."""
        if isinstance(value, bool) or not isinstance(value, str | int):
            return None
        for item, resource in self._memory.resources.items():
            by_path = bool(path) and resource.key == name and (path + "/").startswith(item + "/")
            by_name = is_identifier(name) and subject_of(name) == resource.name
            if not (by_path or by_name or (isinstance(value, str) and len(value) >= _TELLING)):
                continue
            for thing in (*self._memory.alive[item], *self._memory.gone[item]):
                if str(thing.params.get(resource.key)) == str(value) and _was_made(thing, step):
                    return thing
        return None


def _was_made(thing: Thing, before: Exchange) -> bool:
    """Whether a thing's creation is known, told what it is called, and came before a step."""
    made = thing.history[0] if thing.history else None
    creates = thing.resource.creates
    return bool(made and thing.source and made.case.operation in creates and made.number < before.number)


def _source(thing: Thing) -> str:
    return thing.source[thing.resource.key]


def _leaves(value: Any, pointer: str = "", name: str = "") -> Iterator[tuple[str, str, Any]]:
    """Scalars of a body: JSON pointer, name of the member that they are or are listed in, value."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}", key)
    elif isinstance(value, list):
        for i, each in enumerate(value):
            yield from _leaves(each, f"{pointer}/{i}", name)
    else:
        yield pointer, name, value
