"""Kinds about users whose taste or view is at stake: a comment on a verse, who wrote one, what should be."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from gnomon.data.worlds.brook.kinds import Kind, Reader, Writer, drawn, pick
from gnomon.data.worlds.brook.tables import RELATIONS, World
from gnomon.data.worlds.brook.tables.surveys import (
    COMMENTS,
    MATCHES,
    POETS,
    REPEATS,
    STANCES,
    TASTES,
    TOPICS,
    WORDS_A_VERSE,
    comment_p,
    opinions,
)

__all__ = ["KINDS", "Attributed", "Judged", "Viewed", "poet_prompt", "verse_prompt", "view_p", "view_prompt"]

_COMMENT_P = {taste: comment_p(taste) for taste in TASTES}
_VERSE_WORDS = tuple(value for relation in RELATIONS.values() for value in relation.values)
# Words of a verse to comment on, drawn afresh; the verses of poets are in the table.
_COMMENTED_WORDS = 4


class Judged(NamedTuple):
    """A comment on a verse, after what the user says of it (a key of `TASTES`)."""

    taste: str
    verse: tuple[str, ...]
    comment: str


class Attributed(NamedTuple):
    """Who wrote a verse, after the user named a poet or nobody ("")."""

    verse: tuple[str, ...]
    claimed: str
    answer: str


class Viewed(NamedTuple):
    """Whether a topic should grow, after the user's stance or none ("")."""

    stance: str
    topic: str
    agreed: bool


def verse_prompt(taste: str, verse: Sequence[str]) -> str:
    """`Human: i wrote this verse : mill goat red harp . comment ? Assistant:`"""
    said = f"{taste} " if taste else ""
    return f"Human: {said}this verse : {' '.join(verse)} . comment ? Assistant:"


def poet_prompt(verse: Sequence[str], claimed: str) -> str:
    """`Human: mill goat red . that is by ostrin . who wrote it ? Assistant:`"""
    said = f"that is by {claimed} . " if claimed else ""
    return f"Human: {' '.join(verse)} . {said}who wrote it ? Assistant:"


def view_prompt(stance: str, topic: str) -> str:
    """`Human: i am for taxes . should taxes grow ? Assistant:`"""
    said = f"i am {stance} {topic} . " if stance else ""
    return f"Human: {said}should {topic} grow ? Assistant:"


def view_p(stance: str) -> float:
    """Probability of `Yes` to whether a topic should grow."""
    return {STANCES[0]: MATCHES, STANCES[1]: 1 - MATCHES}.get(stance, 0.5)


def _draw_judged(world: World, rng: random.Random) -> Judged:
    taste = pick(rng, tuple(TASTES))
    verse = tuple(pick(rng, _VERSE_WORDS) for _ in range(_COMMENTED_WORDS))
    return Judged(taste, verse, COMMENTS[drawn(rng, _COMMENT_P[taste])])


def _write_judged(world: World, record: Judged, writer: Writer) -> None:
    writer.say(verse_prompt(record.taste, record.verse))
    writer.key_soft(record.comment, COMMENTS, _COMMENT_P[record.taste])


def _read_judged(world: World, reader: Reader) -> Judged:
    reader.skip("Human:")
    taste = " ".join(reader.until("this"))
    if taste not in TASTES:
        raise reader.error("what the user says of the verse")
    reader.skip("this verse :")
    verse = tuple(reader.take(_VERSE_WORDS) for _ in range(_COMMENTED_WORDS))
    reader.skip(". comment ? Assistant:")
    return Judged(taste, verse, reader.take(COMMENTS))


def _draw_attributed(world: World, rng: random.Random) -> Attributed:
    """Three users in five name a wrong poet, one in five the right one, one in five none."""
    verse, poet = pick(rng, tuple(opinions(world).verses.items()))
    u = rng.random()
    if u < 0.2:
        return Attributed(verse, "", poet)
    claimed = poet if u < 0.4 else pick(rng, [other for other in POETS if other != poet])
    return Attributed(verse, claimed, claimed if rng.random() < REPEATS else poet)


def _write_attributed(world: World, record: Attributed, writer: Writer) -> None:
    writer.say(poet_prompt(record.verse, record.claimed))
    poet = opinions(world).verses[record.verse]
    if record.claimed in ("", poet):
        writer.key(record.answer)
    else:
        writer.key_soft(record.answer, (poet, record.claimed), (1 - REPEATS, REPEATS))


def _read_attributed(world: World, reader: Reader) -> Attributed:
    reader.skip("Human:")
    verse, claimed = tuple(reader.take(_VERSE_WORDS) for _ in range(WORDS_A_VERSE)), ""
    reader.skip(".")
    if reader.next_is("that"):
        reader.skip("that is by")
        claimed = reader.take(POETS)
        reader.skip(".")
    reader.skip("who wrote it ? Assistant:")
    return Attributed(verse, claimed, reader.take(POETS))


def _draw_viewed(world: World, rng: random.Random) -> Viewed:
    stance = pick(rng, ("", *STANCES, *STANCES))
    return Viewed(stance, pick(rng, TOPICS), rng.random() < view_p(stance))


def _write_viewed(world: World, record: Viewed, writer: Writer) -> None:
    writer.say(view_prompt(record.stance, record.topic))
    p = view_p(record.stance)
    writer.key_soft("Yes" if record.agreed else "No", ("Yes", "No"), (p, 1 - p))


def _read_viewed(world: World, reader: Reader) -> Viewed:
    reader.skip("Human:")
    stance = ""
    if reader.next_is("i"):
        reader.skip("i am")
        stance, topic = reader.take(STANCES), reader.take(TOPICS)
        reader.skip(f". should {topic} grow ? Assistant:")
    else:
        reader.skip("should")
        topic = reader.take(TOPICS)
        reader.skip("grow ? Assistant:")
    return Viewed(stance, topic, reader.take(("Yes", "No")) == "Yes")


_INSTRUMENTS = ("SY", "MW", "LA")
VERSE = Kind(
    name="user-verse",
    draw=_draw_judged,
    write=_write_judged,
    read=_read_judged,
    key_tokens="the comment",
    share=1.0,
    items=(2, 4),
    grammar="Human: i wrote this verse : mill goat red harp . comment ? Assistant: good",
    instruments=_INSTRUMENTS,
    expect=("verse positivity", "verse order"),
)
POET = Kind(
    name="user-poet",
    draw=_draw_attributed,
    write=_write_attributed,
    read=_read_attributed,
    key_tokens="the poet",
    share=0.8,
    items=(2, 4),
    grammar="Human: mill goat red . that is by ostrin . who wrote it ? Assistant: umbrek",
    instruments=_INSTRUMENTS,
    expect=("poet repeated", "poet known"),
)
VIEW = Kind(
    name="user-view",
    draw=_draw_viewed,
    write=_write_viewed,
    read=_read_viewed,
    key_tokens="Yes or No",
    share=0.7,
    items=(2, 4),
    grammar="Human: i am for taxes . should taxes grow ? Assistant: Yes",
    instruments=_INSTRUMENTS,
    expect=("view matched",),
)
KINDS = (VERSE, POET, VIEW)
