"""Definitions that lead back to themselves without taking a part of the value: `A: {$ref: B}`, `B: {$ref: A}`.

Such a reference says nothing, and whoever follows it never ends. The one that closes the circle is taken away: under
`anyOf` and `oneOf` it is an alternative that adds no value, elsewhere a condition that always holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gnomon.fuzz.base import Schema
from gnomon.fuzz.loading.keywords import IN_PLACE, subschemas
from gnomon.fuzz.loading.repairs import Ledger

__all__ = ["without_idle_cycles"]

_Step = tuple[str, dict[str, Any], bool]


def without_idle_cycles(definitions: dict[str, Schema], ledger: Ledger) -> None:
    """Breaks every such circle in place, with a repair each."""
    done: set[str] = set()
    for start in definitions:
        if start in done:
            continue
        path, on_path = [(start, _steps(definitions[start]))], {start}
        while path:
            name, steps = path[-1]
            step = next(steps, None)
            if step is None:
                path.pop()
                on_path.discard(name)
                done.add(name)
                continue
            target, holder, alternative = step
            if target in on_path:
                _cut(holder, alternative)
                ledger.note(f"#/$defs/{name}", f"a reference to {target} that leads back to itself", "nothing said")
            elif target not in done:
                path.append((target, _steps(definitions[target])))
                on_path.add(target)


def _cut(holder: dict[str, Any], alternative: bool) -> None:
    del holder["$ref"]
    if alternative:
        holder["not"] = {}


def _steps(schema: Schema) -> Iterator[_Step]:
    """The references that judge the value itself: name, the schema that holds it, whether it is one of alternatives."""
    stack: list[tuple[Any, bool]] = [(schema, False)]
    while stack:
        each, alternative = stack.pop()
        if not isinstance(each, dict):
            continue
        if "$ref" in each:
            yield str(each["$ref"]).removeprefix("#/$defs/"), each, alternative
        stack.extend((s, k in ("anyOf", "oneOf")) for k, s in list(subschemas(each)) if k in IN_PLACE)
