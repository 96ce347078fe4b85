"""Smaller cases: what a case may leave out, and values simpler than those it has.

Hypothesis shrinks what it drew; a case here may come from an answer of the server, an example or a pool, so values are
made smaller as values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from gnomon.fuzz.base import NOTHING, Case

__all__ = ["fewer_values", "simpler", "smaller_cases"]

_DEEPEST = 12


def smaller_cases(case: Case, kept: frozenset[tuple[str, str]] = frozenset()) -> Iterator[Case]:
    """Cases one step smaller: a parameter fewer, no body, a simpler value; greatest steps first.

    Args:
        kept: parameters that stay as they are, such as those that an earlier step answers.
    """
    if case.malformed:
        return  # what is wrong is not among its values
    yield from _fewer_parameters(case, kept)
    if case.headers:
        yield replace(case, headers={})
    if case.body is not NOTHING and not case.operation.body_required:
        yield replace(case, body=NOTHING, media_type="")
    for selection in simpler(case.selection):
        yield replace(case, selection=selection)
    if case.body is not NOTHING and not isinstance(case.body, bytes):
        for body in simpler(case.body):
            yield replace(case, body=body)
    for key, value in case.parameters.items():
        if key not in kept:
            for each in simpler(value):
                if key[0] != "path" or each not in ("", None, [], {}):
                    yield replace(case, parameters={**case.parameters, key: each})


def fewer_values(case: Case, kept: frozenset[tuple[str, str]] = frozenset()) -> Iterator[Case]:
    """Cases with a parameter or members of the body fewer; arguments as of `smaller_cases`."""
    yield from _fewer_parameters(case, kept)
    for body in _fewer_members(case.body) if isinstance(case.body, Mapping) else ():
        if all(place.split("/")[1] in body for location, place in kept if location == "body"):
            yield replace(case, body=body)


def _fewer_parameters(case: Case, kept: frozenset[tuple[str, str]]) -> Iterator[Case]:
    required = {(p.location, p.name) for p in case.operation.parameters if p.required}
    for key in case.parameters:
        if key not in kept and key not in required and key[0] != "path":
            yield replace(case, parameters={k: v for k, v in case.parameters.items() if k != key})


def simpler(value: Any, depth: int = 0) -> Iterator[Any]:
    """Values simpler than this one, the simplest first: fewer members, shorter, nearer to 0; then inside it."""
    if depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        yield from _simpler_object(value, depth)
    elif isinstance(value, list):
        yield from _simpler_array(value, depth)
    elif isinstance(value, str):
        yield from (value[: len(value) // 2], value[len(value) // 2 :], value[:-1], value[1:]) if value else ()
        plain = "".join("0" if c.isdigit() else "a" if c.isascii() and c.isalpha() else c for c in value)
        yield from (plain,) if plain != value else ()
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int | float) and value:
        nearer = [int(value / 2), value - int(value / 8), value - 1 if value > 0 else value + 1]
        closer = [0, 1, -1, *nearer] if abs(value) < 1e300 else [0, 1]
        yield from (each for each in closer if abs(each) < abs(value))
        if isinstance(value, float) and value.is_integer():
            yield int(value)


def _simpler_object(value: Mapping[str, Any], depth: int) -> Iterator[Any]:
    yield from _fewer_members(value)
    for name, each in value.items():
        for inner in simpler(each, depth + 1):
            yield {**value, name: inner}


def _fewer_members(value: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if len(value) > 2:
        names = list(value)
        for half in (names[: len(names) // 2], names[len(names) // 2 :]):
            yield {name: value[name] for name in half}
    for name in value:
        yield {other: each for other, each in value.items() if other != name}


def _simpler_array(value: list[Any], depth: int) -> Iterator[Any]:
    if len(value) > 1:
        yield value[: len(value) // 2]
        yield value[len(value) // 2 :]
    for i in range(len(value)):
        yield value[:i] + value[i + 1 :]
    for i, each in enumerate(value):
        for inner in simpler(each, depth + 1):
            yield [*value[:i], inner, *value[i + 1 :]]
