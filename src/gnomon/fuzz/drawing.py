"""Cases as Hypothesis draws and shrinks them, for tests of pytest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from gnomon.fuzz.base import Case, Fault, Operation
from gnomon.fuzz.making import Maker

__all__ = ["has_flaws", "invalid_cases", "valid_cases"]


@st.composite
def valid_cases(draw: st.DrawFn, maker: Maker, operation: Operation, path: Mapping[str, Any] | None = None) -> Case:
    """Cases within the schema; path parameters that are given stand."""
    case = Case(operation=operation, technique="hypothesis")
    parts = maker.parts(operation)
    for part in (each for each in parts if each.location != "body"):
        if part.location == "path" and path and part.name in path:
            case = maker.put(case, part, path[part.name])
        elif part.required or draw(st.booleans()):
            case = maker.put(case, part, draw(maker.compiled(operation, part).valid))
    bodies = [part for part in parts if part.location == "body"]
    if bodies and (operation.body_required or draw(st.booleans())):
        part = draw(st.sampled_from(bodies))
        case = maker.put(case, part, draw(maker.compiled(operation, part).valid))
    return case


@st.composite
def invalid_cases(draw: st.DrawFn, maker: Maker, operation: Operation) -> Case:
    """Cases that leave the schema in one place; it takes an operation of which `has_flaws` holds."""
    case = draw(valid_cases(maker, operation))
    part = draw(st.sampled_from([each for each in maker.parts(operation) if maker.compiled(operation, each).flaws]))
    flaw, values = draw(st.sampled_from(maker.compiled(operation, part, sent=False).invalid))
    why = Fault(location=part.location, pointer=part.at(flaw.pointer), keyword=flaw.keyword, kind=flaw.kind)
    return maker.put(case, part, draw(values), mode="invalid", why=(why,))


def has_flaws(maker: Maker, operation: Operation) -> bool:
    """Whether anything can be wrong with a request of an operation."""
    return any(maker.compiled(operation, part, sent=False).flaws for part in maker.parts(operation))
