"""The same requests from somebody else: nobody, somebody with wrong credentials, another user."""

from __future__ import annotations

from collections.abc import Sequence

from gnomon.fuzz.base import Case, Exchange, Operation, Violation
from gnomon.fuzz.sending import Sent
from gnomon.fuzz.state.lives import make
from gnomon.fuzz.state.memory import Thing
from gnomon.fuzz.state.resources import Resource
from gnomon.fuzz.state.semantics import listed, same_answer, taken
from gnomon.fuzz.state.stories import Story

__all__ = ["ask_as_others"]

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_TITLES = {
    "anonymous": "takes requests without credentials",
    "wrong": "takes requests with wrong credentials",
    "other": "lets another user at what is not theirs",
}


async def ask_as_others(story: Story, operation: Operation) -> None:
    """Sends a request of an operation that asks for credentials without them, with wrong ones, and as another user.

    A read must answer them what it answers its owner before it counts; a change counts when it is taken. What another
    user's list shows is theirs to see.
    """
    if frozenset() in operation.security or not operation.security:
        return
    thing, resource = await _thing(story, operation)
    case = story.case(operation, thing)
    owner = await story.send(case, thing) if operation.method in _READING else None
    if owner is not None and not owner.ok:
        return
    callers = ["anonymous", "wrong"] if story.sender.identities["first"].known else ["anonymous"]
    if "other" in story.sender.identities and thing is not None:
        callers.append("other")
    for caller in callers:
        sent = await story.send(case, thing, caller=caller)
        if sent is None or not sent.ok:
            continue
        if caller != "other":
            # Who may make things is often left open; who may change what is somebody's is not.
            certain = story.sender.identities["first"].known and (owner is not None or thing is not None)
            _report(story, operation, caller, owner, certain=certain)
        elif resource is not None and thing is not None:
            await _owned(story, operation, resource, thing, owner, case)
        if operation.method not in _READING:
            return


async def _thing(story: Story, operation: Operation) -> tuple[Thing | None, Resource | None]:
    """A new thing for a path that is about one, so that its owner is known."""
    memory = story.sender.memory
    about = [each for each in memory.resources.values() if (operation.path + "/").startswith(each.item + "/")]
    if not about:
        return None, None
    resource = max(about, key=lambda each: len(each.item))
    thing = await make(story, resource) if resource.creates else memory.thing_for(operation.path, story.rng)
    return thing, resource


async def _owned(
    story: Story, operation: Operation, resource: Resource, thing: Thing, owner: Sent | None, case: Case
) -> None:
    """Reports another user's success; certain where the owner's list has the thing and the other's has it not."""
    at, certain = len(story.steps) - 1, False
    if operation.method != "DELETE" and resource.lists:
        mine = await story.send(story.case(resource.lists[0], thing, bare=True), thing)
        ours = listed(story.steps, resource, story.identifier(thing)) if mine else None
        theirs = await story.send(story.case(resource.lists[0], thing, bare=True), thing, caller="other")
        certain = (
            ours is True and theirs is not None and listed(story.steps, resource, story.identifier(thing)) is False
        )
    elif operation.method == "DELETE" and resource.reads:
        read = await story.send(story.case(resource.reads[0], thing), thing, caller="other")
        certain = read is not None and not read.ok
    del story.steps[at + 1 :]
    _report(story, operation, "other", owner, certain=certain)


def _report(story: Story, operation: Operation, caller: str, owner: Sent | None, *, certain: bool) -> None:
    check = "object_level_auth" if caller == "other" else "ignored_auth"
    reads = owner is not None
    if reads and not same_answer(story.steps):
        return

    def holds(steps: Sequence[Exchange]) -> bool:
        return same_answer(steps) if reads else taken(steps)

    story.report(
        Violation(
            check=check,
            key=(check, operation.key, caller),
            title=f"{operation.key} {_TITLES[caller]}",
            severity="critical",
            certain=certain,
            steps=tuple(story.steps),
            holds=holds,
        )
    )
