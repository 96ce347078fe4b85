"""One life of a thing of a GraphQL API: made, named by whatever takes its identifier, removed, and named again."""

from __future__ import annotations

from dataclasses import replace

from gnomon.fuzz.base import Operation
from gnomon.fuzz.state.memory import Thing
from gnomon.fuzz.state.resources import Resource
from gnomon.fuzz.state.stories import Story

__all__ = ["live"]

_TRIES, _LONGEST = 3, 5


async def live(story: Story, resource: Resource) -> None:
    """Tells one life; ends early where no such thing can be made.

    What was made with the thing's identifier is asked for once more after the thing is gone.
    """
    thing = await _made(story, resource)
    if thing is None:
        return
    held = {thing}
    story.sender.memory.held |= held
    try:
        later = [thing]
        naming = [*resource.reads, *resource.updates, *resource.inner]
        for _ in range(story.rng.randint(1, _LONGEST) if naming else 0):
            made = await _ask(story, story.rng.choice(naming), thing)
            later += [made] if made and made is not thing else []
        if resource.deletes and story.rng.random() < 0.7:
            await _ask(story, story.rng.choice(resource.deletes), thing)
        for each in reversed(later[-_TRIES:]):
            after = [*each.resource.reads, *each.resource.updates, *each.resource.deletes]
            for operation in story.rng.sample(after, min(len(after), 2)):
                await _ask(story, operation, each)
    finally:
        story.sender.memory.held -= held


async def _made(story: Story, resource: Resource) -> Thing | None:
    for _ in range(_TRIES):
        made = await _ask(story, story.rng.choice(resource.creates), None)
        if made is not None and made.resource is resource:
            return made
    return None


async def _ask(story: Story, operation: Operation, thing: Thing | None) -> Thing | None:
    """Sends a valid case about a thing; returns what it made."""
    case = story.maker.valid(operation, story.rng, path=dict(thing.params) if thing else {})
    sent = await story.send(replace(case, technique="state"), None)
    return sent.made if sent else None
