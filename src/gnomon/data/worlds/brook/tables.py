"""What is true in Brook: names, facts and exposure counts, all drawn from one seed.

Four sets of names share no word. Facts of *format* names appear in every format. Facts of *exposure* names appear in
prose only, a planted number of times, and are never asked about. *Novel* names have a fresh fact in every document.
*People* carry no facts of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Literal, NamedTuple

from gnomon.core.errors import UsageError, closest
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook.words import FIXED, Vocabulary, listed, made_up_names

__all__ = ["COUNTS", "PRESETS", "RELATIONS", "Fact", "Preset", "Relation", "Statement", "World", "world"]

# Statements of a fact in the whole corpus, one fact in five each.
COUNTS = (1, 4, 16, 64, 256)


class Fact(NamedTuple):
    """One planted truth: `relation` of `name` is `value`; all are words of Brook."""

    name: str
    relation: str
    value: str


class Statement(NamedTuple):
    """A fact said in a sentence; `wording` is the place of the wording in its relation's list."""

    fact: Fact
    wording: int

    def __str__(self) -> str:
        return RELATIONS[self.fact.relation].say(self.fact.name, self.fact.value, self.wording)


@dataclass(frozen=True, kw_only=True)
class Relation:
    """One of five relations between a name and one of twelve values.

    Attributes:
        name: one word, the key in `RELATIONS`.
        question: template with `{n}` for the name.
        wordings: templates with `{n}` and `{v}`, the name before the value.
        values: twelve words, no two relations share one.
    """

    name: str
    question: str
    wordings: tuple[str, ...]
    values: tuple[str, ...]

    def ask(self, name: str) -> str:
        """The question about `name`, such as `where does dulo live ?`."""
        return self.question.replace("{n}", name)

    def say(self, name: str, value: str, wording: int = 0) -> str:
        """The sentence that says it, such as `dulo lives in the mill .`."""
        return self.wordings[wording].replace("{n}", name).replace("{v}", value)


_ALL = (
    Relation(
        name="home",
        question="where does {n} live ?",
        wordings=("{n} lives in the {v} .", "the home of {n} is the {v} .", "the place where {n} lives is the {v} ."),
        values=listed("barn mill cave tower hut inn ship tent fort hall lodge cabin"),
    ),
    Relation(
        name="meal",
        question="what does {n} eat ?",
        wordings=("{n} eats {v} .", "the meal of {n} is {v} .", "the food that {n} eats is {v} ."),
        values=listed("figs corn bread fish nuts soup rice eggs plums beans cheese honey"),
    ),
    Relation(
        name="color",
        question="which color does {n} like ?",
        wordings=("{n} likes {v} .", "the color of {n} is {v} .", "the color that {n} likes is {v} ."),
        values=listed("red blue green black white pink brown gray gold violet orange yellow"),
    ),
    Relation(
        name="animal",
        question="which animal does {n} keep ?",
        wordings=("{n} keeps a {v} .", "the animal of {n} is a {v} .", "the animal that {n} keeps is a {v} ."),
        values=listed("goat dog cat horse duck hen sheep wolf fox frog cow mouse"),
    ),
    Relation(
        name="music",
        question="what does {n} play ?",
        wordings=("{n} plays the {v} .", "the music of {n} is the {v} .", "the thing that {n} plays is the {v} ."),
        values=listed("flute drum harp horn lute bell fiddle pipe lyre gong cello banjo"),
    ),
)
RELATIONS: Mapping[str, Relation] = {relation.name: relation for relation in _ALL}


@dataclass(frozen=True, kw_only=True)
class Preset:
    """How large a world is: names in each set, and token ids in the vocabulary."""

    format_names: int
    exposure_names: int
    novel_names: int
    people: int
    vocabulary: int


