"""One life of a thing: made, read, changed, removed, and asked for afterwards.

RESTler's sequences and the paper's state machine are such lives; the grammar here is
`create+ (read | list | update | action | sub-create)* delete (read | update | delete | list | create again)*`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from gnomon.fuzz.base import Exchange, Operation
from gnomon.fuzz.checks.refusals import is_conflict
from gnomon.fuzz.sending import Sent
from gnomon.fuzz.state.memory import Thing, leaves
from gnomon.fuzz.state.resources import Resource
from gnomon.fuzz.state.semantics import is_read, listed, moved, not_found, still_there, unseen_of
from gnomon.fuzz.state.stories import Story

__all__ = ["at_once", "live", "make", "walk"]

_LONGEST, _TRIES, _COPIES = 8, 3, (2, 4, 8)


async def walk(story: Story, resource: Resource) -> None:
    """Tells the plain life of a thing: made, read, changed, read, removed, asked for again."""
    thing = await make(story, resource)
    if thing is None:
        return
    for pause in story.pauses:
        read = await _read(story, thing)
        if read is None or read.ok:
            break
        # What was promised by 202 may come later.
        await story.wait(pause)
    else:
        await _read(story, thing)
    for _ in range(_TRIES if resource.updates else 0):
        if await _update(story, thing):
            break
    if resource.deletes:
        await _remove(story, thing)


async def live(story: Story, resource: Resource) -> None:
    """Tells one life of a thing of this kind; ends early where none can be made."""
    thing = None
    for _ in range(story.rng.choice((1, 1, 2, 3))):
        thing = await make(story, resource) or thing
    if thing is None:
        return
    acts: list[Callable[[Story, Thing], Awaitable[Any]]] = [_read, _list, _update, _put_twice]
    acts += [_act, _gather, _orphan] if thing.resource.inner else [_orphan]
    for _ in range(story.rng.randint(1, 4)):
        await story.rng.choice(acts)(story, thing)
    if resource.deletes and len(story.steps) < _LONGEST and story.rng.random() < 0.7:
        await _remove(story, thing)


async def make(story: Story, resource: Resource, *, needed: frozenset[str] = frozenset()) -> Thing | None:
    """Makes one, with what it belongs to and what it names where nothing like that lives; None after three refusals.

    Args:
        needed: item templates of what it is made for, which is not made again for its sake.
    """
    above = await _above(story, resource)
    if above is None or not resource.creates:
        return None
    named = {name for name, _ in leaves(story.case(resource.creates[0], above).body)}
    for other in story.sender.memory.resources.values():
        if other.item in needed or other is resource or not other.creates or story.sender.memory.alive[other.item]:
            continue
        if any(story.sender.memory.refers(name) == other.name for name in named):
            made = await make(story, other, needed=needed | {resource.item})
            if made is not None:
                story.release(made)
    for _ in range(_TRIES):
        for operation in resource.creates[:1]:
            case = story.case(operation, above)
            sent = await story.send(case, above)
            if sent and is_conflict(sent.exchange.reply):
                sent = await story.send(story.maker.renamed(case, story.rng), above)
            if sent and sent.ok and sent.made:
                story.keep(sent.made)
                await _look_for_made(story, sent, sent.made)
                return sent.made
    return None


async def _read(story: Story, thing: Thing) -> Sent | None:
    """Reads a thing; what it answers is kept."""
    return await story.on(thing, thing.resource.reads)


async def _list(story: Story, thing: Thing) -> None:
    """Lists the kind, and looks for the thing."""
    if not thing.resource.lists:
        return
    if await _listed_stays(story, thing, False, "missing"):
        what = "lists without what was made"
        story.broken("list_inconsistent", thing, what, (thing.resource.item, "missing"), _lists(story, thing, False))


async def _update(story: Story, thing: Thing) -> bool:
    """Changes a thing and reads it again; whether a change was taken."""
    before = await _read(story, thing)
    sent = await story.on(thing, thing.resource.updates) if before and before.ok else None
    if not sent or not sent.ok:
        return False
    if sent.exchange.reply.status == 202 or not await _read(story, thing):
        return True
    fields, certain = unseen_of(story.steps)
    if fields:
        what = f"accepts a change of {', '.join(sorted(fields))} that a read does not show"
        key, holds = (sent.exchange.case.operation.key, sorted(fields)[0]), lambda steps: bool(unseen_of(steps)[0])
        story.broken("update_not_visible", thing, what, key, holds, certain)
    return True


async def _put_twice(story: Story, thing: Thing) -> None:
    """The same PUT again leaves the same thing."""
    both = (*thing.resource.updates, *thing.resource.inner)
    first = await story.on(thing, tuple(each for each in both if each.method == "PUT"))
    if not first or not first.ok:
        return
    path = first.exchange.case.operation.path
    there = tuple(each for each in thing.resource.inner if each.method == "GET" and each.path == path)
    reads = there or thing.resource.reads
    if not await story.on(thing, reads, bare=True):
        return
    await story.again(first)
    await story.on(thing, reads, bare=True)
    fields = moved(story.steps)
    if fields:
        what = f"changes {', '.join(sorted(fields))} when the same PUT comes again"
        key = (first.exchange.case.operation.key, sorted(fields)[0])
        story.broken("non_idempotent_put", thing, what, key, lambda steps: bool(moved(steps)))


async def _act(story: Story, thing: Thing) -> None:
    """One of the operations below the item."""
    await story.on(thing, thing.resource.inner)


async def _gather(story: Story, thing: Thing) -> None:
    """Three of what belongs to a thing, then all of them."""
    inner = thing.resource.inner
    for operation in [each for each in inner if each.method == "POST"]:
        same = tuple(each for each in inner if each.method == "GET" and each.path == operation.path)
        if same:
            for _ in range(3):
                await story.send(story.case(operation, thing), thing)
            await story.on(thing, same)


async def _orphan(story: Story, thing: Thing) -> None:
    """Removes what a thing names or belongs to, then asks for the thing."""
    made = thing.history[0].case.body if thing.history else None
    named = {str(value) for _, value in leaves(made)} if isinstance(made, dict) else set()
    for resource in story.sender.memory.resources.values():
        for other in list(story.sender.memory.alive[resource.item]):
            free = other not in story.sender.memory.held or other in story.holds
            if other is thing or not free or not resource.deletes:
                continue
            if str(other.params.get(resource.key)) in named:
                story.hold(other)
                await story.on(other, resource.deletes)
                await _read(story, thing)
                await story.on(thing, (*thing.resource.lists, *thing.resource.updates, *thing.resource.inner))
                return


async def _remove(story: Story, thing: Thing) -> None:
    """Removes a thing, then asks for it in every way there is."""
    sent = await story.on(thing, thing.resource.deletes)
    if not sent or not sent.ok or sent.exchange.reply.status == 202:
        return
    await _look_for_removed(story, thing)
    resource = thing.resource
    after = [resource.updates, resource.deletes, resource.inner, resource.lists, resource.creates]
    story.rng.shuffle(after)
    for operations in after[:3]:
        await story.on(thing, operations)


async def at_once(story: Story, operation: Operation, thing: Thing | None) -> int:
    """Sends copies of one request at a time, and says how many; only the server's own faults are looked for.

    No request is sent so twice.
    """
    case = story.maker.valid(operation, story.rng, path=dict(thing.params) if thing else {})
    if not story.sender.is_new(case, "at once"):
        return 0
    copies = story.rng.choice(_COPIES)
    for sent in await asyncio.gather(*(story.sender.send(case, again=True) for _ in range(copies))):
        for each in sent.violations if sent else ():
            story.report(each)
    return copies


async def _above(story: Story, resource: Resource) -> Thing | None:
    """What a new thing belongs to: nothing (a thing without parameters), one that lives, or a new one."""
    if not resource.parent:
        return Thing(resource, {})
    parent = story.sender.memory.resources[resource.parent]
    free = [each for each in story.sender.memory.alive[parent.item] if each not in story.sender.memory.held]
    if free and story.rng.random() < 0.5:
        return story.hold(free[-1])
    return await make(story, parent) or (story.hold(free[-1]) if free else None)


async def _look_for_made(story: Story, made: Sent, thing: Thing) -> None:
    if made.exchange.reply.status == 202 or not thing.resource.reads:
        return

    async def is_missing() -> bool:
        found = await _read(story, thing)
        return found is not None and found.exchange.reply.status == 404

    if thing.guessed:
        if await is_missing():
            story.sender.memory.forget(thing.resource.item, thing.params)
        return
    key = (made.exchange.case.operation.key,)
    if await story.stays(is_missing, "created_not_found", *key):
        what = f"makes what {thing.resource.reads[0].key} does not find"
        story.broken("created_not_found", thing, what, key, lambda steps: not_found(steps, thing.resource))


async def _look_for_removed(story: Story, thing: Thing) -> None:
    async def is_there() -> bool:
        return await _read(story, thing) is not None and still_there(story.steps)

    if await story.stays(is_there, "use_after_delete", thing.resource.item, "read"):
        what = "still reads what was removed"
        story.broken("use_after_delete", thing, what, (thing.resource.item, "read"), still_there)
    if await _listed_stays(story, thing, True, "gone"):
        what = "still lists what was removed"
        story.broken("list_inconsistent", thing, what, (thing.resource.item, "gone"), _lists(story, thing, True))


async def _listed_stays(story: Story, thing: Thing, expected: bool, what: str) -> bool:
    """Whether lists of the kind have the thing, or have it not, as is not right, and stay so."""

    async def is_so() -> bool:
        sent = await story.on(thing, thing.resource.lists, bare=True)
        return sent is not None and listed(story.steps, thing.resource, story.identifier(thing)) is expected

    return await story.stays(is_so, "list_inconsistent", thing.resource.item, what)


def _lists(story: Story, thing: Thing, expected: bool) -> Callable[[Sequence[Exchange]], bool]:
    """Whether steps end in a list that has the thing, or has it not; what removed it must have gone well."""
    identifier = story.identifier(thing)

    def holds(steps: Sequence[Exchange]) -> bool:
        removed = any(each.request.method == "DELETE" and 200 <= each.reply.status < 300 for each in steps)
        if not expected and not is_read(steps, thing.resource):
            return False
        return removed is expected and listed(steps, thing.resource, identifier) is expected

    return holds
