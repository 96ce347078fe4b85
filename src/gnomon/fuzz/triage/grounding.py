"""Steps that stand by themselves: what they name is made first, so that they show the same on a server that is new."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from gnomon.fuzz.base import Exchange, Location, Take
from gnomon.fuzz.pointers import escaped
from gnomon.fuzz.state.memory import Making, Memory, Thing, path_params, written_in_order
from gnomon.fuzz.state.names import is_key

__all__ = ["grounded", "with_history"]

_MOST = 12
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


def with_history(last: Exchange, memory: Memory) -> tuple[Exchange, ...]:
    """A step after all that was done to what it names: to the things themselves where they were made in this search,
    else to a new one of their kind."""
    # What it took in its own story says nothing of these steps.
    last = replace(last, takes=())
    ground = _Ground(memory)
    ground.takes(last)
    if ground.made:
        numbers = {each.number for each in ground.made}
        done = {each.number: each for thing in ground.things for each in thing.history}
        # Requests cross on their way: one sent later may have been answered before.
        before = [done[number] for number in sorted(done) if number not in {last.number, *numbers}]
        return grounded((*(replace(each, takes=()) for each in before), last), memory)
    thing = max((each for each in memory.about(last) if each.history), key=lambda each: len(each.params), default=None)
    making = memory.making_like(thing.resource) if thing else None
    if thing is None or making is None:
        return (last,)
    takes = (Take(step=0, expression=making.expression, location="path", place=thing.resource.key),)
    steps = [*(each for each in thing.history if each.number != last.number), last]
    made = replace(making.exchange, takes=())
    return grounded((made, *(replace(step, takes=takes) for step in steps)), memory)


class _Ground:
    """The makings that were needed so far, and what they made."""

    def __init__(self, memory: Memory) -> None:
        self.made: list[Exchange] = []
        self.things: list[Thing] = []
        self._memory = memory
        self._at: dict[int, int] = {}

    def takes(self, step: Exchange) -> tuple[Take, ...]:
        """Where a step's values come from, of those that it does not take already."""
        there = {(take.location, take.place) for take in step.takes}
        found = []
        for making, location, place in self._named(step):
            if (location, place) in there or len(self.made) >= _MOST:
                continue
            at = self._placed(making)
            if making.expression:
                found.append(Take(step=at, expression=making.expression, location=location, place=place))
        return tuple(found)

    def _placed(self, making: Making) -> int:
        """Index of the step that makes a thing; what that step names is made before it."""
        number = making.exchange.number
        if number not in self._at:
            takes = self.takes(replace(making.exchange, takes=()))
            self._at[number] = len(self.made)
            self.made.append(replace(making.exchange, takes=takes))
            self.things.append(making.thing)
        return self._at[number]

    def _named(self, step: Exchange) -> Iterator[tuple[Making, Location, str]]:
        """How the things were made that a step names, and where it names them."""
        path = step.case.operation.path
        for (location, name), value in step.case.parameters.items():
            if location in ("path", "query"):
                making = self._making(step, name, value, path if location == "path" else "")
                if making:
                    yield making, location, name
        if isinstance(step.case.body, dict | list):
            for pointer, name, value in _leaves(step.case.body):
                making = self._making(step, name, value, "")
                if making:
                    yield making, "body", pointer

    def _making(self, step: Exchange, name: str, value: Any, path: str) -> Making | None:
        """How the thing was made, before a step, that this value identifies."""
        if isinstance(value, bool) or not isinstance(value, str | int):
            return None
        for item, resource in self._memory.resources.items():
            by_path = bool(path) and resource.key == name and (path + "/").startswith(item + "/")
            by_name = self._memory.refers(name) == resource.name
            root = step.case.operation.root
            by_name = by_name or bool(root and is_key(name) and root.subject == resource.name)
            telling = isinstance(value, str) and len(value) >= _TELLING
            key = written_in_order(_path_of(step, item)) if by_path else (str(value),)
            making = self._memory.makings.get((item, *key)) if by_path or by_name or telling else None
            if making and making.exchange.number < step.number and (making.expression or by_path):
                return making
        return None


def _path_of(step: Exchange, item: str) -> dict[str, Any]:
    """The path parameters of a step that an item template has."""
    return {name: value for name, value in path_params(step.case).items() if f"{{{name}}}" in item}


def _leaves(value: Any, pointer: str = "", name: str = "") -> Iterator[tuple[str, str, Any]]:
    """Scalars of a body: JSON pointer, name of the member that they are or are listed in, value."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, f"{pointer}/{escaped(key)}", key)
    elif isinstance(value, list):
        for i, each in enumerate(value):
            yield from _leaves(each, f"{pointer}/{i}", name)
    else:
        yield pointer, name, value
