"""A violation made small: steps dropped, then the last case made simpler, as long as the same key comes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from gnomon.fuzz.base import Case, Exchange, Violation
from gnomon.fuzz.triage.fewer import unbound, unlikely, without
from gnomon.fuzz.triage.replay import bound
from gnomon.fuzz.triage.smaller import fewer_values, smaller_cases

__all__ = ["Reduction"]


@dataclass
class Reduction:
    """One violation under way.

    Attributes:
        violation: with the fewest and simplest steps so far that show it.
        play: the violation as other steps show it; None where they do not.
        may: whether a simpler last case may be tried.
        valid: whether a case is within its schema, where what others name is made by one that is.
        left: whether requests are left to try with.
    """

    violation: Violation
    play: Callable[[Violation, Sequence[Exchange]], Awaitable[Violation | None]]
    may: Callable[[Case], bool]
    valid: Callable[[Case], bool]
    left: Callable[[], bool]

    async def smallest(self) -> Violation:
        """The violation with the fewest and simplest steps that are found."""
        await self._without_the_unlikely()
        await self._without_stretches()
        await self._without_makings()
        await self._plain_makings()
        if self.violation.holds is None:
            while await self._simpler():
                pass
        return self.violation

    async def _without_the_unlikely(self) -> None:
        for unneeded in unlikely(self.violation.steps):
            if await self._without(unneeded):
                return

    async def _without_stretches(self) -> None:
        """From the end: all before the last step, halves, quarters and so on to single ones."""
        size = len(self.violation.steps) - 1
        while size:
            end = len(self.violation.steps) - 1
            while end > 0:
                await self._without(set(range(max(0, end - size), end)))
                end -= size
            size //= 2

    async def _without_makings(self) -> None:
        """Without making what may as well not be there."""
        for i in range(len(self.violation.steps) - 2, -1, -1):
            steps = unbound(self.violation.steps, i)
            if steps:
                await self._kept(without(steps, {i}))

    async def _plain_makings(self) -> None:
        """With as few parameters and members as will do in the steps that make what others name."""
        for i in {take.step for step in self.violation.steps for take in step.takes}:
            while await self._plainer(i):
                pass

    async def _plainer(self, i: int) -> bool:
        step = self.violation.steps[i]
        taken = frozenset((take.location, take.place) for take in step.takes)
        for case in fewer_values(step.case, taken):
            if step.case.mode == "valid" and not self.valid(case):
                continue
            steps = [*self.violation.steps]
            steps[i] = replace(step, case=case)
            if await self._kept(steps):
                return True
            if not self.left():
                return False
        return False

    async def _simpler(self) -> bool:
        """Whether the last case could be made simpler once more."""
        *before, last = self.violation.steps
        taken = frozenset((take.location, take.place) for take in last.takes)
        for case in smaller_cases(last.case, taken):
            step = replace(last, case=case)
            if bound(step, before) == last.case:
                continue  # what it takes from another step stands there again
            if self.may(case) and await self._kept([*before, step]):
                return True
            if not self.left():
                return False
        return False

    async def _without(self, dropped: set[int]) -> bool:
        steps = without(self.violation.steps, dropped)
        return len(steps) < len(self.violation.steps) and await self._kept(steps)

    async def _kept(self, steps: Sequence[Exchange]) -> bool:
        """Keeps steps that show the violation, and says whether they do."""
        shown = await self.play(self.violation, steps) if self.left() else None
        self.violation = shown or self.violation
        return shown is not None
