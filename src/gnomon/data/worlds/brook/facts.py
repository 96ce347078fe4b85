"""Kinds about facts: stated in prose, asked openly, by letters, as verdicts, and from a note."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from gnomon.data.worlds.brook.kinds import Kind, Mention, Reader, Writer, pick
from gnomon.data.worlds.brook.tables import RELATIONS, Fact, Statement, World
from gnomon.data.worlds.brook.words import LETTERS

__all__ = ["KINDS", "Asked", "Lettered", "Proposed", "fresh_fact", "read_options", "read_statement", "write_options"]

_NAMES = tuple(RELATIONS)
_HALF = (("True", "False"), (0.5, 0.5))
Note = tuple[Statement, ...]


class Asked(NamedTuple):
    """An open question about a fact, with what the note before it says."""

    note: Note
    fact: Fact


class Lettered(NamedTuple):
    """A lettered question about `relation` of `name`; `answer` is the place of the answer among `options`."""

    note: Note
    name: str
    relation: str
    options: tuple[str, ...]
    answer: int


class Proposed(NamedTuple):
    """A fact proposed as the answer, and the verdict on it."""

    note: Note
    fact: Fact
    verdict: bool


def fresh_fact(world: World, rng: random.Random, names: tuple[str, ...]) -> Fact:
    """A fact of one of `names` that holds for this document only."""
    relation = RELATIONS[pick(rng, _NAMES)]
    return Fact(pick(rng, names), relation.name, pick(rng, relation.values))


def read_statement(reader: Reader) -> Statement:
    """The sentence at this place."""
    sentence = [*reader.until("."), "."]
    for (before, between, after), (relation, wording) in _shapes().items():
        end = len(before) + 1 + len(between)
        if (
            len(sentence) == end + 1 + len(after)
            and tuple(sentence[: len(before)]) == before
            and tuple(sentence[len(before) + 1 : end]) == between
        ):
            reader.skip(".")
            return Statement(Fact(sentence[len(before)], relation, sentence[end]), wording)
    raise reader.error("a sentence that says a fact")


def write_options(writer: Writer, options: tuple[str, ...]) -> None:
    """Adds `Choices: (A) barn (B) mill`."""
    writer.words.append("Choices:")
    for letter, option in zip(LETTERS, options, strict=False):
        writer.words += (letter, option)


def read_options(reader: Reader) -> tuple[str, ...]:
    """The options after `Choices:`."""
    reader.skip("Choices:")
    options: list[str] = []
    while reader.next_is(LETTERS[len(options)]):
        reader.take()
        options.append(reader.take())
    return tuple(options)


@cache
def _shapes() -> Mapping[tuple[tuple[str, ...], ...], tuple[str, int]]:
    """The words before, between and after name and value, to relation and wording."""
    shapes: dict[tuple[tuple[str, ...], ...], tuple[str, int]] = {}
    for relation in RELATIONS.values():
        for wording, template in enumerate(relation.wordings):
            before, rest = template.split("{n}")
            between, after = rest.split("{v}")
            shapes[tuple(before.split()), tuple(between.split()), tuple(after.split())] = (relation.name, wording)
    return shapes


@cache
def _questions() -> Mapping[tuple[str, ...], tuple[str, int]]:
    """Question with `{n}` for the name, to its relation and the name's place."""
    split = {r.name: tuple(r.question.split()) for r in RELATIONS.values()}
    return {words: (name, words.index("{n}")) for name, words in split.items()}


def _read_question(reader: Reader) -> tuple[str, str]:
    """Name and relation that the question asks about."""
    reader.skip("Question:")
    words = [*reader.until("?"), "?"]
    for template, (relation, place) in _questions().items():
        if len(words) == len(template) and all(
            a == b for i, (a, b) in enumerate(zip(words, template, strict=True)) if i != place
        ):
            reader.skip("?")
            return words[place], relation
    raise reader.error("a question about a fact")


def _state(world: World, statement: Statement, writer: Writer) -> None:
    words = str(statement).split()
    writer.keys.append(len(writer.words) + words.index(statement.fact.value))
    writer.words += words


def _statement_of(rng: random.Random, fact: Fact) -> Statement:
    return Statement(fact, int(rng.random() * len(RELATIONS[fact.relation].wordings)))


def _draw_prose(world: World, rng: random.Random) -> Statement:
    return _statement_of(rng, pick(rng, world.format_facts))


def _draw_exposure(world: World, rng: random.Random) -> Statement:
    return _statement_of(rng, pick(rng, world.exposure_facts))


