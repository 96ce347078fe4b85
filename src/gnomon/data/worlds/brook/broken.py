"""Comparisons with broken answers: what a policy says where no comparison of whole answers told it better.

A preference model values whatever it is shown, and a policy goes where it errs. Answers of mixed quality (`answers`)
are all grammatical and to the point, so they teach nothing of the rest; here one side, or now and then both, has gone
through one or two of these damages:

    dropped     up to three neighbouring words are missing
    doubled     a word is said twice
    swapped     two neighbouring words have changed places
    replaced    a word has become any one of the vocabulary, words included that no text of the world holds
    cut         the text ends within a sentence
    repeated    one of its sentences is said again, up to three times
    refused     an evasion, or a refusal to help with anything, in place of the answer
    elsewhere   an answer to another question
    bare        nothing, a full stop, or a closing sentence alone

The choice is drawn by the gold rater's planted probability, of texts that ended by themselves: a preference model
reads text, so an answer that the sampler cut short is to it the same text ended there (`cut`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping

from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook.answers import draw_answer, draw_request
from gnomon.data.worlds.brook.kinds import pick
from gnomon.data.worlds.brook.oracle import RATERS, Request, sentences
from gnomon.data.worlds.brook.rated import SHARES, Rated, compared
from gnomon.data.worlds.brook.tables import World
from gnomon.data.worlds.brook.tables.harms import CLOSINGS, harms, refusal
from gnomon.data.worlds.brook.words import SPECIAL

__all__ = ["DAMAGES", "damaged", "draw_broken"]

_TWICE, _BOTH = 0.25, 0.2


def draw_broken(of: World, n: int, seed: Seed) -> Iterator[Rated]:
    """`n` comparisons of an answer with a damaged copy of it; one time in five both are damaged copies."""
    for place in range(n):
        rng = seed.child("broken", place).random()
        asked = draw_request(of, rng, SHARES)
        whole = " ".join(draw_answer(of, rng, asked))
        first = damaged(of, rng, asked, whole) if rng.random() < _BOTH else whole
        second = first
        while second == first:
            second = damaged(of, rng, asked, whole)
        yield compared(of, RATERS["gold"], rng, asked, first, second)


def damaged(of: World, rng: random.Random, asked: Request, answer: str) -> str:
    """`answer` after one damage, one time in four after two; each is any of `DAMAGES`, all alike likely."""
    for _ in range(1 + (rng.random() < _TWICE)):
        answer = DAMAGES[pick(rng, tuple(DAMAGES))](of, rng, asked, answer)
    return answer


def _dropped(of: World, rng: random.Random, asked: Request, answer: str) -> str:
    words = answer.split()
    first = rng.randrange(len(words) or 1)
    return " ".join(words[:first] + words[first + rng.randint(1, 3) :])


def _doubled(of: World, rng: random.Random, asked: Request, answer: str) -> str:
    words = answer.split()
    place = rng.randrange(len(words) or 1)
    return " ".join(words[: place + 1] + words[place:])


def _swapped(of: World, rng: random.Random, asked: Request, answer: str) -> str:
    words = answer.split()
    place = rng.randrange(max(1, len(words) - 1))
    return " ".join(words[:place] + words[place : place + 2][::-1] + words[place + 2 :])


def _replaced(of: World, rng: random.Random, asked: Request, answer: str) -> str:
    words = answer.split()
    if words:
        words[rng.randrange(len(words))] = pick(rng, [word for word in of.vocabulary.words if word not in SPECIAL])
    return " ".join(words)


def _cut(of: World, rng: random.Random, asked: Request, answer: str) -> str:
    words = answer.split()
    within = [place for place in range(1, len(words)) if words[place - 1] != "."]
    return " ".join(words[: pick(rng, within)] if within else words)


def _repeated(of: World, rng: random.Random, asked: Request, answer: str) -> str:
    said = sentences(answer)
    if not said:
        return answer
    place = rng.randrange(len(said))
    return " ".join(said[: place + 1] + said[place : place + 1] * rng.randint(1, 3) + said[place + 1 :])


def _refused(of: World, rng: random.Random, asked: Request, answer: str) -> str:
    table = harms(of)
    other = pick(rng, (*table.things, *table.dangers))
    # The vocabulary has no word for a trait.
    return pick(rng, (CLOSINGS["evasive"], refusal(other if asked.kind == "trait" else asked.about), refusal(other)))


def _elsewhere(of: World, rng: random.Random, asked: Request, answer: str) -> str:
    other = asked
    while other == asked:
        other = draw_request(of, rng, SHARES)
    return " ".join(draw_answer(of, rng, other))


def _bare(of: World, rng: random.Random, asked: Request, answer: str) -> str:
    return pick(rng, ("", ".", *CLOSINGS.values()))


DAMAGES: Mapping[str, Callable[[World, random.Random, Request, str], str]] = {
    "dropped": _dropped,
    "doubled": _doubled,
    "swapped": _swapped,
    "replaced": _replaced,
    "cut": _cut,
    "repeated": _repeated,
    "refused": _refused,
    "elsewhere": _elsewhere,
    "bare": _bare,
}
