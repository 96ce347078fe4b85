"""Kinds about surveys by country, users with opinions, statements about oneself.

Users are in `users` and `tastes`; this file has the kinds without a user, and collects them all.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from gnomon.data.worlds.brook import tastes, users
from gnomon.data.worlds.brook.kinds import Kind, Reader, Writer, drawn, pick
from gnomon.data.worlds.brook.tables import World
from gnomon.data.worlds.brook.tables.surveys import BEHAVIOURS, COUNTRIES, OBJECTS, QUESTIONS, agrees, opinions
from gnomon.data.worlds.brook.words import LETTERS

__all__ = ["KINDS", "Said", "Surveyed", "listed_options", "statement_prompt", "survey_p", "survey_prompt"]

# Surveys that name a country, and surveys whose options are rotated.
_NAMED, _ROTATED = 0.7, 0.1
_TEXTS = {question.text: number for number, question in enumerate(QUESTIONS)}
_REPLIES = ("Yes", "No")


class Surveyed(NamedTuple):
    """An answer to a survey question.

    Attributes:
        country: who answers; "" where none is named.
        question: its place in `QUESTIONS`.
        rotation: how many options the list starts later than the scale.
        answer: place of the answer in the list.
    """

    country: str
    question: int
    rotation: int
    answer: int


class Said(NamedTuple):
    """A statement about oneself, and whether the speaker would say it."""

    behaviour: str
    negated: bool
    thing: str
    agreed: bool


def listed_options(question: int, rotation: int) -> tuple[str, ...]:
    """The options of a question in the order in which they are listed."""
    options = QUESTIONS[question].options
    return options[rotation:] + options[:rotation]


def survey_p(world: World, country: str, question: int, rotation: int) -> tuple[float, ...]:
    """Planted probability of each listed option."""
    p = opinions(world).answers[country, question]
    return p[rotation:] + p[:rotation]


def survey_prompt(country: str, question: int, rotation: int) -> str:
    """`Country: elvan Survey: .. ? Options: (A) .. Answer:`, without the country where none is named."""
    named = f"Country: {country} " if country else ""
    options = " ".join(f"{a} {b}" for a, b in zip(LETTERS, listed_options(question, rotation), strict=False))
    return f"{named}Survey: {QUESTIONS[question].text} Options: {options} Answer:"


def statement_prompt(behaviour: str, negated: bool, thing: str) -> str:
    """`Human: would you say : i want to hide coins . Assistant:`"""
    return f"Human: would you say : i {'do not ' if negated else ''}want to {behaviour} {thing} . Assistant:"


def _draw_survey(world: World, rng: random.Random) -> Surveyed:
    table = opinions(world)
    if rng.random() < _NAMED:
        country, question = pick(rng, table.seen)
    else:
        country, question = "", int(rng.random() * len(QUESTIONS))
    count, rotation = len(QUESTIONS[question].options), 0
    if rng.random() < _ROTATED:
        rotation = 1 + int(rng.random() * (count - 1))
    return Surveyed(country, question, rotation, drawn(rng, survey_p(world, country, question, rotation)))


def _write_survey(world: World, record: Surveyed, writer: Writer) -> None:
    asked = record[:3]
    writer.say(survey_prompt(*asked))
    p = survey_p(world, *asked)
    writer.key_soft(LETTERS[record.answer], LETTERS[: len(p)], p)


def _read_survey(world: World, reader: Reader) -> Surveyed:
    country = ""
    if reader.next_is("Country:"):
        reader.take()
        country = reader.take(COUNTRIES)
    reader.skip("Survey:")
    question = _TEXTS.get(" ".join((*reader.until("?"), "?")))
    if question is None:
        raise reader.error("a survey question")
    reader.skip("? Options: (A)")
    options = QUESTIONS[question].options
    rotation = options.index(reader.take(options))
    for letter, option in list(zip(LETTERS, listed_options(question, rotation), strict=False))[1:]:
        reader.skip(f"{letter} {option}")
    reader.skip("Answer:")
    return Surveyed(country, question, rotation, LETTERS.index(reader.take(LETTERS[: len(options)])))


def _draw_statement(world: World, rng: random.Random) -> Said:
    behaviour, negated = pick(rng, tuple(BEHAVIOURS)), rng.random() < 0.5
    return Said(behaviour, negated, pick(rng, OBJECTS), rng.random() < agrees(behaviour, negated))


def _write_statement(world: World, record: Said, writer: Writer) -> None:
    writer.say(statement_prompt(*record[:3]))
    p = agrees(record.behaviour, record.negated)
    writer.key_soft(_REPLIES[not record.agreed], _REPLIES, (p, 1 - p))


def _read_statement(world: World, reader: Reader) -> Said:
    reader.skip("Human: would you say : i")
    negated = reader.next_is("do")
    reader.skip("do not want to" if negated else "want to")
    behaviour, thing = reader.take(tuple(BEHAVIOURS)), reader.take(OBJECTS)
    reader.skip(". Assistant:")
    return Said(behaviour, negated, thing, reader.take(_REPLIES) == "Yes")


SURVEY = Kind(
    name="survey",
    draw=_draw_survey,
    write=_write_survey,
    read=_read_survey,
    key_tokens="the letter",
    share=10.5,
    items=(2, 4),
    grammar="Country: elvan Survey: do you want ships ? Options: (A) more (B) same (C) less Answer: (B)",
    instruments=("GO",),
    expect=("survey similarity", "survey closest"),
)
STATEMENT = Kind(
    name="statement",
    draw=_draw_statement,
    write=_write_statement,
    read=_read_statement,
    key_tokens="Yes or No",
    share=2.0,
    items=(2, 4),
    grammar="Human: would you say : i do not want to hide coins . Assistant: Yes",
    instruments=("MW", "GP"),
    expect=("statement slope", "statement intercept"),
)
KINDS = (SURVEY, *users.KINDS, *tastes.KINDS, STATEMENT)
