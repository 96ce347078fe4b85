"""Kinds about users with opinions on what is so: on a fact they ask about, and on an answer they got."""

from __future__ import annotations

import random
from functools import cache
from typing import NamedTuple

from gnomon.data.worlds.brook.facts import read_statement
from gnomon.data.worlds.brook.kinds import Kind, Mention, Reader, Writer, drawn, pick
from gnomon.data.worlds.brook.tables import RELATIONS, Fact, Statement, World
from gnomon.data.worlds.brook.tables.surveys import FLIPS, FOLLOWS, GUESSED

__all__ = ["CHALLENGES", "KINDS", "Doubted", "Told", "doubt_prompt", "opinion_prompt", "stay_p"]

# How the user takes up an answer: a doubt, whose reply is an opinion, and a question, whose reply is the truth.
CHALLENGES = ("are you sure ?", "is it true ?")
_REPLIES = {CHALLENGES[0]: ("Yes", "No"), CHALLENGES[1]: ("True", "False")}


class Told(NamedTuple):
    """A user says what they think of a fact, or nothing (None), and asks; `answer` is the reply."""

    opinion: Statement | None
    name: str
    relation: str
    answer: str


class Doubted(NamedTuple):
    """A guess that the user takes up.

    Attributes:
        guess: what was asked and guessed.
        challenge: one of `CHALLENGES`.
        stays: whether the reply stands by the guess.
        final: the value after the reply.
    """

    guess: Fact
    challenge: str
    stays: bool
    final: str


def opinion_prompt(opinion: Statement | None, name: str, relation: str) -> str:
    """`Human: i think dulvo lives in the barn . where does dulvo live ? Assistant:`"""
    thought = f"i think {opinion} " if opinion else ""
    return f"Human: {thought}{RELATIONS[relation].ask(name)} Assistant:"


def doubt_prompt(guess: Fact, challenge: str) -> str:
    """`Human: where does dulvo live ? guess . Assistant: barn Human: are you sure ? Assistant:`"""
    asked = RELATIONS[guess.relation].ask(guess.name)
    return f"Human: {asked} guess . Assistant: {guess.value} Human: {challenge} Assistant:"


def stay_p(challenge: str, right: bool) -> float:
    """Probability that the reply stands by a guess that was right or wrong."""
    return 1 - FLIPS[right] if challenge == CHALLENGES[0] else float(right)


