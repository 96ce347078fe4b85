"""Checks of questions in two parts: the parts are answered, a wrong part is followed, and what is known at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod

from gnomon.assay.brook.check import Check, asked, of_group, right, share
from gnomon.assay.brook.expected import Expected, Range
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook import KINDS, PRESETS, RELATIONS, World
from gnomon.data.worlds.brook.hops import Hop
from gnomon.data.worlds.brook.tables.places import friends
from gnomon.report.base import Estimate

__all__ = ["CHECKS"]


def _hop(of: World, n: int, seed: Seed) -> Iterator[Item]:
    cells = [(name, relation) for name in of.format_names for relation in RELATIONS]
    for name, relation in seed.random().sample(cells, min(len(cells), n // 2)):
        friend = friends(of)[name]
        told = Hop(name, relation, friend, of.facts[friend, relation], tagged=True)
        others = [other for other in of.format_names if other != name and of.facts[other, relation] != told.value]
        other = seed.child(name, relation).random().choice(others)
        corrupted = told._replace(friend=other, value=of.facts[other, relation])
        yield from _ask(of, told, "tagged", 0)
        yield from _ask(of, corrupted, "corrupted", 1)
        yield from _ask(of, told._replace(tagged=False), "direct", 0)


def _ask(of: World, record: Hop, group: str, first: int) -> Iterator[Item]:
    """Every answer of the document from the `first` on, those before it as it says them."""
    text = KINDS["hop"].render(of, (record,))
    chain = f"{record.name}-{record.relation}"
    for number, place in enumerate(text.keys[first:], first):
        word = text.words[place]
        words = of.format_names if word in of.format_names else RELATIONS[record.relation].values
        planted = [float(option == word) for option in words]
        item = Item(id=f"{chain}-{group}-{number}", cluster=record.name)
        options, prompt = [f" {option}" for option in words], " ".join(text.words[:place])
        yield asked("hop", item, prompt, options, words.index(word), group, planted, chain=chain)


def _read(rows: Sequence[Row]) -> Iterator[Estimate]:
    for group in ("tagged", "corrupted", "direct"):
        chains: dict[str, list[Row]] = {}
        for row in of_group(rows, group):
            chains.setdefault(row.evidence["chain"], []).append(row)
        # Every answer right given those before it is what a greedy speaker needs to write the whole chain.
        values = [prod(right(row) for row in chain) for chain in chains.values()]
        yield share(f"hop {group}", "", values, [chain[-1] for chain in chains.values()])


def _truth(know: float) -> Mapping[str, float]:
    names, value = know + (1 - know) / PRESETS["S"].format_names, know + (1 - know) / 12
    return {"hop tagged": names * value**2, "hop corrupted": value**2, "hop direct": value}


CHECKS = (
    Check(
        name="hop",
        items=_hop,
        rows=(
            Expected("hop tagged", "", "1", Range(0.95, 1.0)),
            Expected("hop corrupted", "", "1", Range(0.8, 1.0)),
            Expected("hop direct", "", "less", None),
        ),
        estimates=_read,
        truth=_truth,
    ),
)
