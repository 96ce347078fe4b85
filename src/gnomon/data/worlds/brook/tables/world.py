"""What is true in Brook: names, facts and exposure counts, all drawn from one seed.

Four sets of names share no word. Facts of *format* names appear in every format. Facts of *exposure* names appear in
prose only, a planted number of times, and are never asked about. *Novel* names have a fresh fact in every document.
*People* carry no facts of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Literal

from gnomon.core.errors import UsageError, closest
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook.tables import decisions, harms, places, surveys
from gnomon.data.worlds.brook.tables import facts as facts_table
from gnomon.data.worlds.brook.tables.facts import COUNTS, PRESETS, RELATIONS, Fact
from gnomon.data.worlds.brook.words import FIXED, Vocabulary, made_up_names

__all__ = ["World", "world"]

# Every word that is no name. A table module lists its own; new ones go to the end, so that ids stay.
_TABLES = (facts_table, decisions, surveys, harms, places)
_SPOKEN = tuple(dict.fromkeys((*FIXED, *(word for table in _TABLES for word in table.WORDS))))


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
        return Vocabulary((*_SPOKEN, *names), PRESETS[self.preset].vocabulary)

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
    names = made_up_names(node.child("names").random(), sum(sizes), _SPOKEN)
    groups = [tuple(names[sum(sizes[:i]) : sum(sizes[: i + 1])]) for i in range(len(sizes))]
    rng = node.child("facts").random()
    facts = {(n, r.name): rng.choice(r.values) for n in (*groups[0], *groups[1]) for r in RELATIONS.values()}
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
            for r, relation in enumerate(RELATIONS.values())
        },
    )
