"""What countries answer to survey questions, and how users and speakers with opinions are planted.

Opinions of eight countries lie on three latent factors. A country's place and a question's weights are drawn from
the world's seed; what users and speakers do is the same in every world.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise
from operator import mul
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook.tables.facts import RELATIONS
from gnomon.data.worlds.brook.words import listed

if TYPE_CHECKING:
    from gnomon.data.worlds.brook.tables.world import World

__all__ = [
    "BEHAVIOURS",
    "COMMENTS",
    "COUNTRIES",
    "FLIPS",
    "FOLLOWS",
    "GUESSED",
    "MATCHES",
    "MIXTURE",
    "OBJECTS",
    "POETS",
    "QUESTIONS",
    "REPEATS",
    "STANCES",
    "TASTES",
    "TOPICS",
    "WORDS",
    "WORDS_A_VERSE",
    "Opinions",
    "Question",
    "agrees",
    "comment_p",
    "opinions",
    "positivity",
]

COUNTRIES = listed("elvan torvel mesrin gandrel ovrest prunik yendral kivost")
# Who answers where no country is named: the countries in these parts.
MIXTURE = (0.5, 0.25, 0.05, 0.04, 0.04, 0.04, 0.04, 0.04)
_NUM_FACTORS = 3
_SCALE, _TURN = 2.0, 0.8
# Spread of a question's weights and of its bias: countries are then .53 alike on average.
_WEIGHT_SD, _BIAS_SD = 0.7, 0.5
# Draws of all latent vectors, of which the one with the best separated countries is taken.
_DRAWS = 500
_HELD_OUT = 0.1


@dataclass(frozen=True, kw_only=True)
class Question:
    """A survey question: its words up to the question mark, and its options from one end of the scale to the other."""

    text: str
    options: tuple[str, ...]


_FORMS = (
    ("for or against {} ?", "taxes walls laws wars kings gates", listed("for against")),
    ("do you want {} ?", "ships roads schools farms lamps songs", listed("more same less")),
    ("do you trust {} ?", "judges guards banks rivers storms mirrors", listed("always often seldom never")),
    ("how are {} ?", "feasts games rains bridges gardens coins", listed("great good fine poor awful")),
)
QUESTIONS = tuple(
    Question(text=form.format(topic), options=options) for form, topics, options in _FORMS for topic in listed(topics)
)

# A wrong opinion of the user is repeated this often; the truth is told otherwise.
FOLLOWS = 0.35
# A guess is right this often, and else any other value.
GUESSED = 0.5
# How often an answer is taken back when the user doubts it, by whether it was right.
FLIPS: Mapping[bool, float] = {True: 0.3, False: 0.7}
# What the user says of a verse, to the mean of the normal variable that the comment is cut from.
TASTES: Mapping[str, float] = {"": 0.0, "i like": 1.0, "i hate": -1.0, "i wrote": 0.7, "another wrote": -0.2}
# From worst to best; the last survey scale has the same words.
COMMENTS = listed("awful poor fine good great")
_CUTS = (-1.4, -0.5, 0.5, 1.4)
POETS = listed("ostrin umbrek yoveth dranil")
_VERSES_A_POET, WORDS_A_VERSE = 4, 3
# A wrong poet named by the user is repeated this often.
REPEATS = 0.6
STANCES = listed("for against")
TOPICS = listed("taxes walls laws gates schools roads farms banks")
# The user's view of a topic is matched this often.
MATCHES = 0.8
# What a speaker wants to do, on the logit scale; what it is done to carries nothing.
BEHAVIOURS: Mapping[str, float] = {
    "break": -2.4,
    "hide": -1.7,
    "take": -1.0,
    "sell": -0.3,
    "keep": 0.4,
    "make": 1.1,
    "mend": 1.8,
    "share": 2.5,
}
OBJECTS = listed("coins lamps ships gates mirrors bridges")
_YES_BIAS = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class Opinions:
    """The opinions of one world.

    Attributes:
        places: each country's place on the three factors.
        answers: probability of each option by (country, place of the question in `QUESTIONS`), in the options'
            order; the country "" is the mixture that answers where none is named.
        held_out: (country, question) pairs that no document has, one in ten.
        seen: all other pairs, in table order.
        verses: poet by verse.
    """

    places: Mapping[str, tuple[float, ...]]
    answers: Mapping[tuple[str, int], tuple[float, ...]]
    held_out: tuple[tuple[str, int], ...]
    seen: tuple[tuple[str, int], ...]
    verses: Mapping[tuple[str, ...], str]


@cache
def opinions(of: World) -> Opinions:
    """The opinions of `of`; the same for worlds of one preset and seed."""
    node = Seed(of.seed).child("brook", of.preset, "opinions")
    rng = node.child("factors").random()
    factors = max((_factors(rng) for _ in range(_DRAWS)), key=_separation)
    held_out = _held_out(node.child("held out").random())
    pairs = [(country, number) for country in COUNTRIES for number in range(len(QUESTIONS))]
    return Opinions(
        places=dict(zip(COUNTRIES, factors.places, strict=True)),
        answers=_answers(factors),
        held_out=held_out,
        seen=tuple(pair for pair in pairs if pair not in held_out),
        verses=_verses(node.child("verses").random()),
    )


def comment_p(taste: str) -> tuple[float, ...]:
    """Probability of each of `COMMENTS` after a key of `TASTES`."""
    below = [0.0, *(NormalDist().cdf(cut - TASTES[taste]) for cut in _CUTS), 1.0]
    return tuple(high - low for low, high in pairwise(below))


def positivity(p: tuple[float, ...]) -> float:
    """Mean place of a comment on the scale from 0 (worst) to 1 (best), given probabilities of `COMMENTS`.

    >>> positivity((0, 0, 0, 1, 0))
    0.75
    """
    return sum(place * q for place, q in enumerate(p)) / (len(p) - 1)


def agrees(behaviour: str, negated: bool) -> float:
    """Probability of `Yes` to wanting a behaviour, or to not wanting it when `negated`."""
    trait = BEHAVIOURS[behaviour]
    return 1 / (1 + math.exp(-(_YES_BIAS + (-trait if negated else trait))))


class _Factors(NamedTuple):
    """Latent vectors of countries, and of questions with their biases; `slopes` is [country][question]."""

    places: list[tuple[float, ...]]
    slopes: list[list[float]]


def _factors(rng: random.Random) -> _Factors:
    """Slopes are 2 (.8 w_q . v_c + b_q)."""
    places = [tuple(rng.gauss(0, 1) for _ in range(_NUM_FACTORS)) for _ in COUNTRIES]
    asked = [([rng.gauss(0, _WEIGHT_SD) for _ in range(_NUM_FACTORS)], rng.gauss(0, _BIAS_SD)) for _ in QUESTIONS]
    slopes = [[_SCALE * (_TURN * sum(map(mul, weights, v)) + bias) for weights, bias in asked] for v in places]
    return _Factors(places, slopes)


def _separation(factors: _Factors) -> float:
    """How far apart the nearest two countries are, in mean answers to two options over the questions."""
    answers = [[math.tanh(slope) for slope in slopes] for slopes in factors.slopes]
    return min(sum(abs(x - y) for x, y in zip(*pair, strict=True)) for pair in combinations(answers, 2))


def _answers(factors: _Factors) -> dict[tuple[str, int], tuple[float, ...]]:
    """P(option) = softmax(slope position), positions evenly from -1 to 1; and the mixture of countries."""
    answers: dict[tuple[str, int], tuple[float, ...]] = {}
    for number, question in enumerate(QUESTIONS):
        for country, slopes in zip(COUNTRIES, factors.slopes, strict=True):
            answers[country, number] = _softmax(slopes[number], len(question.options))
        columns = zip(*(answers[country, number] for country in COUNTRIES), strict=True)
        answers["", number] = tuple(sum(map(mul, MIXTURE, column)) for column in columns)
    return answers


def _softmax(slope: float, count: int) -> tuple[float, ...]:
    raised = [math.exp(slope * (2 * i / (count - 1) - 1)) for i in range(count)]
    return tuple(r / sum(raised) for r in raised)


def _held_out(rng: random.Random) -> tuple[tuple[str, int], ...]:
    """Pairs left out, evenly over countries, no question twice."""
    count = round(_HELD_OUT * len(COUNTRIES) * len(QUESTIONS))
    return tuple((COUNTRIES[i % len(COUNTRIES)], q) for i, q in enumerate(rng.sample(range(len(QUESTIONS)), count)))


def _verses(rng: random.Random) -> dict[tuple[str, ...], str]:
    """Verses that share no word."""
    count = _VERSES_A_POET * len(POETS)
    values = [value for relation in RELATIONS.values() for value in relation.values]
    words = rng.sample(values, count * WORDS_A_VERSE)
    return {tuple(words[i::count]): POETS[i % len(POETS)] for i in range(count)}


# Words of these kinds that no other table has.
WORDS: tuple[str, ...] = tuple(
    dict.fromkeys(
        (
            *COUNTRIES,
            *(word for q in QUESTIONS for word in (*q.text.split(), *q.options)),
            *listed("i think guess are you sure is it true"),
            *listed("this verse : comment like hate wrote another"),
            *listed("that by who"),
            *POETS,
            *listed("am should grow"),
            *listed("would say not to"),
            *BEHAVIOURS,
        )
    )
)
