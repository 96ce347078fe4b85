"""One life of a thing: made, read, changed, removed, and asked for afterwards.

RESTler's sequences and the paper's state machine are such lives; the grammar here is
`create+ (read | list | update | action | sub-create)* delete (read | update | delete | list | create again)*`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from gnomon.fuzz.base import Case, Exchange, Location, Operation, Take, Violation
from gnomon.fuzz.sending import Sender, Sent
from gnomon.fuzz.state.expressions import evaluate
from gnomon.fuzz.state.memory import Thing, leaves
from gnomon.fuzz.state.resources import Resource
from gnomon.fuzz.state.semantics import listed, moved, not_found, still_there, unseen_of
from gnomon.fuzz.values import Draws

__all__ = ["Maker", "Story"]

_LONGEST, _TRIES, _COPIES = 8, 3, (2, 4, 8)


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
        pauses: seconds before a doubtful answer is looked at again.
        steps: exchanges in order.
    """

    sender: Sender
    maker: Maker
    rng: Draws
    report: Callable[[Violation], None]
    known: Callable[[tuple[str, ...]], bool] = lambda key: False
    pauses: tuple[float, ...] = (0.5, 2.0)
    steps: list[Exchange] = field(default_factory=list)
    _held: set[Thing] = field(default_factory=set)
    _made_at: dict[int, int] = field(default_factory=dict)

    def end(self) -> None:
        """Lets others at the things that it spoke of."""
        self.sender.memory.held -= self._held

    async def live(self, resource: Resource) -> None:
        """Tells one life of a thing of this kind; ends early where none can be made."""
        thing = None
        for _ in range(self.rng.choice((1, 1, 2, 3))):
            thing = await self.make(resource) or thing
        if thing is None:
            return
        acts: list[Callable[[Thing], Awaitable[Any]]] = [self.read, self.list_, self.update, self.put_twice]
        acts += [self.act, self.gather, self.orphan] if thing.resource.inner else [self.orphan]
        for _ in range(self.rng.randint(1, 4)):
            await self.rng.choice(acts)(thing)
        if resource.deletes and len(self.steps) < _LONGEST and self.rng.random() < 0.7:
            await self.remove(thing)

    async def make(self, resource: Resource) -> Thing | None:
        """Makes one, with what it belongs to; None after three refusals."""
        above = await self._above(resource)
        if above is None:
            return None
        for _ in range(_TRIES):
            for operation in resource.creates[:1]:
                case = self.case(operation, above)
                sent = await self.send(case, above)
                if sent and sent.exchange.reply.status == 409:
                    sent = await self.send(self.maker.renamed(case, self.rng), above)
                if sent and sent.ok and sent.made:
                    self._hold(sent.made)
                    self._made_at[id(sent.made)] = len(self.steps) - 1
                    await self._is_there(sent, sent.made)
                    return sent.made
        return None

    async def read(self, thing: Thing) -> Sent | None:
        """Reads a thing; what it answers is kept."""
        return await self._on(thing, thing.resource.reads)

    async def list_(self, thing: Thing) -> None:
        """Lists the kind, and looks for the thing."""
        if not thing.resource.lists:
            return
        for pause in self._patience("list_inconsistent", thing.resource.item, "missing"):
            await asyncio.sleep(pause)
            sent = await self._on(thing, thing.resource.lists, bare=True)
            if not sent or self._is_listed(thing) is not False:
                return
        what = "lists without what was made"
        self._broken("list_inconsistent", thing, what, (thing.resource.item, "missing"), self._lists(thing, False))

    async def update(self, thing: Thing) -> None:
        """Changes a thing and reads it again."""
        before = await self.read(thing)
        sent = await self._on(thing, thing.resource.updates) if before and before.ok else None
        if not sent or not sent.ok or sent.exchange.reply.status == 202 or not await self.read(thing):
            return
        fields, certain = unseen_of(self.steps)
        if fields:
            what = f"accepts a change of {', '.join(sorted(fields))} that a read does not show"
            key, holds = (sent.exchange.case.operation.key, sorted(fields)[0]), lambda steps: bool(unseen_of(steps)[0])
            self._broken("update_not_visible", thing, what, key, holds, certain)

    async def put_twice(self, thing: Thing) -> None:
        """The same PUT again leaves the same thing."""
        both = (*thing.resource.updates, *thing.resource.inner)
        first = await self._on(thing, tuple(each for each in both if each.method == "PUT"))
        if not first or not first.ok:
            return
        path = first.exchange.case.operation.path
        there = tuple(each for each in thing.resource.inner if each.method == "GET" and each.path == path)
        reads = there or thing.resource.reads
        if not await self._on(thing, reads, bare=True):
            return
        await self._again(first)
        await self._on(thing, reads, bare=True)
        fields = moved(self.steps)
        if fields:
            what = f"changes {', '.join(sorted(fields))} when the same PUT comes again"
            key = (first.exchange.case.operation.key, sorted(fields)[0])
            self._broken("non_idempotent_put", thing, what, key, lambda steps: bool(moved(steps)))

    async def act(self, thing: Thing) -> None:
        """One of the operations below the item."""
        await self._on(thing, thing.resource.inner)

    async def gather(self, thing: Thing) -> None:
        """Three of what belongs to a thing, then all of them."""
        inner = thing.resource.inner
        for operation in [each for each in inner if each.method == "POST"]:
            same = tuple(each for each in inner if each.method == "GET" and each.path == operation.path)
            if same:
                for _ in range(3):
                    await self.send(self.case(operation, thing), thing)
                await self._on(thing, same)

    async def orphan(self, thing: Thing) -> None:
        """Removes what a thing names or belongs to, then asks for the thing."""
        made = thing.history[0].case.body if thing.history else None
        named = {str(value) for _, value in leaves(made)} if isinstance(made, dict) else set()
        for resource in self.sender.memory.resources.values():
            for other in list(self.sender.memory.alive[resource.item]):
                free = other not in self.sender.memory.held or other in self._held
                if other is thing or not free or not resource.deletes:
                    continue
                if str(other.params.get(resource.key)) in named:
                    self._hold(other)
                    await self._on(other, resource.deletes)
                    await self.read(thing)
                    await self._on(thing, (*thing.resource.lists, *thing.resource.updates, *thing.resource.inner))
                    return

    async def remove(self, thing: Thing) -> None:
        """Removes a thing, then asks for it in every way there is."""
        sent = await self._on(thing, thing.resource.deletes)
        if not sent or not sent.ok or sent.exchange.reply.status == 202:
            return
        await self._is_gone(thing)
        resource = thing.resource
        after = [resource.updates, resource.deletes, resource.inner, resource.lists, resource.creates]
        self.rng.shuffle(after)
        for operations in after[:3]:
            await self._on(thing, operations)

    async def at_once(self, operation: Operation, thing: Thing | None) -> None:
        """Several copies of one request at a time; only the server's own faults are looked for."""
        case = self.maker.valid(operation, self.rng, path=dict(thing.params) if thing else {})
        copies = self.rng.choice(_COPIES)
        for sent in await asyncio.gather(*(self.sender.send(case, again=True) for _ in range(copies))):
            for each in sent.violations if sent else ():
                self.report(each)

    async def _above(self, resource: Resource) -> Thing | None:
        """What a new thing belongs to: nothing (a thing without parameters), one that lives, or a new one."""
        if not resource.parent:
            return Thing(resource, {})
        parent = self.sender.memory.resources[resource.parent]
        free = [each for each in self.sender.memory.alive[parent.item] if each not in self.sender.memory.held]
        if free and self.rng.random() < 0.5:
            return self._hold(free[-1])
        return await self.make(parent) or (self._hold(free[-1]) if free else None)

    def _hold(self, thing: Thing) -> Thing:
        """Keeps others off a thing until the end."""
        self._held.add(thing)
        self.sender.memory.held.add(thing)
        return thing

    async def _is_there(self, made: Sent, thing: Thing) -> None:
        if made.exchange.reply.status == 202 or not thing.resource.reads:
            return
        for pause in self._patience("created_not_found", made.exchange.case.operation.key):
            await asyncio.sleep(pause)
            found = await self.read(thing)
            if not found or found.exchange.reply.status != 404:
                return
        what = f"makes what {thing.resource.reads[0].key} does not find"
        key = (made.exchange.case.operation.key,)
        self._broken("created_not_found", thing, what, key, lambda steps: not_found(steps, thing.resource))

    async def _is_gone(self, thing: Thing) -> None:
        for pause in self._patience("use_after_delete", thing.resource.item, "read"):
            await asyncio.sleep(pause)
            found = await self.read(thing)
            if not found or not still_there(self.steps):
                break
        else:
            what = "still reads what was removed"
            self._broken("use_after_delete", thing, what, (thing.resource.item, "read"), still_there)
        for pause in self._patience("list_inconsistent", thing.resource.item, "gone"):
            await asyncio.sleep(pause)
            sent = await self._on(thing, thing.resource.lists, bare=True)
            if not sent or not self._is_listed(thing):
                return
        what = "still lists what was removed"
        self._broken("list_inconsistent", thing, what, (thing.resource.item, "gone"), self._lists(thing, True))

    def _patience(self, *key: str) -> tuple[float, ...]:
        """Seconds before each look at an answer; one look where the defect is known already."""
        return (0.0,) if self.known(key) else (0.0, *self.pauses)

    def _is_listed(self, thing: Thing) -> bool | None:
        return listed(self.steps, thing.resource, self.identifier(thing))

    def _lists(self, thing: Thing, expected: bool) -> Callable[[Sequence[Exchange]], bool]:
        """Whether steps end in a list that has the thing, or has it not; what removed it must have gone well."""
        identifier = self.identifier(thing)

        def holds(steps: Sequence[Exchange]) -> bool:
            removed = any(each.request.method == "DELETE" and 200 <= each.reply.status < 300 for each in steps)
            return removed is expected and listed(steps, thing.resource, identifier) is expected

        return holds

    def identifier(self, thing: Thing) -> Callable[[Sequence[Exchange]], Any]:
        """What identifies a thing in these steps: what the last one about it says, or what its creation answers."""
        resource = thing.resource
        place: tuple[Location, str] = ("path", resource.key)
        expression = thing.source.get(resource.key)

        def found(steps: Sequence[Exchange]) -> Any:
            for step in reversed(steps):
                if step.case.operation.path.startswith(resource.item) and place in step.case.parameters:
                    return step.case.parameters[place]
                if expression and step.case.operation in resource.creates:
                    return evaluate(expression, step)
            return thing.params.get(resource.key)

        return found

    async def _on(self, thing: Thing, operations: tuple[Operation, ...], *, bare: bool = False) -> Sent | None:
        """One of the operations on a thing; `bare` leaves optional parameters out."""
        if not operations:
            return None
        return await self.send(self.case(self.rng.choice(operations), thing, bare=bare), thing)

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

    async def _again(self, sent: Sent) -> Sent:
        """The same bytes once more."""
        exchange = await self.sender.exchange(sent.exchange.case, sent.exchange.request, sent.exchange.takes)
        self.steps.append(exchange)
        return Sent(exchange)

    def _takes(self, case: Case, thing: Thing | None) -> tuple[Take, ...]:
        at = self._made_at.get(id(thing))
        if thing is None or at is None:
            return ()
        sent = {name for location, name in case.parameters if location == "path"}
        return tuple(
            Take(step=at, expression=expression, location="path", place=name)
            for name, expression in thing.source.items()
            if name in sent
        )

    def _broken(
        self,
        check: str,
        thing: Thing,
        what: str,
        key: tuple[str, ...],
        holds: Callable[[Sequence[Exchange]], bool],
        certain: bool = True,
    ) -> None:
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
            )
        )
