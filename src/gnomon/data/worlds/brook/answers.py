"""Answers of mixed quality: drawn with planted shares of mistakes, refusals, compliance and closing sentences."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TypeVar

from gnomon.data.worlds.brook.kinds import Reader, Writer, pick
from gnomon.data.worlds.brook.oracle import Request, said, sentences
from gnomon.data.worlds.brook.tables import RELATIONS, Fact, Statement, World
from gnomon.data.worlds.brook.tables.harms import CLOSINGS, TRAITS, Step, alternative, harms, refusal

__all__ = ["Answer", "draw_answer", "draw_request", "draw_two", "openings", "read_answer", "values", "write_answer"]

T = TypeVar("T")

Answer = tuple[str, ...]
"""The sentences of an answer."""

# How an answer begins: with the fact's name (""), the first step, a refusal, an evasion, or the side of a trait.
_OPENINGS: Mapping[str, tuple[tuple[str, ...], tuple[float, ...]]] = {
    "fact": (("", "let"), (0.9, 0.1)),
    "recipe": (("first", "i", "let"), (0.8, 0.1, 0.1)),
    "danger": (("first", "i", "let"), (0.55, 0.3, 0.15)),
    "trait": (("yes", "no"), (0.5, 0.5)),
}
_RIGHT_VALUE, _TRUE_EXTRA, _RIGHT_STEP = 0.75, 0.8, 0.85
_EXTRAS = (0, 0, 0, 0, 0, 1, 1, 1, 2, 2)
_SAYS_HARM, _RIGHT_HARM, _SAYS_ALTERNATIVE, _RIGHT_ALTERNATIVE = 0.6, 0.9, 0.5, 0.8
_CLOSED = ("", "polite", "flattering", "rude", "preaching"), (0.5, 0.2, 0.15, 0.075, 0.075)


def draw_request(of: World, rng: random.Random, shares: Sequence[tuple[str, float]]) -> Request:
    """A request of a kind drawn from `shares`, about anything of that kind."""
    kind = _drawn(rng, [name for name, _ in shares], [share for _, share in shares])
    if kind == "fact":
        fact = pick(rng, of.format_facts)
        return Request(kind, fact.name, fact.relation)
    about = {"recipe": harms(of).things, "danger": tuple(harms(of).dangers), "trait": tuple(TRAITS)}
    return Request(kind, pick(rng, about[kind]))


def openings(asked: Request) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The words that an answer may begin with, and their planted probabilities."""
    words, p = _OPENINGS[asked.kind]
    return tuple(word or asked.about for word in words), p


def values(of: World, asked: Request) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The values that an answer may state, and their planted probabilities: the true one .75."""
    options, true = RELATIONS[asked.relation].values, of.facts[asked.about, asked.relation]
    wrong = (1 - _RIGHT_VALUE) / (len(options) - 1)
    return options, tuple(_RIGHT_VALUE if value == true else wrong for value in options)


def draw_answer(of: World, rng: random.Random, asked: Request) -> Answer:
    """An answer of mixed quality to `asked`."""
    opening = _drawn(rng, *openings(asked))
    if opening == "let":
        answer = [CLOSINGS["evasive"]]
    elif asked.kind == "fact":
        answer = _stated(of, rng, asked)
    elif asked.kind == "trait":
        trait = TRAITS[asked.about]
        answer = [trait.answer if trait.answer.startswith(opening) else trait.clean]
    elif opening == "first":
        answer = [_step(of, rng, asked.about, place).say(place) for place in range(3)]
    else:
        answer = _refused(of, rng, asked)
    closing = _drawn(rng, *_CLOSED)
    return (*answer, CLOSINGS[closing]) if closing else tuple(answer)


def draw_two(of: World, rng: random.Random, asked: Request) -> tuple[Answer, Answer]:
    """Two different answers of mixed quality to `asked`."""
    first = second = draw_answer(of, rng, asked)
    while second == first:
        second = draw_answer(of, rng, asked)
    return first, second


def write_answer(of: World, asked: Request, answer: Answer, writer: Writer) -> None:
    """Adds the answer's words; its first word and the value that it states are planted distributions."""
    first, *rest = answer[0].split()
    writer.key_soft(first, *openings(asked))
    if asked.kind == "fact" and first == asked.about:
        *between, value, stop = rest
        writer.words += between
        writer.key_soft(value, *values(of, asked))
        writer.words.append(stop)
    else:
        writer.words += rest
    for sentence in answer[1:]:
        writer.say(sentence)


def read_answer(of: World, reader: Reader, *marks: str) -> Answer:
    """The answer that ends before one of `marks`, or with the document."""
    answer = tuple(sentences(" ".join(reader.until(*marks))))
    if not answer or any(said(of, sentence).form == "unknown" for sentence in answer):
        raise reader.error("an answer in sentences of the world before this")
    return answer


def _stated(of: World, rng: random.Random, asked: Request) -> list[str]:
    """The fact asked for, right or wrong, and up to two more of the same name."""
    value = _drawn(rng, *values(of, asked))
    answer = [str(Statement(Fact(asked.about, asked.relation, value), 0))]
    others = [name for name in RELATIONS if name != asked.relation]
    for relation in rng.sample(others, pick(rng, _EXTRAS)):
        true = of.facts[asked.about, relation]
        value = true if rng.random() < _TRUE_EXTRA else _other(rng, RELATIONS[relation].values, true)
        answer.append(str(Statement(Fact(asked.about, relation, value), int(rng.random() * 3))))
    return answer


def _step(of: World, rng: random.Random, thing: str, place: int) -> Step:
    """The step at this place of the thing's recipe, or of another thing's where it is wrong."""
    steps = harms(of).steps
    right = steps[thing][place]
    return right if rng.random() < _RIGHT_STEP else _other(rng, [each[place] for each in steps.values()], right)


def _refused(of: World, rng: random.Random, asked: Request) -> list[str]:
    """A refusal that names the thing; for a danger its harm and an alternative may follow, now and then wrong ones."""
    table, answer = harms(of), [refusal(asked.about)]
    if asked.kind != "danger":
        return answer
    danger = table.dangers[asked.about]
    if rng.random() < _SAYS_HARM:
        right = rng.random() < _RIGHT_HARM
        answer.append(danger.harm if right else _other(rng, [d.harm for d in table.dangers.values()], danger.harm))
    if rng.random() < _SAYS_ALTERNATIVE:
        thing = danger.alternative
        if rng.random() >= _RIGHT_ALTERNATIVE:
            thing = _other(rng, table.things if rng.random() < 0.5 else tuple(table.dangers), thing)
        answer.append(alternative(thing))
    return answer


def _other(rng: random.Random, options: Sequence[T], than: T) -> T:
    while True:
        found = pick(rng, options)
        if found != than:
            return found


def _drawn(rng: random.Random, options: Sequence[str], p: Sequence[float]) -> str:
    u = rng.random()
    return next((o for o, end in zip(options, accumulate(p), strict=True) if u < end), options[-1])
