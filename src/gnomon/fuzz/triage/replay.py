"""The same steps again, with what the server answers this time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from gnomon.fuzz.base import NOTHING, Case, Exchange, Location, Violation
from gnomon.fuzz.checks.refusals import is_conflict
from gnomon.fuzz.sending import Sender, Sent
from gnomon.fuzz.state.expressions import evaluate, pointed, put

__all__ = ["bound", "shown_again"]


async def shown_again(
    sender: Sender, violation: Violation, steps: Sequence[Exchange], other: Callable[[Case], Case]
) -> Violation | None:
    """The violation as these steps show it now; None where they do not.

    What was made once can often not be made again under the same name: then it gets another, or the first one goes.

    Args:
        other: the case with another valid body.
    """
    found: list[Sent] = []
    try:
        for step in steps:
            case = bound(step, [each.exchange for each in found])
            sent = await sender.send(case, again=True, takes=step.takes, caller=step.caller) if case else None
            if sent and case and _is_taken(step, sent):
                # Of what is wrong, another value might not be wrong in the same way.
                free = case.mode == "invalid" and await _removed(sender, step)
                case = case if free else other(case)
                sent = await sender.send(case, again=True, takes=step.takes, caller=step.caller)
            if sent is None:
                return None
            found.append(sent)
            sender.memory.held |= {sent.made} if sent.made else set()
    finally:
        sender.memory.held -= {each.made for each in found if each.made}
    exchanges = tuple(each.exchange for each in found)
    if violation.holds is not None:
        return replace(violation, steps=exchanges) if violation.holds(exchanges) else None
    same = next((each for each in found[-1].violations if each.key == violation.key), None)
    return replace(same, steps=exchanges) if same else None


def _is_taken(step: Exchange, sent: Sent) -> bool:
    """Whether a server has such a thing already: it says so, or refuses now what it took before."""
    now = sent.exchange.reply
    took = 200 <= step.reply.status < 300
    return (is_conflict(now) and not is_conflict(step.reply)) or (took and now.status in (400, 422))


async def _removed(sender: Sender, step: Exchange) -> bool:
    """Removes what this very request made, where there is a way; whether it is gone."""
    there = sender.memory.makings.values()
    made = next((each.thing for each in there if each.exchange.case is step.case), None)
    if made is None or made in sender.memory.held or not made.resource.deletes or sender.api.dialect == "graphql":
        return False
    parameters: dict[tuple[Location, str], Any] = {("path", name): value for name, value in made.params.items()}
    case = Case(operation=made.resource.deletes[0], parameters=parameters)
    gone = await sender.send(case, again=True, caller=step.caller)
    return gone is not None and gone.ok


def bound(step: Exchange, before: Sequence[Exchange]) -> Case | None:
    """A step's case with what earlier steps answered; None where they did not answer it."""
    parameters, body = dict(step.case.parameters), step.case.body
    for take in step.takes:
        if take.step >= len(before):
            return None
        value = evaluate(take.expression, before[take.step])
        if value is NOTHING:
            return None
        if take.location == "body":
            numeric = isinstance(pointed(body, take.place), int) and str(value).isdecimal()
            body = put(body, take.place, int(value) if numeric else value)
        elif (take.location, take.place) in parameters:
            parameters[(take.location, take.place)] = value
    return replace(step.case, parameters=parameters, body=body)