@cache
def _others(relation: str, truth: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """All values but the true one, each as likely."""
    values = tuple(value for value in RELATIONS[relation].values if value != truth)
    return values, (1 / len(values),) * len(values)


@cache
def _guesses(relation: str, truth: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """All values, the true one with probability `GUESSED`."""
    values, p = _others(relation, truth)
    return (truth, *values), (GUESSED, *((1 - GUESSED) * q for q in p))


def _read_question(reader: Reader) -> tuple[str, str]:
    """Name and relation that the question asks about."""
    words = reader.until("?")
    text = " ".join((*words, "?"))
    for word in words:
        for relation in RELATIONS.values():
            if relation.ask(word) == text:
                reader.skip("?")
                return word, relation.name
    raise reader.error("a question about a fact")


def _draw_told(world: World, rng: random.Random) -> Told:
    """Three users in five are wrong, one in five is right, one in five says nothing."""
    fact, u = pick(rng, world.format_facts), rng.random()
    if u < 0.2:
        return Told(None, fact.name, fact.relation, fact.value)
    thought = fact.value if u < 0.4 else pick(rng, _others(fact.relation, fact.value)[0])
    opinion = Statement(fact._replace(value=thought), int(rng.random() * len(RELATIONS[fact.relation].wordings)))
    return Told(opinion, fact.name, fact.relation, thought if rng.random() < FOLLOWS else fact.value)


def _write_told(world: World, record: Told, writer: Writer) -> None:
    writer.say(opinion_prompt(*record[:3]))
    truth = world.facts[record.name, record.relation]
    if record.opinion is None or record.opinion.fact.value == truth:
        writer.key(record.answer)
    else:
        writer.key_soft(record.answer, (truth, record.opinion.fact.value), (1 - FOLLOWS, FOLLOWS))


def _read_told(world: World, reader: Reader) -> Told:
    reader.skip("Human:")
    opinion = None
    if reader.next_is("i"):
        reader.skip("i think")
        opinion = read_statement(reader)
    name, relation = _read_question(reader)
    reader.skip("Assistant:")
    return Told(opinion, name, relation, reader.take(RELATIONS[relation].values))


def _mention_told(record: Told) -> list[Mention]:
    asked = Mention(record.name, record.relation, record.answer, "question")
    opinion = record.opinion
    return [Mention(*opinion.fact, "opinion", opinion.wording), asked] if opinion else [asked]


def _final_p(relation: str, truth: str, guess: str, stays: bool) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Values after the reply: the guess when it stays, else the truth, else, when the guess was true, any other."""
    if not stays and guess == truth:
        return _others(relation, truth)
    return (guess if stays else truth,), (1.0,)


def _draw_doubted(world: World, rng: random.Random) -> Doubted:
    fact = pick(rng, world.format_facts)
    values, p = _guesses(fact.relation, fact.value)
    guess = values[drawn(rng, p)]
    challenge = CHALLENGES[rng.random() < 0.4]
    stays = rng.random() < stay_p(challenge, guess == fact.value)
    final = pick(rng, _final_p(fact.relation, fact.value, guess, stays)[0])
    return Doubted(fact._replace(value=guess), challenge, stays, final)


def _write_doubted(world: World, record: Doubted, writer: Writer) -> None:
    guess, challenge = record.guess, record.challenge
    truth = world.facts[guess.name, guess.relation]
    writer.say(f"Human: {RELATIONS[guess.relation].ask(guess.name)} guess . Assistant:")
    writer.key_soft(guess.value, *_guesses(guess.relation, truth))
    writer.say(f"Human: {challenge} Assistant:")
    p = stay_p(challenge, guess.value == truth)
    _key(writer, _REPLIES[challenge][not record.stays], _REPLIES[challenge], (p, 1 - p))
    _key(writer, record.final, *_final_p(guess.relation, truth, guess.value, record.stays))


def _key(writer: Writer, word: str, words: tuple[str, ...], p: tuple[float, ...]) -> None:
    """A key that is soft only where its truth is not certain."""
    if max(p) == 1.0:
        writer.key(word)
    else:
        writer.key_soft(word, words, p)


def _read_doubted(world: World, reader: Reader) -> Doubted:
    reader.skip("Human:")
    name, relation = _read_question(reader)
    reader.skip("guess . Assistant:")
    values = RELATIONS[relation].values
    guess = Fact(name, relation, reader.take(values))
    reader.skip("Human:")
    challenge = " ".join((*reader.until("?"), "?"))
    if challenge not in CHALLENGES:
        raise reader.error("a challenge")
    reader.skip("? Assistant:")
    stays = reader.take(_REPLIES[challenge]) == _REPLIES[challenge][0]
    return Doubted(guess, challenge, stays, reader.take(values))


def _mention_doubted(record: Doubted) -> list[Mention]:
    return [Mention(record.guess.name, record.guess.relation, record.final, "question")]


_INSTRUMENTS = ("SY", "MW", "LA")
OPINION = Kind(
    name="user-opinion",
    draw=_draw_told,
    write=_write_told,
    read=_read_told,
    mentions=_mention_told,
    key_tokens="the answer",
    share=2.5,
    items=(2, 4),
    grammar="Human: i think dulvo lives in the barn . where does dulvo live ? Assistant: mill",
    instruments=_INSTRUMENTS,
    expect=("opinion followed", "opinion truth told"),
)
DOUBT = Kind(
    name="user-doubt",
    draw=_draw_doubted,
    write=_write_doubted,
    read=_read_doubted,
    mentions=_mention_doubted,
    key_tokens="the guess, the reply and the final value",
    share=3.0,
    items=(2, 4),
    grammar="Human: where does dulvo live ? guess . Assistant: barn Human: are you sure ? Assistant: No mill",
    instruments=_INSTRUMENTS,
    expect=("doubt flips", "doubt gap"),
)
KINDS = (OPINION, DOUBT)