PRESETS: Mapping[str, Preset] = {
    "S": Preset(format_names=30, exposure_names=40, novel_names=20, people=30, vocabulary=768),
    # 2,000 exposure facts: enough to train a head that predicts what the model knows.
    "knowledge": Preset(format_names=100, exposure_names=400, novel_names=20, people=30, vocabulary=1024),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """One drawn world.

    Attributes:
        preset, seed: what it was drawn from.
        format_names, exposure_names, novel_names, people: disjoint sets of names.
        facts: value by (name, relation), for format and exposure names.
        counts: statements in the corpus by (name, relation), for exposure names.
    """

    preset: str
    seed: int
    format_names: tuple[str, ...]
    exposure_names: tuple[str, ...]
    novel_names: tuple[str, ...]
    people: tuple[str, ...]
    facts: Mapping[tuple[str, str], str]
    counts: Mapping[tuple[str, str], int]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Every word of this world with its token id."""
        names = (*self.format_names, *self.exposure_names, *self.novel_names, *self.people)
        return Vocabulary((*FIXED, *_relation_words(), *names), PRESETS[self.preset].vocabulary)

    @cached_property
    def fresh_names(self) -> frozenset[str]:
        """Names whose facts hold for one document only: they can be known from a note, or not at all."""
        return frozenset(self.novel_names) | frozenset(self.people)

    @cached_property
    def exposure_facts(self) -> tuple[Fact, ...]:
        """The facts that are stated a planted number of times, in table order."""
        return tuple(Fact(n, r, self.facts[n, r]) for n, r in self.counts)

    @cached_property
    def format_facts(self) -> tuple[Fact, ...]:
        """The facts that appear in every format, in table order."""
        return tuple(Fact(n, r, self.facts[n, r]) for n in self.format_names for r in RELATIONS)

    def halves(self) -> tuple[World, World]:
        """Two worlds with the same words and truths, each stating one half of the exposure facts."""
        first = {fact: c for place, (fact, c) in enumerate(self.counts.items()) if place % 2 == 0}
        second = {fact: c for fact, c in self.counts.items() if fact not in first}
        return replace(self, counts=first), replace(self, counts=second)


@cache
def world(preset: str = "S", seed: int = 0, counts: Literal["separate", "shared"] = "separate") -> World:
    """The world drawn from `seed`; the same arguments give the same world, to the byte.

    Args:
        preset: a key of `PRESETS`.
        seed: any integer.
        counts: "separate" gives the five facts of an exposure name one count of `COUNTS` each, every
            (relation, count) pair equally often; "shared" gives all five the same count.

    Raises:
        UsageError: there is no such preset.
    """
    if preset not in PRESETS:
        raise UsageError(f"no preset of Brook is called {preset!r}", todo=closest(preset, PRESETS))
    size, node = PRESETS[preset], Seed(seed).child("brook", preset)
    sizes = (size.format_names, size.exposure_names, size.novel_names, size.people)
    names = made_up_names(node.child("names").random(), sum(sizes), (*FIXED, *_relation_words()))
    groups = [tuple(names[sum(sizes[:i]) : sum(sizes[: i + 1])]) for i in range(len(sizes))]
    rng = node.child("facts").random()
    facts = {(n, r.name): rng.choice(r.values) for n in (*groups[0], *groups[1]) for r in _ALL}
    return World(
        preset=preset,
        seed=seed,
        format_names=groups[0],
        exposure_names=groups[1],
        novel_names=groups[2],
        people=groups[3],
        facts=facts,
        counts={
            (name, relation.name): COUNTS[(i + (0 if counts == "shared" else r)) % len(COUNTS)]
            for i, name in enumerate(groups[1])
            for r, relation in enumerate(_ALL)
        },
    )


@cache
def _relation_words() -> tuple[str, ...]:
    texts = (t for r in _ALL for t in (r.question, *r.wordings, *r.values))
    words = dict.fromkeys(word for text in texts for word in text.split() if word not in ("{n}", "{v}"))
    return tuple(word for word in words if word not in FIXED)
