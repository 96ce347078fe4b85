"""One defect a key: met, played again three times by each telling of it, made small within a budget of requests."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gnomon.fuzz.base import Case, Defect, Exchange, Violation
from gnomon.fuzz.sending import Sender
from gnomon.fuzz.triage.causes import SEVERITIES
from gnomon.fuzz.triage.fewer import refused, without
from gnomon.fuzz.triage.grounding import grounded, with_history
from gnomon.fuzz.triage.reducing import Reduction
from gnomon.fuzz.triage.replay import shown_again

__all__ = ["Triage"]

_REPLAYS, _MOSTLY, _A_STEP, _MANY = 3, 2, 10, 10
# Of what is slower, fewer requests are spent on making it small.
_QUICK = 0.25


@dataclass
class _Met:
    """A key that was met: as it was first, steps that may show it, when, after how many requests, how often, where."""

    violation: Violation
    tellings: list[tuple[Exchange, ...]]
    seconds: float
    requests: int
    count: int = 1
    operations: set[str] = field(default_factory=set)

    @property
    def counts(self) -> dict[str, Any]:
        """What further sightings change of a defect."""
        return {"count": self.count, "operations": tuple(sorted(self.operations))}


class Triage:
    """Takes violations and gives defects.

    Args:
        sender: plays them again.
        budget: requests that one defect may cost; one of many steps ten a step.
        valid: whether a case is within its schema; what was refused although it was must stay so.
        other: the case with another valid body.

    Attributes:
        defects: what was settled, by key.
        spent: requests that were made of it, or about so many.
    """

    def __init__(
        self, sender: Sender, *, valid: Callable[[Case], bool], other: Callable[[Case], Case], budget: int = 100
    ) -> None:
        self._sender, self._valid, self._other, self._budget = sender, valid, other, budget
        self._met: dict[tuple[str, ...], _Met] = {}
        self._waiting: deque[tuple[str, ...]] = deque()
        self.defects: dict[tuple[str, ...], Defect] = {}
        self.spent = 0

    @property
    def waiting(self) -> int:
        """Violations that were not yet played again."""
        return len(self._waiting)

    def known(self, key: tuple[str, ...]) -> bool:
        """Whether a violation of this key was met."""
        return key in self._met

    def offer(self, violation: Violation) -> bool:
        """Takes a violation; whether it is a new one."""
        met = self._met.get(violation.key)
        if met is not None:
            met.count += 1
            met.operations.add(violation.steps[-1].case.operation.key)
            if violation.certain and not met.violation.certain:
                met.violation, met.tellings = violation, self._tellings(violation)
            return False
        told, sender = self._tellings(violation), self._sender
        where = {violation.steps[-1].case.operation.key}
        self._met[violation.key] = _Met(violation, told, sender.elapsed, sender.requests, operations=where)
        self._waiting.append(violation.key)
        return True

    @property
    def ready(self) -> bool:
        """Whether one that waits is about an operation that has time for it."""
        return any(not self._busy(key) for key in self._waiting)

    async def settle(self) -> Defect | None:
        """Plays one that waits again and makes it small, what is slow last, the severest first and advice last; None
        where none waits."""
        if not self._waiting:
            return None
        key = min(self._waiting, key=self._urgency)
        self._waiting.remove(key)
        try:
            return await self._settled(self._met[key])
        except asyncio.CancelledError:
            self._waiting.append(key)
            raise
        except Exception:
            # What was found is not lost by a mistake in playing it again.
            self._keep(self._met[key], self._met[key].violation, 0, replayed=False)
            raise

    def _busy(self, key: tuple[str, ...]) -> bool:
        return self._sender.busy(self._met[key].violation.steps[-1].case.operation)

    def _urgency(self, key: tuple[str, ...]) -> tuple[bool, bool, int]:
        violation = self._met[key].violation
        return self._busy(key), not violation.certain, SEVERITIES.index(violation.severity)

    def unsettled(self) -> list[Defect]:
        """What waits when time is up, as it was met."""
        return [self._keep(self._met[key], self._met[key].violation, 0, replayed=False) for key in self._waiting]

    def counted(self) -> list[Defect]:
        """All defects with how often and where they were met, in the order in which they were first seen."""
        found = [replace(defect, **self._met[key].counts) for key, defect in self.defects.items()]
        return sorted(found, key=lambda defect: defect.requests)

    def _tellings(self, violation: Violation) -> list[tuple[Exchange, ...]]:
        """Steps that may show a violation: first those that would on a server that is new, last those that did."""
        steps, memory = violation.steps, self._sender.memory
        tellings = [grounded(without(steps, refused(steps)), memory)]
        if violation.holds is None:
            tellings.append(with_history(steps[-1], memory))
        told = [each for i, each in enumerate(tellings) if len(each) > 1 and each not in (steps, *tellings[:i])]
        return [*told, steps]

    async def _settled(self, met: _Met) -> Defect:
        """The defect by the first telling that comes back every time, else by the one that does most; made small, but
        for advice, of which only the title is shown."""
        best, most = met.violation, 0
        if not best.certain:
            return self._keep(met, *await self._again(best, patient=False))
        for steps in met.tellings:
            as_met = steps is met.violation.steps
            shown, times = await self._again(replace(met.violation, steps=steps), patient=as_met)
            if times == _REPLAYS:
                return self._keep(met, await self._small(shown), times)
            if times > most:
                best, most = shown, times
        if most:
            small = await self._small(best)
            shown, times = await self._again(small, patient=True)
            best, most = (shown, times) if times >= most else (best, most)
        return self._keep(met, best, most)

    async def _again(self, violation: Violation, *, patient: bool) -> tuple[Violation, int]:
        """The violation as it came back last, and how often it did in three replays; the impatient stop at a miss."""
        times = 0
        for _ in range(_REPLAYS):
            shown = await self._shown(violation, violation.steps)
            violation, times = shown or violation, times + (shown is not None)
            if not (shown or patient):
                break
        return violation, times

    async def _shown(self, violation: Violation, steps: Sequence[Exchange]) -> Violation | None:
        self.spent += len(steps)
        return await shown_again(self._sender, violation, steps, self._other)

    def _keep(self, met: _Met, violation: Violation, times: int, *, replayed: bool = True) -> Defect:
        if violation.holds is not None and times < _MOSTLY and violation.check != "service_down":
            # Other requests may have been at the same thing; what several requests show must show again to be certain.
            violation = replace(violation, certain=False)
        elif not times and violation.steps[-1].reply.status == 503 and violation.steps[-1].reply.trace is None:
            # A server that has too much to do says so, of whatever it was asked.
            violation = replace(violation, certain=False, severity="low")
        defect = Defect(
            violation=violation,
            reproduced=(times, _REPLAYS),
            first_seen=met.seconds,
            requests=met.requests,
            replayed=replayed,
            **met.counts,
        )
        self.defects[met.violation.key] = defect
        return defect

    async def _small(self, violation: Violation) -> Violation:
        """Made small within the budget; what was refused although its schema allows it stays within its schema."""
        # Where many wait, that all are played again comes before that one is made as small as can be.
        left = max(self._budget // (1 + self.waiting // _MANY), _A_STEP * len(violation.steps))
        stays_valid = violation.check in ("valid_data_rejected", "graphql_error")

        def may(case: Case) -> bool:
            return not (stays_valid and case.mode == "valid") or self._valid(case)

        async def played(violation: Violation, steps: Sequence[Exchange]) -> Violation | None:
            nonlocal left
            left -= sum(max(1, int(step.reply.seconds / _QUICK)) for step in steps)
            return await self._shown(violation, steps)

        return await Reduction(violation, played, may, self._valid, lambda: left > 0).smallest()
