"""A service that listens no more: is it back after a while, and which of the last requests ended it?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gnomon.fuzz.base import Exchange, Request, Violation
from gnomon.fuzz.sending import Sender

__all__ = ["outage"]

_EVERY, _TIMEOUT = 0.5, 2.0


async def outage(sender: Sender, *, patience: float = 30.0) -> tuple[Violation, bool]:
    """What is to be said of it, and whether the service is back.

    Where it comes back (something starts it again), the last requests are played one by one, the latest first, until it
    is gone again: that one ends it. Where not, all of them are named.

    Args:
        sender: whose requests were refused.
        patience: seconds to wait for the service.
    """
    suspects = list(sender.recent)[::-1]
    back, killer = await _is_back(sender, patience), None
    for each in suspects if back else ():
        await sender.transport.send(each.request, timeout=sender.timeout)
        if not await _listens(sender):
            killer, back = each, await _is_back(sender, patience)
            break
    if back:
        sender.refusals = 0
    return _violation(killer, suspects), back


async def _is_back(sender: Sender, patience: float) -> bool:
    try:
        async with asyncio.timeout(patience):
            while not await _listens(sender):
                await asyncio.sleep(_EVERY)
    except TimeoutError:
        return False
    return True


async def _listens(sender: Sender) -> bool:
    request = Request(method="GET", target=sender.api.base_path or "/")
    return (await sender.transport.send(request, timeout=_TIMEOUT)).fault != "refused"


def _violation(killer: Exchange | None, suspects: Sequence[Exchange]) -> Violation:
    about = killer.case.operation.key if killer else "one of the last requests"
    named = [f"{each.request.method} {each.request.target}" for each in suspects]
    return Violation(
        check="service_down",
        key=("service_down", about),
        title=f"{about} ends the service: nobody listens any more",
        severity="critical",
        certain=True,
        detail="" if killer else "the last requests, the latest first: " + ", ".join(named),
        steps=(killer or suspects[0],) if suspects else (),
        holds=lambda steps: any(each.reply.fault in ("dropped", "refused") for each in steps),
    )
