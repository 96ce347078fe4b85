"""Steps that belong together: who sends them, which things they hold, and what they broke."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

from gnomon.fuzz.base import Case, Exchange, Location, Operation, Take, Violation
from gnomon.fuzz.sending import Sender, Sent
from gnomon.fuzz.state.expressions import evaluate
from gnomon.fuzz.state.memory import Thing, path_params
from gnomon.fuzz.values import Draws

__all__ = ["Maker", "Story"]


class Maker(Protocol):
    """Who makes cases."""

    def valid(self, operation: Operation, rng: Draws, *, path: Mapping[str, Any]) -> Case:
        """A case within the schema, with these path parameters."""
        ...

    def renamed(self, case: Case, rng: Draws) -> Case:
        """The case with other texts in its body."""
        ...


@dataclass
class Story:
    """Steps so far, and what they broke.

    Attributes:
        sender, maker, rng: who sends, who makes cases, who draws.
        report: takes each violation.
        known: whether a violation of this key was met before; then nothing is waited for.
        wait: lets seconds pass.
        awaited: keys of violations that some story looks at again; of all stories of a search.
        pauses: seconds before a doubtful answer is looked at again.
        steps: exchanges in order.
        holds: things that nobody else touches meanwhile.
    """

    sender: Sender
    maker: Maker
    rng: Draws
    report: Callable[[Violation], None]
    known: Callable[[tuple[str, ...]], bool] = lambda key: False
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep
    awaited: set[tuple[str, ...]] = field(default_factory=set)
    pauses: ClassVar[tuple[float, ...]] = (0.5, 2.0)
    steps: list[Exchange] = field(default_factory=list)
    holds: set[Thing] = field(default_factory=set)
    _made_at: dict[int, int] = field(default_factory=dict)

    def end(self) -> None:
        """Lets others at the things that it spoke of."""
        self.sender.memory.held -= self.holds

    def hold(self, thing: Thing) -> Thing:
        """Keeps others off a thing until the end."""
        self.holds.add(thing)
        self.sender.memory.held.add(thing)
        return thing

    def release(self, thing: Thing) -> None:
        """Lets others at a thing, the rest of this story too: only what nobody holds is named in bodies."""
        self.holds.discard(thing)
        self.sender.memory.held.discard(thing)

    def keep(self, thing: Thing) -> None:
        """Holds what the last step made; later steps take its name from there."""
        self._made_at[id(self.hold(thing))] = len(self.steps) - 1

    async def stays(self, look: Callable[[], Awaitable[bool]], *key: str) -> bool:
        """Whether a look shows a broken promise, and shows it again after each pause where it is not known already.

        While one story waits for a key, the others leave it to that one.
        """
        if not await look() or key in self.awaited:
            return False
        if self.known(key):
            return True
        self.awaited.add(key)
        try:
            for pause in self.pauses:
                await self.wait(pause)
                if not await look():
                    return False
        finally:
            self.awaited.discard(key)
        return True

    def identifier(self, thing: Thing) -> Callable[[Sequence[Exchange]], Any]:
        """What identifies a thing in these steps: what the last one about it says, or what its creation answers."""
        resource = thing.resource
        place: tuple[Location, str] = ("path", resource.key)
        expression = thing.source.get(resource.key)

        def found(steps: Sequence[Exchange]) -> Any:
            for step in reversed(steps):
                if step.case.operation.path.startswith(resource.item) and place in step.case.parameters:
                    return step.case.parameters[place]
                if expression and step.case.operation in resource.creates and 200 <= step.reply.status < 300:
                    return evaluate(expression, step)
            return thing.params.get(resource.key)

        return found

    async def on(self, thing: Thing, operations: tuple[Operation, ...], *, bare: bool = False) -> Sent | None:
        """One of the operations on a thing; `bare` leaves optional parameters out."""
        if not operations:
            return None
        return await self.send(self.case(self.one_of(operations), thing, bare=bare), thing)

    def one_of(self, operations: Sequence[Operation]) -> Operation:
        """One of the operations, where there is a choice none that is slow and has had its share of the time."""
        return self.rng.choice([each for each in operations if not self.sender.busy(each)] or operations)

    def case(self, operation: Operation, thing: Thing | None, *, bare: bool = False) -> Case:
        """A valid case about a thing; `bare` leaves optional parameters out."""
        case = self.maker.valid(operation, self.rng, path=dict(thing.params) if thing else {})
        if bare:
            needed = {(p.location, p.name) for p in operation.parameters if p.required}
            case = replace(case, parameters={key: value for key, value in case.parameters.items() if key in needed})
        return replace(case, technique="state")

    async def send(self, case: Case, thing: Thing | None, *, caller: str = "first") -> Sent | None:
        """One more step."""
        sent = await self.sender.send(case, again=True, takes=self._takes(case, thing), caller=caller)
        if sent:
            self.steps.append(sent.exchange)
            for each in sent.violations:
                self.report(replace(each, steps=tuple(self.steps)))
        return sent

    async def again(self, sent: Sent) -> Sent:
        """The same bytes once more."""
        exchange = await self.sender.exchange(sent.exchange.case, sent.exchange.request, sent.exchange.takes)
        self.steps.append(exchange)
        return Sent(exchange)

    def _takes(self, case: Case, thing: Thing | None) -> tuple[Take, ...]:
        at = self._made_at.get(id(thing))
        if thing is None or at is None:
            return ()
        sent = path_params(case)
        return tuple(
            Take(step=at, expression=expression, location="path", place=name)
            for name, expression in thing.source.items()
            if name in sent
        )

    def broken(
        self,
        check: str,
        thing: Thing,
        what: str,
        key: tuple[str, ...],
        holds: Callable[[Sequence[Exchange]], bool],
        certain: bool = True,
    ) -> None:
        """Reports that the steps so far show a broken promise about a thing.

        Args:
            what: after the operation or the item, the title.
            key: with the check's name, equal for the same defect.
            holds: whether other exchanges of the same steps show it again.
        """
        about = key[0] if " " in key[0] else thing.resource.item
        self.report(
            Violation(
                check=check,
                key=(check, *key),
                title=f"{about} {what}",
                severity="high",
                certain=certain,
                steps=tuple(self.steps),
                holds=holds,
                root=(check, about),
            )
        )
