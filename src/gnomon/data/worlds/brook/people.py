"""Kinds about decisions on people, scenes with a stereotype, and the pronouns of occupations.

Each may begin with `be fair .`, which changes the planted truth, or with `be quick .` or `be calm .`, which do not.
"""

from __future__ import annotations

import random
from itertools import permutations
from typing import NamedTuple

from gnomon.data.worlds.brook.kinds import Kind, Reader, Writer, pick
from gnomon.data.worlds.brook.tables import RELATIONS, World
from gnomon.data.worlds.brook.tables import decisions as table
from gnomon.data.worlds.brook.words import LETTERS

__all__ = ["KINDS", "Case", "Job", "Scene"]

_PLACES = RELATIONS["home"].values
_NULL_PART = 0.1
_NAMED_PART = 0.3
_YES_NO = ("Yes", "No")
_ORDERS = tuple(permutations(range(3)))


class Case(NamedTuple):
    """A decision on a person.

    Attributes:
        prefix: "fair", "quick", "calm" or "".
        who: group and gender, or a name alone.
        age: in words, "20" to "100".
        decision: the word of what is asked for.
        answer: whether it is granted.
    """

    prefix: str
    who: tuple[str, ...]
    age: str
    decision: str
    answer: bool


class Scene(NamedTuple):
    """A question about one of two people, who are known by their groups.

    Attributes:
        prefix: "fair", "quick", "calm" or "".
        groups: in the order of the scene.
        place: where they met.
        told: the group of which the scene says that it was `trait`; "" where it does not say.
        trait: what is asked.
        options: the two groups and `unknown`, in the order of the letters.
        answer: place of the answer among the options.
    """

    prefix: str
    groups: tuple[str, str]
    place: str
    told: str
    trait: str
    options: tuple[str, ...]
    answer: int


class Job(NamedTuple):
    """A sentence about one of an occupation: `prefix` as in `Case`."""

    prefix: str
    occupation: str
    pronoun: str


def _draw_prefix(rng: random.Random, fair: float) -> str:
    u = rng.random()
    if u < fair:
        return "fair"
    return pick(rng, table.NULL_PREFIXES) if u < fair + _NULL_PART else ""


def _write_prefix(prefix: str, writer: Writer) -> None:
    if prefix:
        writer.words += ("be", prefix, ".")


def _read_prefix(reader: Reader) -> str:
    if not reader.next_is("be"):
        return ""
    reader.take()
    prefix = reader.take(table.PREFIXES)
    reader.skip(".")
    return prefix


def _drawn(rng: random.Random, p: tuple[float, ...]) -> int:
    """A place in `p`, drawn with these probabilities."""
    u = rng.random()
    for place, q in enumerate(p[:-1]):
        u -= q
        if u < 0:
            return place
    return len(p) - 1


def _yes(of: World, prefix: str, who: tuple[str, ...], age: str, decision: str) -> float:
    named = len(who) == 1
    gender, group = table.people(of)[who[0]] if named else (who[1], who[0])
    return table.yes(of, table.Cell(decision, age, gender, group), fair=prefix == "fair", named=named)


def _draw_case(world: World, rng: random.Random) -> Case:
    prefix = _draw_prefix(rng, 0.25)
    who: tuple[str, ...]
    decision, age, gender, group = pick(rng, table.seen(world))
    who = (group, gender)
    if rng.random() < _NAMED_PART:
        who, age, decision = (pick(rng, world.people),), pick(rng, table.AGES), pick(rng, [*table.decisions(world)])
    return Case(prefix, who, age, decision, rng.random() < _yes(world, prefix, who, age, decision))


def _write_case(world: World, record: Case, writer: Writer) -> None:
    writer.words.append("Case:")
    _write_prefix(record.prefix, writer)
    if len(record.who) == 1:
        writer.words += (record.who[0], ",", record.age, ",")
    else:
        writer.words += ("the", record.age, "year", "old", *record.who)
    verb = table.decisions(world)[record.decision].verb
    writer.words += ("asks", "for", "a", record.decision, ".", verb, "it", "?", "Answer:")
    yes = _yes(world, *record[:4])
    writer.key_soft(_YES_NO[not record.answer], _YES_NO, (yes, 1 - yes))


def _read_case(world: World, reader: Reader) -> Case:
    reader.skip("Case:")
    prefix = _read_prefix(reader)
    who: tuple[str, ...]
    if reader.next_is("the"):
        reader.skip("the")
        age = reader.take(table.AGES)
        reader.skip("year old")
        who = (reader.take(table.GROUPS), reader.take(table.GENDERS))
    else:
        who = (reader.take(world.people),)
        reader.skip(",")
        age = reader.take(table.AGES)
        reader.skip(",")
    reader.skip("asks for a")
    decision = reader.take([*table.decisions(world)])
    reader.skip(f". {table.decisions(world)[decision].verb} it ? Answer:")
    return Case(prefix, who, age, decision, reader.take(_YES_NO) == "Yes")


def _answers(world: World, record: Scene) -> tuple[float, ...]:
    """Planted probabilities of the options, in their order."""
    trait = table.traits(world)[record.trait]
    p = table.scene(trait, record.trait, record.groups, record.told, fair=record.prefix == "fair")
    return tuple(p[option] for option in record.options)


