"""Fewer steps: without some that nothing needs, or with names that nobody has for what was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gnomon.fuzz.base import Exchange, Take
from gnomon.fuzz.state.expressions import pointed, put

__all__ = ["refused", "unbound", "unlikely", "without"]

_AFTER = str.maketrans("0123456789abcdef", "1234567890bcdefa")
_FAR = 1_000_003


def without(steps: Sequence[Exchange], dropped: set[int]) -> list[Exchange]:
    """The steps without those dropped that no step which stays takes from; what is taken is counted anew."""
    for i in reversed(range(len(steps))):
        if i not in dropped:
            dropped = dropped - {take.step for take in steps[i].takes}
    place = {old: new for new, old in enumerate(i for i in range(len(steps)) if i not in dropped)}
    return [
        replace(steps[i], takes=tuple(replace(take, step=place[take.step]) for take in steps[i].takes)) for i in place
    ]


def unlikely(steps: Sequence[Exchange]) -> list[set[int]]:
    """Sets of steps that hardly matter: those about other things than the last one is, those that were refused."""
    takes = [{take.step for take in step.takes} for step in steps]
    about, near = takes[-1], {len(steps) - 1}
    for i in reversed(range(len(steps))):
        if i in near or i in about:
            near |= {i} | takes[i]
    others = {i for i in range(len(steps)) if i not in near and not takes[i] & about}
    return [others | refused(steps), others, refused(steps)]


def refused(steps: Sequence[Exchange]) -> set[int]:
    """Steps before the last that the server did not take."""
    return {i for i, step in enumerate(steps[:-1]) if not 200 <= step.reply.status < 300}


def unbound(steps: Sequence[Exchange], made: int) -> list[Exchange]:
    """The steps with names that nobody has where they take from step `made`; none where nothing takes from it."""
    if not any(take.step == made for step in steps for take in step.takes):
        return []
    return [_unbound(step, [take for take in step.takes if take.step == made]) for step in steps]


def _unbound(step: Exchange, takes: Sequence[Take]) -> Exchange:
    parameters, body = dict(step.case.parameters), step.case.body
    for take in takes:
        if take.location == "body":
            body = put(body, take.place, _nobodys(pointed(body, take.place)))
        else:
            key = (take.location, take.place)
            parameters[key] = _nobodys(parameters.get(key))
    case = replace(step.case, parameters=parameters, body=body)
    return replace(step, case=case, takes=tuple(take for take in step.takes if take not in takes))


def _nobodys(value: Any) -> Any:
    """A value of the same form that names nothing, as far as one can tell."""
    if isinstance(value, str):
        return str(int(value) + _FAR) if value.isdecimal() else value.translate(_AFTER)
    return value + _FAR if isinstance(value, int) else value
