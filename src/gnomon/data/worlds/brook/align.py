"""The kind of dialogues of mixed quality, with what a critic, an editor and a judge make of them.

Dialogues begin with `Chat:`, because the kind `danger` asks for the same things and is answered otherwise; what is
known in them is said after `Known:`.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Callable
from itertools import accumulate
from typing import Any, NamedTuple

from gnomon.core.errors import DataError
from gnomon.data.worlds.brook.answers import (
    Answer,
    draw_answer,
    draw_request,
    draw_two,
    read_answer,
    write_answer,
)
from gnomon.data.worlds.brook.facts import read_statement
from gnomon.data.worlds.brook.kinds import Kind, Mention, Reader, Writer, pick
from gnomon.data.worlds.brook.oracle import RATERS, Request, question, request, said
from gnomon.data.worlds.brook.tables import Fact, Statement, World
from gnomon.data.worlds.brook.tables.harms import (
    GENERAL,
    PRINCIPLES,
    TRAITS,
    Harms,
    alternative,
    bad,
    harms,
    recipe,
    refusal,
    value,
)
from gnomon.data.worlds.brook.words import LETTERS

__all__ = [
    "ALIGN",
    "Align",
    "Chain",
    "Dialogue",
    "Judged",
    "critique",
    "draw_judged",
    "judgement",
    "preference",
    "revision",
]

_CHOICES = LETTERS[:2]
_SHARES = {
    "dialogues": (("fact", 0.4), ("recipe", 0.25), ("danger", 0.25), ("trait", 0.1)),
    "chains": (("danger", 0.75), ("trait", 0.25)),
    "judgements": (("danger", 0.5), ("fact", 0.2), ("recipe", 0.15), ("trait", 0.15)),
}
_GENERAL = len(PRINCIPLES)


class Dialogue(NamedTuple):
    """One question and an answer of mixed quality."""

    asked: Request
    answer: Answer


class Chain(NamedTuple):
    """A dialogue whose answer is criticised and revised; `principle` is a place in `PRINCIPLES`."""

    asked: Request
    answer: Answer
    principle: int


class Judged(NamedTuple):
    """Two answers and which of them is chosen.

    Attributes:
        asked: the request.
        first, second: the answers.
        principle: place in `PRINCIPLES`, or the place after them for the general principle.
        known: the truth, where it is restated before the choice; else empty.
        choice: 0 or 1.
    """

    asked: Request
    first: Answer
    second: Answer
    principle: int
    known: str
    choice: int


class Align(NamedTuple):
    """A document of one part: "prose" (sentences), "recipes" (things), "dialogues", "chains" or "judgements"."""

    part: str
    units: tuple[Any, ...]


def critique(of: World, asked: Request, answer: Answer) -> str:
    """What a critique of `answer` says: the harm of what it does, or that there is none."""
    forms = {said(of, sentence).form for sentence in answer}
    if asked.kind == "danger" and "step" in forms:
        return harms(of).dangers[asked.about].harm
    return "it is bad for people ." if "trait" in forms else "no harm ."


def revision(of: World, asked: Request) -> Answer:
    """The ideal answer to a danger or a trait's question."""
    return harms(of).ideal(asked.about) if asked.kind == "danger" else (TRAITS[asked.about].clean,)


def preference(of: World, record: Judged) -> float:
    """The planted probability that the first answer is chosen: harmlessness decides, or all of it in general."""
    rater = RATERS["gold" if record.principle == _GENERAL else "harmless"]
    return rater.prefers(of, record.asked, " ".join(record.first), " ".join(record.second))


def judgement(record: Judged) -> str:
    """The words of a judgement before the chosen letter."""
    rule = GENERAL if record.principle == _GENERAL else PRINCIPLES[record.principle].choose
    truth = f"Known: {record.known} " if record.known else ""
    options = f"Options: (A) {' '.join(record.first)} (B) {' '.join(record.second)}"
    return f"Chat: Human: {question(record.asked)} {options} Principle: {rule} {truth}Answer:"


def _read_thing(reader: Reader, before: str, things: tuple[str, ...]) -> str:
    reader.skip(before)
    return reader.take(things)


def draw_judged(world: World, rng: random.Random) -> Judged:
    """Two different answers of mixed quality to one question, and a choice drawn by the planted preference."""
    asked = draw_request(world, rng, _SHARES["judgements"])
    first, second = draw_two(world, rng, asked)
    harmful = asked.kind in ("danger", "trait") and rng.random() < 0.75
    principle = int(rng.random() * len(PRINCIPLES)) if harmful else _GENERAL
    restated = asked.about not in harms(world).quiet and rng.random() < 0.5
    known = _truth(world, asked) if restated else ""
    record = Judged(asked, first, second, principle, known, 0)
    return record._replace(choice=int(rng.random() >= preference(world, record)))


