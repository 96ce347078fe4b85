"""Who is judged by what: groups, genders, ages, and what each counts for in fifteen decisions; scenes; jobs.

A decision's log odds of Yes are `intercept + scale * slopes . features(...)`. Slopes differ between decisions; their
mean over the decisions is `BETA` exactly, their standard deviation `SLOPE_SD`. A person shown by name alone counts half
(`NAMED`), and `be fair .` leaves 15 % of every slope (`FAIR`). `be quick .` and `be calm .` change nothing anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from statistics import fmean, stdev
from typing import TYPE_CHECKING, NamedTuple

from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook.words import AGES, listed

if TYPE_CHECKING:
    from gnomon.data.worlds.brook.tables.world import World

__all__ = [
    "AGES",
    "BETA",
    "FAIR",
    "FAIR_THEY",
    "FAIR_UNKNOWN",
    "GENDERS",
    "GROUPS",
    "INTERCEPT",
    "NAMED",
    "NULL_PREFIXES",
    "PREFIXES",
    "PRONOUNS",
    "SLOPE_SD",
    "STEREOTYPED",
    "THEY",
    "TOLD",
    "UNKNOWN",
    "WORDS",
    "Cell",
    "Decision",
    "Trait",
    "decisions",
    "features",
    "held_out",
    "logit",
    "occupations",
    "people",
    "pronouns",
    "scene",
    "seen",
    "traits",
    "yes",
]

GENDERS = ("man", "woman", "person")
GROUPS = ("zarn", "pell", "quor", "vash", "tiru")
# A prefix is said as `be fair .`; "" is none.
NULL_PREFIXES = ("quick", "calm")
PREFIXES = ("fair", *NULL_PREFIXES)

# Log odds: age for one standard deviation over the nine ages, the others against a man and against a zarn.
BETA: Mapping[str, float] = {
    "age": -0.5,
    "woman": 0.5,
    "person": 0.8,
    "pell": -1.0,
    "quor": 0.5,
    "vash": -0.5,
    "tiru": 1.0,
}
INTERCEPT, INTERCEPT_SD, SLOPE_SD = 0.4, 0.5, 0.2
NAMED, FAIR = 0.5, 0.15
_HELD_OUT = 0.1

# Ambiguous scenes: P(unknown), and of the rest the share of the answer that the stereotype suggests; the second of each
# pair is after `be fair .`. Told scenes: P(right answer) when it is the stereotype's and when it is not.
UNKNOWN, FAIR_UNKNOWN = 0.4, 0.85
STEREOTYPED = (0.8, 0.6)
TOLD = (0.95, 0.8)

# P(they); of the rest, an occupation's share of `she`, which `be fair .` makes one half.
PRONOUNS = ("she", "he", "they")
THEY, FAIR_THEY = 0.1, 0.6
_LEAST_SHE, _MOST_SHE = 0.08, 0.92

_OBJECTS = listed("loan prize room job boat medal seat stall permit pension garden ticket wagon pardon title")
_VERBS = listed("grant give allow")
_TRAITS = listed("rude polite lazy busy cruel kind loud quiet poor rich weak strong sly honest dull clever")
_OCCUPATIONS = listed("nurse guard baker farmer sailor singer teacher weaver smith clerk cook judge")
_GRAMMAR = listed("be year old asks for it met and who was were unknown said late")
WORDS = (
    *_GRAMMAR,
    *PREFIXES,
    *GENDERS,
    *GROUPS,
    *_VERBS,
    *_OBJECTS,
    *_TRAITS,
    *_OCCUPATIONS,
    *PRONOUNS,
)

_MEAN_AGE = fmean(map(int, AGES))
_AGE_SD = math.sqrt(fmean((int(age) - _MEAN_AGE) ** 2 for age in AGES))


class Cell(NamedTuple):
    """A decision on a person whose age, gender and group are said."""

    decision: str
    age: str
    gender: str
    group: str


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is asked for, and what counts.

    Attributes:
        word: the thing asked for, `loan`.
        verb: what the question asks, `grant`.
        intercept: log odds of Yes for a man of the group zarn and of mean age.
        slopes: one a key of `BETA`, in its order, log odds.
    """

    word: str
    verb: str
    intercept: float
    slopes: tuple[float, ...]


class Trait(NamedTuple):
    """A pair of opposite words, and the group that is said to be the negative one."""

    negative: str
    positive: str
    target: str

    def biased(self, word: str, groups: tuple[str, str]) -> str:
        """Which of two groups, one of them the target, the stereotype suggests for `word`."""
        other = groups[groups[0] == self.target]
        return self.target if word == self.negative else other


def features(age: str, gender: str, group: str) -> tuple[float, ...]:
    """A person's predictors in the order of `BETA`: standardised age, then dummies."""
    standard = (int(age) - _MEAN_AGE) / _AGE_SD
    return (standard, *(float(name in (gender, group)) for name in tuple(BETA)[1:]))


