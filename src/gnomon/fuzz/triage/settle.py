"""One defect a key: met, played again three times, made small within a budget of requests."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gnomon.fuzz.base import Case, Defect, Exchange, Violation
from gnomon.fuzz.sending import Sender
from gnomon.fuzz.triage.fewer import refused, unbound, unlikely, without
from gnomon.fuzz.triage.grounding import grounded, with_history
from gnomon.fuzz.triage.replay import bound, shown_again
from gnomon.fuzz.triage.smaller import smaller_cases

__all__ = ["Triage"]

_REPLAYS, _A_STEP = 3, 10


@dataclass
class _Met:
    """A key that was met: as it was first, steps that may show it, how often, when, and after how many requests."""

    violation: Violation
    tellings: list[tuple[Exchange, ...]]
    seconds: float
    requests: int
    count: int = 1


class Triage:
    """Takes violations and gives defects.

    Args:
        sender: plays them again.
        budget: requests that one defect may cost; one of many steps ten a step.
        valid: whether a case is within its schema; what was refused although it was must stay so.
        other: the case with another valid body.
    """

    def __init__(
        self, sender: Sender, *, valid: Callable[[Case], bool], other: Callable[[Case], Case], budget: int = 100
    ) -> None:
        self._sender, self._valid, self._other, self._budget = sender, valid, other, budget
        self._met: dict[tuple[str, ...], _Met] = {}
        self._waiting: deque[tuple[str, ...]] = deque()
        self.defects: dict[tuple[str, ...], Defect] = {}

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
            if violation.certain and not met.violation.certain:
                met.violation, met.tellings = violation, self._tellings(violation)
            return False
        told, sender = self._tellings(violation), self._sender
        self._met[violation.key] = _Met(violation, told, sender.elapsed, sender.requests)
        self._waiting.append(violation.key)
        return True

    async def settle(self) -> Defect | None:
        """Plays the first that waits again and makes it small; None where none waits."""
        if not self._waiting:
            return None
        key = self._waiting.popleft()
        try:
            return await self._settled(self._met[key])
        except asyncio.CancelledError:
            self._waiting.append(key)
            raise

    async def _settled(self, met: _Met) -> Defect:
        violation, times = met.violation, 0
        for steps in met.tellings:
            told = replace(met.violation, steps=steps)
            shown, of = await self._again(told, patient=steps is met.violation.steps)
            violation, times = (shown, of) if of > times else (violation, times)
            if times == _REPLAYS:
                violation = await self._small(violation)
                break
        return self._keep(met, violation, times)

    def _tellings(self, violation: Violation) -> list[tuple[Exchange, ...]]:
        """Steps that may show a violation: first those that would on a server that is new, last those that did."""
        steps, memory = violation.steps, self._sender.memory
        tellings = [grounded(without(steps, refused(steps)), memory)]
        if violation.holds is None:
            tellings.append(with_history(steps[-1], memory))
        told = [each for i, each in enumerate(tellings) if len(each) > 1 and each not in (steps, *tellings[:i])]
        return [*told, steps]

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
        return await shown_again(self._sender, violation, steps, self._other)

    def unsettled(self) -> list[Defect]:
        """What waits when time is up, as it was met."""
        return [self._keep(self._met[key], self._met[key].violation, 0, replayed=False) for key in self._waiting]

    def counted(self) -> list[Defect]:
        """All defects with how often they were met, in the order in which they were first seen."""
        found = [replace(defect, count=self._met[key].count) for key, defect in self.defects.items()]
        return sorted(found, key=lambda defect: defect.requests)

    def _keep(self, met: _Met, violation: Violation, times: int, *, replayed: bool = True) -> Defect:
        if violation.holds is not None and replayed and not times and violation.check != "service_down":
            # Other requests may have been at the same thing; what several requests show must show again to be certain.
            violation = replace(violation, certain=False)
        defect = Defect(
            violation=violation,
            reproduced=(times, _REPLAYS),
            first_seen=met.seconds,
            requests=met.requests,
            count=met.count,
            replayed=replayed,
        )
        self.defects[met.violation.key] = defect
        return defect

    async def _small(self, violation: Violation) -> Violation:
        """Steps dropped, then the last case made smaller, as long as the same key comes back."""
        until = self._sender.requests + max(self._budget, _A_STEP * len(violation.steps))
        violation = await self._fewer(violation, until)
        if violation.holds is not None:
            return violation
        going = True
        while going and self._sender.requests < until:
            going = False
            last = violation.steps[-1]
            kept = frozenset((take.location, take.place) for take in last.takes)
            for case in smaller_cases(last.case, kept):
                if self._sender.requests >= until:
                    break
                if bound(replace(last, case=case), violation.steps[:-1]) == last.case:
                    continue
                found = await self._still(violation, [*violation.steps[:-1], replace(last, case=case)], case)
                if found:
                    violation, going = found, True
                    break
        return violation

    async def _fewer(self, violation: Violation, until: int) -> Violation:
        """Without the steps that nothing needs: unlikely ones, halves, quarters and so on to single ones."""
        for unneeded in unlikely(violation.steps):
            steps = without(violation.steps, unneeded)
            found = await self._shown(violation, steps) if len(steps) < len(violation.steps) else None
            if found:
                violation = found
                break
        size = len(violation.steps) - 1
        while size:
            end = len(violation.steps) - 1
            while end > 0 and self._sender.requests < until:
                steps = without(violation.steps, set(range(max(0, end - size), end)))
                found = await self._shown(violation, steps) if len(steps) < len(violation.steps) else None
                violation, end = found or violation, end - size
            size //= 2
        return await self._unmade(violation, until)

    async def _unmade(self, violation: Violation, until: int) -> Violation:
        """Without making what may as well not be there."""
        for i in range(len(violation.steps) - 2, -1, -1):
            steps = unbound(violation.steps, i)
            if steps and self._sender.requests < until:
                violation = await self._shown(violation, without(steps, {i})) or violation
        return violation

    async def _still(self, violation: Violation, steps: Sequence[Exchange], case: Case) -> Violation | None:
        held = violation.check in ("valid_data_rejected", "graphql_error") and case.mode == "valid"
        if held and not self._valid(case):
            return None
        return await self._shown(violation, steps)