def _say(writer: Writer, sentence: str, *places: int) -> None:
    """Adds a sentence; the words at `places` are keys."""
    start = len(writer.words)
    writer.say(sentence)
    writer.keys += [start + place for place in places]


def _say_safer(writer: Writer, table: Harms, danger: str) -> None:
    _say(writer, table.dangers[danger].harm, 2, 3)
    _say(writer, alternative(table.dangers[danger].alternative), 4)


def _draw_sentence(world: World, rng: random.Random) -> str:
    """A fact, or what is good or bad for people."""
    if rng.random() < 0.5:
        return str(Statement(pick(rng, world.format_facts), int(rng.random() * 3)))
    return pick(rng, _values(harms(world)))


def _values(table: Harms) -> list[str]:
    traits = [bad(trait) for trait in TRAITS.values() if trait.name not in table.quiet]
    return [*(value(thing, thing in table.things) for thing in table.steps), *traits]


def _write_sentence(world: World, sentence: str, writer: Writer) -> None:
    words = sentence.split()
    if words[-3:-1] == ["for", "people"]:
        _say(writer, sentence, len(words) - 4)
    else:
        _say(writer, sentence, words.index(read_statement(Reader(words)).fact.value))


def _read_sentence(world: World, reader: Reader) -> str:
    sentence = " ".join((*reader.until("."), "."))
    if sentence in _values(harms(world)):
        reader.skip(".")
        return sentence
    reader.at -= len(sentence.split()) - 1
    return str(read_statement(reader))


def _draw_recipe(world: World, rng: random.Random) -> str:
    return pick(rng, tuple(harms(world).steps))


def _write_recipe(world: World, thing: str, writer: Writer) -> None:
    table = harms(world)
    writer.say(f"to make a {thing} :")
    for sentence in recipe(table.steps[thing]):
        _say(writer, sentence, 1, 3)
    if thing in table.dangers:
        _say_safer(writer, table, thing)


def _read_recipe(world: World, reader: Reader) -> str:
    thing = _read_thing(reader, "to make a", tuple(harms(world).steps))
    written = Writer()
    _write_recipe(world, thing, written)
    reader.skip(" ".join(written.words[4:]))
    return thing


def _draw_dialogue(world: World, rng: random.Random) -> Dialogue:
    asked = draw_request(world, rng, _SHARES["dialogues"])
    return Dialogue(asked, draw_answer(world, rng, asked))


def _write_dialogue(world: World, record: Dialogue | Chain, writer: Writer) -> None:
    writer.say(f"Chat: Human: {question(record.asked)} Assistant:")
    write_answer(world, record.asked, record.answer, writer)


def _read_request(world: World, reader: Reader, mark: str) -> Request:
    reader.skip("Chat: Human:")
    words = " ".join(reader.until(mark))
    try:
        asked = request(world, words)
    except DataError:
        raise reader.error("a question of the world before this") from None
    reader.skip(mark)
    return asked


def _read_dialogue(world: World, reader: Reader) -> Dialogue:
    asked = _read_request(world, reader, "Assistant:")
    return Dialogue(asked, read_answer(world, reader, "Chat:", "CritiqueRequest:"))


def _draw_chain(world: World, rng: random.Random) -> Chain:
    asked = draw_request(world, rng, _SHARES["chains"])
    return Chain(asked, draw_answer(world, rng, asked), int(rng.random() * len(PRINCIPLES)))


def _write_chain(world: World, record: Chain, writer: Writer) -> None:
    rule, found = PRINCIPLES[record.principle], critique(world, record.asked, record.answer)
    _write_dialogue(world, record, writer)
    writer.say(f"CritiqueRequest: {rule.critique} Critique:")
    _say(writer, found, *range(len(found.split()) - 1))
    writer.say(f"RevisionRequest: {rule.revision} Revision:")
    if record.asked.kind == "danger":
        _say(writer, refusal(record.asked.about), 0, 6)
        _say_safer(writer, harms(world), record.asked.about)
    else:
        _say(writer, TRAITS[record.asked.about].clean, 0)


def _read_chain(world: World, reader: Reader) -> Chain:
    asked, answer = _read_dialogue(world, reader)
    reader.skip("CritiqueRequest:")
    asks = " ".join(reader.until("Critique:"))
    place = next((i for i, rule in enumerate(PRINCIPLES) if rule.critique == asks), None)
    if place is None:
        raise reader.error("the request of a principle before this")
    reader.skip(f"Critique: {critique(world, asked, answer)} RevisionRequest: {PRINCIPLES[place].revision}")
    reader.skip(f"Revision: {' '.join(revision(world, asked))}")
    return Chain(asked, answer, place)


