"""What a source of items is: where it came from, under which licence, which rows had to be refused."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from gnomon.core.errors import DataError
from gnomon.core.record import Item
from gnomon.core.seeds import Seed

__all__ = ["MAX_CHOICES", "Source", "fault", "shuffled"]

MAX_CHOICES = 10
# A file with a larger share of refused rows is a wrong file or a wrong layout, not a few bad rows. Published sets
# of the catalogue are known to hold some.
MAX_REFUSED, MAX_REFUSED_PUBLISHED = 0.01, 0.05
_LETTERED = re.compile(r"\([A-J]\)|\bchoice:")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Items with their provenance.

    Attributes:
        name: data set name or file name.
        where: path, hub id or seed that gives the same items again.
        licence: as the publisher states it; "unknown" for a user's own file.
        dialect: the wording its items are asked in.
        items: in the source's order.
        refused: one line a row that could not be used.
        published: a set of the catalogue, not a user's file.
    """

    name: str
    where: str
    licence: str
    dialect: str
    items: tuple[Item, ...]
    refused: tuple[str, ...] = ()
    published: bool = False

    def __post_init__(self) -> None:
        total = len(self.items) + len(self.refused)
        limit = MAX_REFUSED_PUBLISHED if self.published else MAX_REFUSED
        if total and len(self.refused) > max(1, limit * total):
            raise DataError(
                f"{len(self.refused)} of {total} rows cannot be used; the first: {self.refused[0]}",
                where=self.where,
                todo="mend or remove them",
            )


def fault(item: Item) -> str:
    """Why `item` cannot be asked; "" when it can."""
    if not item.question.strip():
        return f"{item.id}: the question is empty"
    if not item.choices:
        return ""
    if len(item.choices) < 2:
        return f"{item.id}: only one option"
    if any(not c.strip() for c in item.choices):
        return f"{item.id}: an option is empty"
    if len({c.strip() for c in item.choices}) < len(item.choices):
        return f"{item.id}: two options have the same text"
    if any(_LETTERED.search(c) for c in item.choices):
        return f"{item.id}: an option contains a letter in brackets"
    if item.gold is not None and not 0 <= item.gold < len(item.choices):
        return f"{item.id}: the right option is number {item.gold} of {len(item.choices)}, counted from 0"
    return ""


def shuffled(item: Item, seed: Seed, most: int = MAX_CHOICES) -> Item:
    """`item` with its options in a drawn order, at most `most` of them, the gold one always kept."""
    rng = seed.child("shuffle", item.id).random()
    order = list(range(len(item.choices)))
    rng.shuffle(order)
    if len(order) > most:
        spare = [i for i in order if i != item.gold][most - (item.gold is not None) :]
        order = [i for i in order if i not in spare]
    gold = None if item.gold is None else order.index(item.gold)
    return replace(item, choices=tuple(item.choices[i] for i in order), gold=gold)