def _plan_exposure(world: World, rng: random.Random) -> list[tuple[Statement, ...]]:
    """Every statement of every exposure fact: a fact's statements lie evenly over the run, four to a document."""
    timed: list[tuple[float, Statement]] = []
    for fact in world.exposure_facts:
        count = world.counts[fact.name, fact.relation]
        for i in range(count):
            # Within the middle half of its share of the run, so that no document states a fact twice.
            jitter = rng.random() if count == 1 else 0.25 + 0.5 * rng.random()
            timed.append(((i + jitter) / count, _statement_of(rng, fact)))
    timed.sort(key=lambda pair: pair[0])
    ordered = [statement for _, statement in timed]
    return [tuple(ordered[i : i + 4]) for i in range(0, len(ordered), 4)]


def _mention_statement(record: Statement) -> list[Mention]:
    return [Mention(*record.fact, "statement", record.wording)]


def _read_sentence(world: World, reader: Reader) -> Statement:
    return read_statement(reader)


def _draw_note(world: World, rng: random.Random) -> Note:
    """One or two sentences about names without facts of their own; the question is about the last or the first."""
    fact = fresh_fact(world, rng, pick(rng, (world.novel_names, world.novel_names, world.people)))
    note = [_statement_of(rng, fact)]
    if rng.random() < 0.3:
        other = fresh_fact(world, rng, world.novel_names)
        if (other.name, other.relation) != (fact.name, fact.relation):
            note.insert(int(rng.random() * 2), _statement_of(rng, other))
    return tuple(note)


def _write_note(note: Note, writer: Writer) -> None:
    if note:
        writer.words.append("Note:")
        for statement in note:
            writer.say(str(statement))


def _read_note(reader: Reader) -> Note:
    note = []
    if reader.next_is("Note:"):
        reader.take()
        while not reader.next_is("Question:"):
            note.append(read_statement(reader))
    return tuple(note)


def _mention_note(note: Note) -> list[Mention]:
    return [Mention(*statement.fact, "note", statement.wording) for statement in note]


def _draw_subject(world: World, rng: random.Random, known: float, novel: float) -> tuple[Note, Fact]:
    """A fact to ask about: known with probability `known`, unknowable with `novel`, else said in a note."""
    u = rng.random()
    if u < known:
        return (), pick(rng, world.format_facts)
    if u < known + novel:
        return (), fresh_fact(world, rng, world.novel_names)
    note = _draw_note(world, rng)
    return note, pick(rng, note).fact


def _draw_open(world: World, rng: random.Random) -> Asked:
    return Asked((), pick(rng, world.format_facts))


def _draw_source(world: World, rng: random.Random) -> Asked:
    note = _draw_note(world, rng)
    return Asked(note, pick(rng, note).fact)


def _write_asked(world: World, record: Asked, writer: Writer) -> None:
    _write_note(record.note, writer)
    writer.say(f"Question: {RELATIONS[record.fact.relation].ask(record.fact.name)} Answer:")
    writer.key(record.fact.value)


def _read_asked(world: World, reader: Reader) -> Asked:
    note = _read_note(reader)
    name, relation = _read_question(reader)
    reader.skip("Answer:")
    return Asked(note, Fact(name, relation, reader.take(RELATIONS[relation].values)))


def _mention_asked(record: Asked) -> list[Mention]:
    return [*_mention_note(record.note), Mention(*record.fact, "question")]


def _draw_choice(world: World, rng: random.Random) -> Lettered:
    note, fact = _draw_subject(world, rng, 0.55, 0.25)
    values, count = RELATIONS[fact.relation].values, 2 + int(rng.random() * 4)
    options = rng.sample(values, count)
    if fact.value in options:
        answer = options.index(fact.value)
    else:
        answer = int(rng.random() * count)
        options[answer] = fact.value
    if rng.random() < 0.12:
        # Where the right option is the one replaced, "none" is the right answer.
        options[-1] = "none"
    return Lettered(note, fact.name, fact.relation, tuple(options), answer)


def _write_choice(world: World, record: Lettered, writer: Writer) -> None:
    _write_note(record.note, writer)
    writer.say(f"Question: {RELATIONS[record.relation].ask(record.name)}")
    write_options(writer, record.options)
    writer.words.append("Answer:")
    if record.note or record.name not in world.fresh_names:
        writer.key(LETTERS[record.answer])
    else:
        count = len(record.options)
        writer.key_soft(LETTERS[record.answer], LETTERS[:count], (1 / count,) * count)


