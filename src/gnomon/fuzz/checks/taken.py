"""What an operation took, value by value: a schema knows one value at a time, so what was taken of each is not refused
by a schema when they come together, in whatever language a server says why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gnomon.fuzz.base import Case
from gnomon.fuzz.state.names import plain, singular, subject_of

__all__ = ["Taken"]

_MOST = 100_000
Seen = tuple[str, str, str, str]
"Operation, place (items of a list have one), kind of value, value; for objects and lists their members or length."


class Taken:
    """Values of valid cases that were taken, by operation and place; at most a hundred thousand, and then no more."""

    def __init__(self) -> None:
        self._seen: set[Seen] = set()

    def learn(self, case: Case) -> None:
        """Keeps the values of a case that was taken."""
        if len(self._seen) < _MOST:
            self._seen.update(place for place, _ in _places(case))

    def explains(self, case: Case) -> bool:
        """Whether a refusal may be about what the server keeps, though each value is within its schema: all of them
        were taken before, one by one, or one names a thing of another kind that was never taken."""
        whole = True
        own = singular(plain(next((w for w in reversed(case.operation.path.split("/")) if w and "{" not in w), "")))
        for place, name in _places(case):
            if place not in self._seen:
                whole = False
                if subject_of(name) not in ("", own) and place[2] in ("str", "int"):
                    return True
        return whole


def _places(case: Case) -> Iterator[tuple[Seen, str]]:
    """The places of a case with what stands there, and the name of each."""
    key = case.operation.key
    for (location, name), value in case.parameters.items():
        yield from _within(value, key, f"{location}/{name}", name)
    parameters = sorted(f"{location}/{name}" for location, name in case.parameters)
    yield (key, "", case.media_type, ",".join(parameters)), ""
    yield from _within(case.body, key, "body", "")


def _within(value: Any, key: str, place: str, name: str) -> Iterator[tuple[Seen, str]]:
    if isinstance(value, dict):
        yield (key, place, "object", ",".join(sorted(value))), ""
        for member, each in value.items():
            yield from _within(each, key, f"{place}/{member}", member)
    elif isinstance(value, list):
        yield (key, place, "array", str(len(value))), ""
        for each in value:
            yield from _within(each, key, f"{place}/*", name)
    else:
        yield (key, place, type(value).__name__, repr(value)), name
