"""The same steps again, with what the server answers this time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gnomon.fuzz.base import NOTHING, Case, Exchange, Violation
from gnomon.fuzz.sending import Sender
from gnomon.fuzz.state.expressions import evaluate

__all__ = ["bound", "shown_again"]


_CONFLICT = 409


async def shown_again(
    sender: Sender, violation: Violation, steps: Sequence[Exchange], other: Callable[[Case], Case]
) -> Violation | None:
    """The violation as these steps show it now; None where they do not.

    Args:
        other: the case with another valid body: what was made once can often not be made again under the same name.
    """
    found: list[Exchange] = []
    for i, step in enumerate(steps):
        case = bound(step, found)
        sent = await sender.send(case, again=True, takes=step.takes, caller=step.caller) if case else None
        if sent and case and sent.exchange.reply.status == _CONFLICT != step.reply.status and i < len(steps) - 1:
            sent = await sender.send(other(case), again=True, takes=step.takes, caller=step.caller)
        if sent is None:
            return None
        found.append(sent.exchange)
    if violation.holds is not None:
        return replace(violation, steps=tuple(found)) if violation.holds(found) else None
    same = next((each for each in sent.violations if each.key == violation.key), None) if steps and sent else None
    return replace(same, steps=tuple(found)) if same else None


def bound(step: Exchange, before: Sequence[Exchange]) -> Case | None:
    """A step's case with what earlier steps answered; None where they did not answer it."""
    parameters = dict(step.case.parameters)
    for take in step.takes:
        if take.step >= len(before):
            return None
        value = evaluate(take.expression, before[take.step])
        if value is NOTHING:
            return None
        parameters[(take.location, take.place)] = value
    return replace(step.case, parameters=parameters)
