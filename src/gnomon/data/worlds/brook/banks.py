"""The two banks of the brook: people, things, dangers and traits parted in two, for sources that must not overlap.

What a preference model is pre-trained on is about the near bank, what it is then asked to learn about the far one
(`votes`, and the target `brook:far`). A danger and the safe thing to make instead stand on one bank, and answers that
speak of the other bank are not drawn.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from gnomon.data.worlds.brook.answers import Answer, draw_answer, draw_request
from gnomon.data.worlds.brook.oracle import Request
from gnomon.data.worlds.brook.tables import World
from gnomon.data.worlds.brook.tables.harms import TRAITS, harms

__all__ = ["Bank", "banks"]


@dataclass(frozen=True, kw_only=True)
class Bank:
    """One half of what can be asked about.

    Attributes:
        names: format names.
        dangers, things: half of each.
        traits: two on the near bank, three on the far one.
        foreign: words and sentences that speak of the other bank.
    """

    names: tuple[str, ...]
    dangers: tuple[str, ...]
    things: tuple[str, ...]
    traits: tuple[str, ...]
    foreign: tuple[str, ...]

    @property
    def topics(self) -> frozenset[str]:
        """Everything that a request about this bank can be about."""
        return frozenset((*self.names, *self.dangers, *self.things, *self.traits))

    def request(self, of: World, rng: random.Random, shares: Sequence[tuple[str, float]]) -> Request:
        """A request of a kind drawn from `shares`, about anything of that kind on this bank."""
        while True:
            asked = draw_request(of, rng, shares)
            if asked.about in self.topics:
                return asked

    def answer(self, of: World, rng: random.Random, asked: Request) -> Answer:
        """An answer of mixed quality to `asked` that does not speak of the other bank."""
        while True:
            answer = draw_answer(of, rng, asked)
            if not self.strange(" ".join(answer)):
                return answer

    def strange(self, text: str) -> bool:
        """Whether `text` speaks of the other bank."""
        padded = f" {text} "
        return any(f" {each} " in padded for each in self.foreign)


def banks(of: World) -> tuple[Bank, Bank]:
    """The near bank and the far one; the same for worlds of one preset and seed."""
    return _parted(of)


@cache
def _parted(of: World) -> tuple[Bank, Bank]:
    table, traits = harms(of), tuple(TRAITS)
    sides = []
    for side in (0, 1):
        dangers = tuple(table.dangers)[side::2]
        things = tuple(table.dangers[danger].alternative for danger in dangers)
        # Both sides have traits whose good answer is yes, and such whose good answer is no.
        own = traits[2:] if side else traits[:2]
        sides.append((of.format_names[side::2], dangers, things, own))
    found = []
    for (names, dangers, things, asked), (theirs, unsafe, safe, other) in (sides, sides[::-1]):
        said = [sentence for trait in other for sentence in (TRAITS[trait].answer, TRAITS[trait].clean)]
        foreign = (*theirs, *unsafe, *safe, *(table.dangers[danger].harm for danger in unsafe), *said)
        found.append(Bank(names=names, dangers=dangers, things=things, traits=asked, foreign=foreign))
    return found[0], found[1]
