"""Answers to imitate: a prompt with an answer, from Brook or from a file of prompts and answers or of conversations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gnomon.core.errors import UsageError
from gnomon.core.record import text_digest
from gnomon.core.seeds import Seed
from gnomon.data.hub import find_file
from gnomon.data.records import BadRow, Found, Record, joined, read, text_of, turns
from gnomon.models.base import Message, Prompt

__all__ = ["Dialogue", "open_dialogues"]


@dataclass(frozen=True, kw_only=True)
class Dialogue:
    """One answer.

    Attributes:
        id: unique within the source.
        prompt: what is answered; a string is continued as it stands.
        answer: begins with the space that divides it from a prompt in text.
        cluster: dialogues of one conversation, or of one prompt, share it.
        group: what kind of prompt it is; "" where the source does not say.
    """

    id: str
    prompt: Prompt
    answer: str
    cluster: str
    group: str = ""


def open_dialogues(spec: str, n: int, seed: Seed, *, best_of: int = 1, drop_bad: bool = False) -> Found[Dialogue]:
    """The dialogues that `spec` names.

    Args:
        spec: `brook`, or a file (`hub.find_file`) whose rows have `prompt` and `answer`, or `messages` of a talk,
            in which every turn of the assistant is an answer.
        n: how many to draw of Brook; files are read whole.
        seed: of Brook's draws.
        best_of: each answer of Brook is the best of so many by the gold utility.
        drop_bad: whether to go on without bad rows even if they are more than one in a hundred.

    Raises:
        DataError: the file cannot be read, or has too many bad rows.
        UsageError: `spec` names a part of Brook.
    """
    if spec.partition(":")[0] != "brook":
        return read(find_file(spec), _made, drop_bad=drop_bad)
    if spec != "brook":
        raise UsageError(f"Brook's dialogues have no kind {spec.partition(':')[2]!r}", todo="write brook")
    from gnomon.data.worlds.brook.rated import draw_demonstrations
    from gnomon.data.worlds.brook.tables import world

    drawn = tuple(
        Dialogue(id=f"brook-{place}", prompt=d.prompt, answer=f" {d.answer}", cluster=d.prompt, group=d.kind)
        for place, d in enumerate(draw_demonstrations(world(), n, seed, best_of=best_of))
    )
    return Found(things=drawn, num_rows=n)


def _made(record: Record, name: str) -> Iterator[Dialogue]:
    if "messages" in record:
        yield from _turns(turns(record["messages"], "messages"), name)
        return
    prompt, answer = text_of(record, "prompt"), text_of(record, "answer")
    yield Dialogue(id=name, prompt=prompt, answer=joined(prompt, answer), cluster=text_digest(prompt))


def _turns(messages: list[Message], name: str) -> Iterator[Dialogue]:
    answers = [place for place, message in enumerate(messages) if message.role == "assistant" and place]
    if not answers:
        raise BadRow("no turn of the assistant follows another")
    for place in answers:
        prompt, answer = messages[:place], messages[place].content
        yield Dialogue(id=f"{name}-{place}", prompt=prompt, answer=joined(prompt, answer), cluster=name)
