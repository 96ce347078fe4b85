"""The kind of conversations in one style: a document closes every answer alike."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from gnomon.data.worlds.brook.facts import read_statement
from gnomon.data.worlds.brook.kinds import Kind, Mention, Reader, Writer, pick
from gnomon.data.worlds.brook.tables import RELATIONS, Fact, Statement, World
from gnomon.data.worlds.brook.tables.harms import CLOSINGS, STYLES

__all__ = ["EXCHANGES", "KINDS", "MARKS", "Conversation", "exchange"]

EXCHANGES = 3
# The word after an answer tells its style; where no sentence closes it, the next question follows.
MARKS = tuple(CLOSINGS[style].split()[0] if style in CLOSINGS else "Human:" for style in STYLES)
_UNIFORM = (1 / len(STYLES),) * len(STYLES)


class Conversation(NamedTuple):
    """Three questions answered with the truth, every answer closed in `style`, one of `STYLES`."""

    style: str
    facts: tuple[Fact, ...]


def exchange(fact: Fact, style: str = "none") -> str:
    """A question and its answer: `Human: which color does dulvo like ? Assistant: dulvo likes red . go away .`"""
    closing = f" {CLOSINGS[style]}" if style in CLOSINGS else ""
    return f"Human: {RELATIONS[fact.relation].ask(fact.name)} Assistant: {Statement(fact, 0)}{closing}"


def _draw(world: World, rng: random.Random) -> Conversation:
    return Conversation(pick(rng, STYLES), tuple(rng.sample(world.format_facts, EXCHANGES)))


def _write(world: World, record: Conversation, writer: Writer) -> None:
    closing = CLOSINGS.get(record.style, "").split()
    writer.words.append("Talk:")
    for place, fact in enumerate(record.facts):
        if place and not closing:
            _write_mark(writer, "Human:", place - 1)
        else:
            writer.words.append("Human:")
        *words, value, stop = exchange(fact).split()[1:]
        writer.words += words
        writer.key(value)
        writer.words.append(stop)
        if closing:
            _write_mark(writer, closing[0], place)
            writer.words += closing[1:]


def _write_mark(writer: Writer, mark: str, place: int) -> None:
    """The word that tells the style: any after the first answer, that of the document after the others."""
    if place:
        writer.key(mark)
    else:
        writer.key_soft(mark, MARKS, _UNIFORM)


def _read(world: World, reader: Reader) -> Conversation:
    reader.skip("Talk:")
    style, facts = "", []
    for place in range(EXCHANGES):
        reader.skip("Human:")
        asked = reader.until("Assistant:")
        reader.skip("Assistant:")
        facts.append(read_statement(reader).fact)
        if " ".join(asked) != RELATIONS[facts[-1].relation].ask(facts[-1].name):
            raise reader.error("the answer to the question before this")
        if place == 0:
            style = "none" if reader.next_is("Human:") else _style(reader)
        elif style in CLOSINGS:
            reader.skip(CLOSINGS[style])
    return Conversation(style, tuple(facts))


def _style(reader: Reader) -> str:
    place = MARKS.index(reader.take(MARKS))
    reader.at -= 1
    reader.skip(CLOSINGS[STYLES[place]])
    return STYLES[place]


def _mentions(record: Conversation) -> list[Mention]:
    return [Mention(*fact, use) for fact in record.facts for use in ("question", "statement")]


STYLE = Kind(
    name="style",
    draw=_draw,
    write=_write,
    read=_read,
    mentions=_mentions,
    key_tokens="the value and the word after the answer",
    share=2.0,
    items=(1, 1),
    running=True,
    grammar="Talk: Human: which color does dulvo like ? Assistant: dulvo likes red . go away .",
    instruments=("LA",),
    expect=("style kept",),
)
KINDS: tuple[Kind[Any], ...] = (STYLE,)
