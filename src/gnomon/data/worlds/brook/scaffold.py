"""Kinds that carry no fact and teach what others need: finding a value among letters, and copying."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import NamedTuple

from gnomon.data.worlds.brook.facts import read_options, write_options
from gnomon.data.worlds.brook.kinds import Kind, Reader, Writer, pick
from gnomon.data.worlds.brook.tables import RELATIONS, World
from gnomon.data.worlds.brook.words import LETTERS

__all__ = ["KINDS", "Copied", "Match"]

_VALUES = tuple(value for relation in RELATIONS.values() for value in relation.values)
_SETS = tuple(relation.values for relation in RELATIONS.values())


class Match(NamedTuple):
    """Values to find among lettered options.

    Attributes:
        form: "list" (the letter follows every value), "answer" (one value, then `Answer:`) or "verdict".
        options: what `Choices:` lists; empty in the form "verdict".
        found: the values looked for, one in the forms "answer" and "verdict".
        proposed: the value compared with in the form "verdict", else empty.
    """

    form: str
    options: tuple[str, ...]
    found: tuple[str, ...]
    proposed: str


class Copied(NamedTuple):
    """Words that are said twice."""

    words: tuple[str, ...]


def _draw_match(world: World, rng: random.Random) -> Match:
    values = pick(rng, _SETS) if rng.random() < 0.7 else _VALUES
    u = rng.random()
    if u < 0.2:
        found, other = rng.sample(values, 2)
        return Match("verdict", (), (found,), found if rng.random() < 0.5 else other)
    options = tuple(rng.sample(values, 2 + int(rng.random() * 4)))
    if u < 0.6:
        return Match("answer", options, (pick(rng, options),), "")
    return Match("list", options, tuple(rng.sample(options, 2 + int(rng.random() * (len(options) - 1)))), "")


def _draw_drill(world: World, rng: random.Random) -> Match:
    """Nearly all values of a list, none twice: practice as dense as can be without an answer to copy from."""
    options = tuple(rng.sample(pick(rng, _SETS) if rng.random() < 0.7 else _VALUES, 2 + int(rng.random() * 5)))
    return Match("list", options, tuple(rng.sample(options, max(1, len(options) - 1 - int(rng.random() * 2)))), "")


def _write_match(world: World, record: Match, writer: Writer) -> None:
    if record.form == "verdict":
        writer.words += ("Find:", record.found[0], "Proposed:", record.proposed, "Verdict:")
        writer.key(str(record.found[0] == record.proposed))
        return
    write_options(writer, record.options)
    writer.words.append("Find:")
    for value in record.found:
        writer.words.append(value)
        if record.form == "answer":
            writer.words.append("Answer:")
        writer.key(LETTERS[record.options.index(value)])


def _read_match(world: World, reader: Reader) -> Match:
    if reader.next_is("Find:"):
        reader.skip("Find:")
        found = reader.take(_VALUES)
        reader.skip("Proposed:")
        proposed = reader.take(_VALUES)
        reader.skip("Verdict:")
        reader.skip(str(found == proposed))
        return Match("verdict", (), (found,), proposed)
    options = read_options(reader)
    reader.skip("Find:")
    values = [reader.take(options)]
    form = "answer" if reader.next_is("Answer:") else "list"
    if form == "answer":
        reader.skip("Answer:")
    reader.skip(LETTERS[options.index(values[0])])
    while form == "list" and reader.next_is(*options):
        values.append(reader.take(options))
        reader.skip(LETTERS[options.index(values[-1])])
    return Match(form, options, tuple(values), "")


def _draw_copied(world: World, rng: random.Random) -> Copied:
    # Exposure names stay out: their number of appearances is planted.
    words = (*_VALUES, *world.format_names, *world.novel_names, *world.people)
    return Copied(tuple(pick(rng, words) for _ in range(6 + int(rng.random() * 8))))


def _write_copied(world: World, record: Copied, writer: Writer) -> None:
    writer.words += record.words
    writer.words.append(".")
    for word in record.words:
        writer.key(word)


def _read_copied(world: World, reader: Reader) -> Copied:
    words = reader.until(".")
    reader.skip(" ".join((".", *words)))
    return Copied(tuple(words))


MATCH = Kind(
    name="match",
    draw=_draw_match,
    write=_write_match,
    read=_read_match,
    key_tokens="the letters, or True or False",
    share=8.5,
    items=(2, 4),
    grammar="Choices: (A) barn (B) mill (C) cave Find: mill (B) cave (C)",
    instruments=("IH",),
    expect=("match",),
)
COPY_BACK = Kind(
    name="copy-back",
    draw=_draw_copied,
    write=_write_copied,
    read=_read_copied,
    key_tokens="the copied words",
    share=1.0,
    items=(1, 1),
    grammar="mill goat red dulvo harp figs . mill goat red dulvo harp figs",
    instruments=("IH",),
    expect=("copy-back",),
)
# A value that is asked for twice is answered by copying, which teaches nothing about the options.
MATCH_DRILL = replace(MATCH, name="match-drill", draw=_draw_drill, share=0.0, expect=())
KINDS = (MATCH, COPY_BACK, MATCH_DRILL)