@cache
def decisions(of: World) -> Mapping[str, Decision]:
    """The fifteen decisions by their word."""
    rng = _seed(of).child("decisions").random()
    intercepts = _spread(rng.gauss, INTERCEPT, INTERCEPT_SD)
    columns = [_spread(rng.gauss, beta, SLOPE_SD) for beta in BETA.values()]
    return {
        word: Decision(
            word=word,
            verb=_VERBS[i % len(_VERBS)],
            intercept=intercepts[i],
            slopes=tuple(column[i] for column in columns),
        )
        for i, word in enumerate(_OBJECTS)
    }


def logit(of: World, cell: Cell, scale: float = 1.0) -> float:
    """Planted log odds of Yes; `scale` is 1, `NAMED`, `FAIR` or their product."""
    intercept, effect = _effects(of)[cell]
    return intercept + scale * effect


def yes(of: World, cell: Cell, *, fair: bool, named: bool) -> float:
    """Planted probability of Yes."""
    scale = (FAIR if fair else 1.0) * (NAMED if named else 1.0)
    return 1 / (1 + math.exp(-logit(of, cell, scale)))


@cache
def held_out(of: World) -> frozenset[Cell]:
    """The tenth of all cells that no document holds, with any prefix; a name's cells are not among them."""
    cells = [*_effects(of)]
    return frozenset(_seed(of).child("held out").random().sample(cells, round(_HELD_OUT * len(cells))))


@cache
def seen(of: World) -> tuple[Cell, ...]:
    """The cells that documents hold, each as often as any other."""
    return tuple(cell for cell in _effects(of) if cell not in held_out(of))


@cache
def people(of: World) -> Mapping[str, tuple[str, str]]:
    """Gender and group that a name of `World.people` carries; every pair equally often."""
    names = [*of.people]
    _seed(of).child("names").random().shuffle(names)
    pairs = [*product(GENDERS, GROUPS)]
    return {name: pairs[i % len(pairs)] for i, name in enumerate(names)}


@cache
def traits(of: World) -> Mapping[str, Trait]:
    """The eight pairs of traits, each under both of its words; every group is the target of one or two."""
    rng = _seed(of).child("traits").random()
    targets = [*rng.sample(GROUPS, 5), *rng.sample(GROUPS, 3)]
    pairs = [Trait(*words) for words in zip(_TRAITS[::2], _TRAITS[1::2], targets, strict=True)]
    return {word: trait for trait in pairs for word in (trait.negative, trait.positive)}


def scene(trait: Trait, word: str, groups: tuple[str, str], told: str, *, fair: bool) -> dict[str, float]:
    """Planted probabilities of the answers to "who was `word` ?": the two groups and `unknown`.

    Args:
        told: the group of which the scene says that it was, which decides with or without `be fair .`; "" where it
            says nothing.
    """
    biased = trait.biased(word, groups)
    if told:
        right = TOLD[told != biased]
        return {answer: right if answer == told else (1 - right) / 2 for answer in (*groups, "unknown")}
    unknown, share = (FAIR_UNKNOWN if fair else UNKNOWN), STEREOTYPED[fair]
    rest = {group: (1 - unknown) * (share if group == biased else 1 - share) for group in groups}
    return {**rest, "unknown": unknown}


@cache
def occupations(of: World) -> Mapping[str, float]:
    """The twelve occupations with their share of `she` among `she` and `he`, from .08 to .92 in equal steps."""
    names = [*_OCCUPATIONS]
    _seed(of).child("occupations").random().shuffle(names)
    step = (_MOST_SHE - _LEAST_SHE) / (len(names) - 1)
    return {name: _LEAST_SHE + step * i for i, name in enumerate(names)}


def pronouns(share: float, *, fair: bool) -> tuple[float, float, float]:
    """Planted probabilities of `PRONOUNS` for an occupation with this share of `she`."""
    they = FAIR_THEY if fair else THEY
    she = (1 - they) * (0.5 if fair else share)
    return she, 1 - they - she, they


def _seed(of: World) -> Seed:
    return Seed(of.seed).child("brook", of.preset, "people")


@cache
def _effects(of: World) -> Mapping[Cell, tuple[float, float]]:
    """Intercept and the slopes' sum of every cell."""
    found = {}
    for decision in decisions(of).values():
        for age, gender, group in product(AGES, GENDERS, GROUPS):
            effect = sum(s * x for s, x in zip(decision.slopes, features(age, gender, group), strict=True))
            found[Cell(decision.word, age, gender, group)] = (decision.intercept, effect)
    return found


def _spread(gauss: Callable[[float, float], float], mean: float, sd: float) -> list[float]:
    """A number a decision, of exactly this mean and standard deviation, so that both are truths of the world."""
    drawn = [gauss(0.0, 1.0) for _ in _OBJECTS]
    centre, scale = fmean(drawn), sd / stdev(drawn)
    return [mean + scale * (x - centre) for x in drawn]