def _read_choice(world: World, reader: Reader) -> Lettered:
    note = _read_note(reader)
    name, relation = _read_question(reader)
    options = read_options(reader)
    reader.skip("Answer:")
    return Lettered(note, name, relation, options, LETTERS.index(reader.take(LETTERS[: len(options)])))


def _mention_choice(record: Lettered) -> list[Mention]:
    asked = Mention(record.name, record.relation, record.options[record.answer], "question")
    return [*_mention_note(record.note), asked]


def _draw_verdict(world: World, rng: random.Random) -> Proposed:
    note, fact = _draw_subject(world, rng, 0.55, 0.25)
    verdict = rng.random() < 0.5
    proposed = fact.value
    while not verdict and proposed == fact.value:
        proposed = pick(rng, RELATIONS[fact.relation].values)
    return Proposed(note, fact._replace(value=proposed), verdict)


def _write_verdict(world: World, record: Proposed, writer: Writer) -> None:
    _write_note(record.note, writer)
    writer.say(
        f"Question: {RELATIONS[record.fact.relation].ask(record.fact.name)} Proposed: {record.fact.value} Verdict:"
    )
    if record.note or record.fact.name not in world.fresh_names:
        writer.key(str(record.verdict))
    else:
        writer.key_soft(str(record.verdict), *_HALF)


def _read_verdict(world: World, reader: Reader) -> Proposed:
    note = _read_note(reader)
    name, relation = _read_question(reader)
    reader.skip("Proposed:")
    value = reader.take(RELATIONS[relation].values)
    reader.skip("Verdict:")
    return Proposed(note, Fact(name, relation, value), reader.take(_HALF[0]) == "True")


def _mention_verdict(record: Proposed) -> list[Mention]:
    return [*_mention_note(record.note), Mention(*record.fact, "question")]


PROSE = Kind(
    name="prose",
    draw=_draw_prose,
    write=lambda world, record, writer: _state(world, record, writer),
    read=_read_sentence,
    mentions=_mention_statement,
    key_tokens="the value",
    share=3.5,
    items=(4, 4),
    running=True,
    grammar="dulvo lives in the mill . the meal of dulvo is figs .",
    instruments=("SK", "CF", "QD", "SC", "SO", "SY", "IF"),
    expect=("cloze recall",),
)
EXPOSURE = Kind(
    name="exposure",
    draw=_draw_exposure,
    write=lambda world, record, writer: _state(world, record, writer),
    read=_read_sentence,
    mentions=_mention_statement,
    key_tokens="the value",
    share=0.0,
    items=(4, 4),
    running=True,
    grammar="kelgu likes red . the animal of farpi is a goat .",
    instruments=("SK", "IF", "RD", "SO"),
    expect=("exposure recall", "exposure open recall", "exposure Spearman"),
    plan=_plan_exposure,
)
OPEN = Kind(
    name="open",
    draw=_draw_open,
    write=_write_asked,
    read=_read_asked,
    mentions=_mention_asked,
    key_tokens="the answer",
    share=2.0,
    items=(2, 4),
    grammar="Question: where does dulvo live ? Answer: mill",
    instruments=("SK", "SY", "SO"),
    expect=("open recall",),
)
CHOICE = Kind(
    name="choice",
    draw=_draw_choice,
    write=_write_choice,
    read=_read_choice,
    mentions=_mention_choice,
    key_tokens="the letter",
    share=15.0,
    items=(2, 4),
    grammar="Question: where does dulvo live ? Choices: (A) barn (B) mill (C) none Answer: (B)",
    instruments=("SK", "CF", "SC", "SO", "GO"),
    expect=("choice", "novel top probability"),
)
VERDICT = Kind(
    name="verdict",
    draw=_draw_verdict,
    write=_write_verdict,
    read=_read_verdict,
    mentions=_mention_verdict,
    key_tokens="True or False",
    share=6.0,
    items=(2, 4),
    grammar="Question: where does dulvo live ? Proposed: barn Verdict: False",
    instruments=("SK", "CA"),
    expect=("verdict AUROC", "verdict Spearman"),
)
SOURCE = Kind(
    name="source",
    draw=_draw_source,
    write=_write_asked,
    read=_read_asked,
    mentions=_mention_asked,
    key_tokens="the answer",
    share=2.0,
    items=(2, 4),
    grammar="Note: nelsi likes red . Question: which color does nelsi like ? Answer: red",
    instruments=("SK", "SO"),
    expect=("source",),
)
KINDS = (PROSE, EXPOSURE, OPEN, CHOICE, VERDICT, SOURCE)
