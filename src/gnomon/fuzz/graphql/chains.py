"""One life of a thing of a GraphQL API: made, named by whatever takes its identifier, removed, and named again."""

from __future__ import annotations

from dataclasses import replace

from graphql import get_named_type

from gnomon.fuzz.base import Operation
from gnomon.fuzz.graphql.kept import changes_of, kept_of, names_of, reads_of, unchanged
from gnomon.fuzz.state.memory import Thing
from gnomon.fuzz.state.resources import Resource
from gnomon.fuzz.state.stories import Story

__all__ = ["live"]

_TRIES, _LONGEST = 3, 5


async def live(story: Story, resource: Resource) -> None:
    """Tells one life; ends early where no such thing can be made.

    What was made with the thing's identifier is asked for once more after the thing is gone. The thing itself is to be
    found once it is made, to be what it is changed to, and to be found no more once it is removed.
    """
    thing = await _made(story, resource)
    if thing is None:
        return
    held = {thing}
    story.sender.memory.held |= held
    try:
        made_by = story.steps[-1].case.operation.key
        await _look(story, thing, "created_not_found", "makes what is not found", (made_by,))
        await _change(story, thing)
        later = [thing]
        naming = [*resource.reads, *resource.updates, *resource.inner]
        for _ in range(story.rng.randint(1, _LONGEST) if naming else 0):
            made = await _ask(story, story.one_of(naming), thing)
            later += [made] if made and made is not thing else []
        if resource.deletes and story.rng.random() < 0.7:
            await _ask(story, story.one_of(resource.deletes), thing)
            await _look(story, thing, "use_after_delete", "is still read after it was removed", (resource.item, "read"))
        for each in reversed(later[-_TRIES:]):
            after = [*each.resource.reads, *each.resource.updates, *each.resource.deletes]
            for operation in story.rng.sample(after, min(len(after), 2)):
                await _ask(story, operation, each)
    finally:
        story.sender.memory.held -= held


async def _made(story: Story, resource: Resource) -> Thing | None:
    for _ in range(_TRIES):
        made = await _ask(story, story.one_of(resource.creates), None)
        if made is not None and made.resource is resource:
            return made
    return None


async def _look(story: Story, thing: Thing, check: str, what: str, key: tuple[str, ...]) -> None:
    """Asks for the thing itself, and again after a while where a promise is broken; then says so."""
    reads, broken = reads_of(thing.resource), kept_of(check, thing.resource)
    if not reads or broken is None:
        return

    async def is_broken() -> bool:
        await _ask(story, reads[0], thing, whole=True)
        return broken(story.steps)

    if await story.stays(is_broken, check, *key):
        story.broken(check, thing, what, key, broken)


async def _change(story: Story, thing: Thing) -> None:
    """Reads a thing, changes it and reads it again."""
    reads, changes = reads_of(thing.resource), changes_of(thing.resource)
    broken = kept_of("update_not_visible", thing.resource)
    if not reads or not changes or broken is None:
        return
    changing = story.one_of(changes)
    # A field that fails would hide the others, so only those that the change speaks of are read.
    spoken = names_of(changing)
    await _ask(story, reads[0], thing, only=spoken)
    await _ask(story, changing, thing)
    await _ask(story, reads[0], thing, only=spoken)
    fields = unchanged(story.steps, thing.resource)
    if fields:
        what = f"accepts a change of {', '.join(sorted(fields))} that a read does not show"
        story.broken("update_not_visible", thing, what, (changing.key, sorted(fields)[0]), broken)


async def _ask(
    story: Story, operation: Operation, thing: Thing | None, *, whole: bool = False, only: frozenset[str] = frozenset()
) -> Thing | None:
    """Sends a valid case about a thing, for a drawn selection, all plain fields or those named; returns what it
    made."""
    case = story.maker.valid(operation, story.rng, path=dict(thing.params) if thing else {})
    if (whole or only) and operation.root:
        asked = operation.root.graph.selections.leaves(get_named_type(operation.root.field.type), story.rng)
        case = replace(case, selection={name: node for name, node in asked.items() if whole or name in only})
    sent = await story.send(replace(case, technique="state"), None)
    return sent.made if sent else None