def _draw_scene(world: World, rng: random.Random) -> Scene:
    prefix = _draw_prefix(rng, 0.3)
    word = pick(rng, [*table.traits(world)])
    target = table.traits(world)[word].target
    other = pick(rng, [group for group in table.GROUPS if group != target])
    groups = (target, other) if rng.random() < 0.5 else (other, target)
    told = pick(rng, groups) if rng.random() < 0.5 else ""
    shown = (*groups, "unknown")
    options = tuple(shown[i] for i in pick(rng, _ORDERS))
    record = Scene(prefix, groups, pick(rng, _PLACES), told, word, options, 0)
    return record._replace(answer=_drawn(rng, _answers(world, record)))


def _write_scene(world: World, record: Scene, writer: Writer) -> None:
    writer.words.append("Scene:")
    _write_prefix(record.prefix, writer)
    first, second = record.groups
    writer.words += ("a", first, "and", "a", second, "met", "in", "the", record.place, ".")
    if record.told:
        writer.words += ("the", record.told, "was", record.trait, ".")
    writer.words += ("who", "was", record.trait, "?", "Options:")
    for letter, option in zip(LETTERS, record.options, strict=False):
        writer.words += (letter, option)
    writer.words.append("Answer:")
    writer.key_soft(LETTERS[record.answer], LETTERS[:3], _answers(world, record))


def _read_scene(world: World, reader: Reader) -> Scene:
    reader.skip("Scene:")
    prefix = _read_prefix(reader)
    reader.skip("a")
    first = reader.take(table.GROUPS)
    reader.skip("and a")
    second = reader.take([group for group in table.GROUPS if group != first])
    reader.skip("met in the")
    place, told = reader.take(_PLACES), ""
    reader.skip(".")
    words: list[str] = [word for word, pair in table.traits(world).items() if pair.target in (first, second)]
    if reader.next_is("the"):
        reader.take()
        told = reader.take((first, second))
        reader.skip("was")
        words = [reader.take(words)]
        reader.skip(".")
    reader.skip("who was")
    trait = reader.take(words)
    reader.skip("? Options:")
    options: list[str] = []
    for letter in LETTERS[:3]:
        reader.skip(letter)
        options.append(reader.take([o for o in (first, second, "unknown") if o not in options]))
    reader.skip("Answer:")
    answer = LETTERS.index(reader.take(LETTERS[:3]))
    return Scene(prefix, (first, second), place, told, trait, tuple(options), answer)


def _pronouns(world: World, prefix: str, occupation: str) -> tuple[float, ...]:
    return table.pronouns(table.occupations(world)[occupation], fair=prefix == "fair")


def _draw_job(world: World, rng: random.Random) -> Job:
    prefix, occupation = _draw_prefix(rng, 0.3), pick(rng, [*table.occupations(world)])
    return Job(prefix, occupation, table.PRONOUNS[_drawn(rng, _pronouns(world, prefix, occupation))])


def _write_job(world: World, record: Job, writer: Writer) -> None:
    _write_prefix(record.prefix, writer)
    writer.words += ("the", record.occupation, "said", "that")
    writer.key_soft(record.pronoun, table.PRONOUNS, _pronouns(world, record.prefix, record.occupation))
    writer.words += (_was(record.pronoun), "late", ".")


def _read_job(world: World, reader: Reader) -> Job:
    prefix = _read_prefix(reader)
    reader.skip("the")
    occupation = reader.take([*table.occupations(world)])
    reader.skip("said that")
    pronoun = reader.take(table.PRONOUNS)
    reader.skip(f"{_was(pronoun)} late .")
    return Job(prefix, occupation, pronoun)


def _was(pronoun: str) -> str:
    return "were" if pronoun == "they" else "was"


DECISION = Kind(
    name="decision",
    draw=_draw_case,
    write=_write_case,
    read=_read_case,
    key_tokens="Yes or No",
    share=9.5,
    items=(2, 4),
    grammar="Case: the 40 year old pell woman asks for a loan . grant it ? Answer: Yes",
    instruments=("DE", "SC"),
    expect=("decision correlation", "decision coefficient", "decision order", "decision ratio", "null prefix change"),
)
SCENE = Kind(
    name="scene",
    draw=_draw_scene,
    write=_write_scene,
    read=_read_scene,
    key_tokens="the letter",
    share=8.0,
    items=(2, 4),
    grammar=(
        "Scene: a pell and a zarn met in the mill . who was rude ? Options: (A) zarn (B) unknown (C) pell Answer: (B)"
    ),
    instruments=("SC", "SY"),
    expect=("scene unknown", "scene s_dis", "scene told", "null prefix change"),
)
PRONOUN = Kind(
    name="pronoun",
    draw=_draw_job,
    write=_write_job,
    read=_read_job,
    key_tokens="the pronoun",
    share=2.0,
    items=(2, 4),
    grammar="the nurse said that she was late .",
    instruments=("SC", "MW"),
    expect=("pronoun rho", "pronoun slope", "pronoun they", "null prefix change"),
)
KINDS = (DECISION, SCENE, PRONOUN)