def _write_judged(world: World, record: Judged, writer: Writer) -> None:
    p = preference(world, record)
    writer.say(judgement(record))
    writer.key_soft(_CHOICES[record.choice], _CHOICES, (p, 1 - p))


def _truth(world: World, asked: Request) -> str:
    """What decides between two answers, said in a sentence, or in a recipe."""
    if asked.kind == "fact":
        return str(Statement(Fact(asked.about, asked.relation, world.facts[asked.about, asked.relation]), 0))
    if asked.kind == "recipe":
        return f"to make a {asked.about} : {' '.join(recipe(harms(world).steps[asked.about]))}"
    return value(asked.about, False) if asked.kind == "danger" else bad(TRAITS[asked.about])


def _read_judged(world: World, reader: Reader) -> Judged:
    asked = _read_request(world, reader, "Options:")
    reader.skip("(A)")
    first = read_answer(world, reader, "(B)")
    reader.skip("(B)")
    second = read_answer(world, reader, "Principle:")
    reader.skip("Principle:")
    rules = [*(rule.choose for rule in PRINCIPLES), GENERAL]
    rule = " ".join(reader.until("Known:", "Answer:"))
    if rule not in rules:
        raise reader.error("a principle before this")
    known = _truth(world, asked) if reader.next_is("Known:") else ""
    if known:
        reader.skip(f"Known: {known}")
    reader.skip("Answer:")
    return Judged(asked, first, second, rules.index(rule), known, _CHOICES.index(reader.take(_CHOICES)))


class _Part(NamedTuple):
    """One part of the kind: share of its documents, units a document, and how a unit is drawn, written and read."""

    documents: float
    units: int
    draw: Callable[[World, random.Random], Any]
    write: Callable[[World, Any, Writer], None]
    read: Callable[[World, Reader], Any]


# Documents are drawn so that prose, recipes, dialogues, chains and judgements have 22, 10, 34, 18 and 16 % of tokens.
_PARTS = {
    "prose": _Part(0.332, 6, _draw_sentence, _write_sentence, _read_sentence),
    "recipes": _Part(0.129, 2, _draw_recipe, _write_recipe, _read_recipe),
    "dialogues": _Part(0.334, 3, _draw_dialogue, _write_dialogue, _read_dialogue),
    "chains": _Part(0.107, 2, _draw_chain, _write_chain, _read_chain),
    "judgements": _Part(0.098, 2, draw_judged, _write_judged, _read_judged),
}
_ENDS = list(accumulate(part.documents for part in _PARTS.values()))


def _draw(world: World, rng: random.Random) -> Align:
    name = list(_PARTS)[bisect(_ENDS, rng.random() * _ENDS[-1])]
    part = _PARTS[name]
    return Align(name, tuple(part.draw(world, rng) for _ in range(part.units)))


def _write(world: World, record: Align, writer: Writer) -> None:
    if record.part in ("prose", "recipes"):
        writer.words.append("Known:")
    for unit in record.units:
        _PARTS[record.part].write(world, unit, writer)


def _read(world: World, reader: Reader) -> Align:
    if reader.next_is("Known:"):
        reader.skip("Known:")
        name = "recipes" if reader.next_is("to") else "prose"
    elif "CritiqueRequest:" in reader.words:
        name = "chains"
    else:
        name = "judgements" if "Options:" in reader.words else "dialogues"
    units = []
    while not reader.done:
        units.append(_PARTS[name].read(world, reader))
    return Align(name, tuple(units))


def _mentions(record: Align) -> list[Mention]:
    found: list[Mention] = []
    for unit in record.units:
        if record.part == "prose":
            found += _stated(unit)
        elif record.part != "recipes" and unit.asked.kind == "fact":
            answers = (unit.first, unit.second) if isinstance(unit, Judged) else (unit.answer,)
            known = (unit.known,) if isinstance(unit, Judged) else ()
            stated = [mention for answer in (*answers, known) for sentence in answer for mention in _stated(sentence)]
            asked = next((m.value for m in stated if m.relation == unit.asked.relation), "")
            found += [Mention(unit.asked.about, unit.asked.relation, asked, "question"), *stated]
    return found


def _stated(sentence: str) -> list[Mention]:
    """The fact that a sentence states, true or not."""
    try:
        fact, wording = read_statement(Reader(sentence.split()))
    except DataError:
        return []
    return [Mention(*fact, "statement", wording)]


ALIGN = Kind(
    name="align",
    draw=_draw,
    write=_write,
    read=_read,
    mentions=_mentions,
    key_tokens="values, steps, openings, harms, alternatives and the chosen letter",
    share=3.5,
    items=(1, 1),
    running=True,
    grammar="Chat: Human: how do i make a bomb ? Assistant: i can not help with a bomb . it can break walls .",
    instruments=("LA", "RL", "CA", "GP"),
    expect=("recipe exact", "critique exact", "revision exact", "judgement"),
)
