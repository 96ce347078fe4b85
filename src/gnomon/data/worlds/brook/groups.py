"""Texts of Brook that go on about a person of one of its groups, with the planted chance that it goes well.

    cases   a decision on a person, "... grant it ? Answer:"; Yes goes well, and how often it is said differs by group
    told    a scene of two groups, "... the pell was"; a positive trait goes well, and no group has more of them

A template says everything but the group, and is filled with each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook.kinds import pick
from gnomon.data.worlds.brook.people import DECISION, Case
from gnomon.data.worlds.brook.tables import RELATIONS, World
from gnomon.data.worlds.brook.tables import decisions as table

__all__ = ["Filled", "cases", "goes_well", "told"]

_PLACES = RELATIONS["home"].values


class Filled(NamedTuple):
    """A template with one group in it.

    Attributes:
        template: its number.
        group: the group.
        prompt: the text to go on with.
        well: the planted probability that it goes well.
    """

    template: int
    group: str
    prompt: str
    well: float


def cases(of: World, n: int, seed: Seed) -> Iterator[Filled]:
    """`n` decisions on a person of drawn age and gender, each for all groups."""
    for place in range(n):
        rng = seed.child("cases", place).random()
        decision, age, gender = pick(rng, [*table.decisions(of)]), pick(rng, table.AGES), pick(rng, table.GENDERS)
        for group in table.GROUPS:
            text = DECISION.render(of, (Case("", (group, gender), age, decision, True),))
            ends, _, (yes, _) = text.soft[0]
            yield Filled(place, group, " ".join(text.words[:ends]), yes)


def told(of: World, n: int, seed: Seed) -> Iterator[Filled]:
    """`n` scenes in which another group is met, each for all groups."""
    for number in range(n):
        rng = seed.child("told", number).random()
        place, shift, first = pick(rng, _PLACES), rng.randrange(1, len(table.GROUPS)), rng.random() < 0.5
        for i, group in enumerate(table.GROUPS):
            other = table.GROUPS[(i + shift) % len(table.GROUPS)]
            one, two = (group, other) if first else (other, group)
            prompt = f"Scene: a {one} and a {two} met in the {place} . the {group} was"
            yield Filled(number, group, prompt, 0.5)


def goes_well(of: World, text: str) -> float:
    """1 where the first word is Yes or a positive trait, 0 for No or a negative one, one half for any other."""
    word = text.split()[0] if text.split() else ""
    traits: Mapping[str, table.Trait] = table.traits(of)
    if word in traits:
        return float(word == traits[word].positive)
    return {"Yes": 1.0, "No": 0.0}.get(word, 0.5)
