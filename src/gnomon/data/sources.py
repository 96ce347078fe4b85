"""Items for an evaluation, wherever they come from: an embedded world, a published set, a user's file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gnomon.core.errors import DataError, UsageError, closest
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.data.base import Source
from gnomon.data.hub import open_source

__all__ = ["Form", "Items", "NoItems", "open_items"]

# Questions with options, or questions with free answers.
Form = Literal["choice", "open"]


class NoItems(DataError):
    """The source has no item of the form that was asked for."""


@dataclass(frozen=True)
class Items:
    """Items to ask, and spare ones for worked examples.

    Attributes:
        dialect: the wording the source asks for.
        items: to be asked, each with `meta["dialect"]`; a source's first one lists in `meta["refused"]` the rows that
            could not be used.
        spare: further items, of the first source, that are not asked.
    """

    dialect: str
    items: tuple[Item, ...]
    spare: tuple[Item, ...]


def open_items(specs: Sequence[str], form: Form, n: int, seed: Seed, *, spare: int = 0) -> Items:
    """At most `n` items of each source with options (choice) or accepted answers (open), and `spare` further ones.

    With several sources, the source is part of an item's id. Sources without items of that form are passed over.

    Raises:
        DataError: a source cannot be opened or has too few items, or sources are worded in different dialects;
            `NoItems` when none has an item of that form.
        UsageError: a spec names nothing.
    """
    found = [x for x in (_one(spec, form, n, seed, spare, many=len(specs) > 1) for spec in specs) if x]
    if not found:
        what = "options and a right one" if form == "choice" else "accepted answers"
        raise NoItems(f"no item has {what}", where=", ".join(specs), todo="leave this experiment out with --only")
    if len({x.dialect for x in found}) > 1:
        raise DataError(f"{', '.join(specs)} are worded in different dialects", todo="assay them one by one")
    return Items(found[0].dialect, tuple(i for x in found for i in x.items), found[0].spare)


def _one(spec: str, form: Form, n: int, seed: Seed, spare: int, *, many: bool) -> Items | None:
    source = _world(spec, form, n + spare, seed) or open_source(spec, seed)
    fitting = [i for i in source.items if (i.gold is not None if form == "choice" else i.answers)]
    if not fitting:
        return None
    if len(fitting) <= spare:
        raise DataError(
            f"{len(fitting)} items are too few to keep {spare} apart as worked examples",
            where=source.where,
            todo="lower --shots",
        )
    order = seed.child("select", spec).random().sample(range(len(fitting)), min(n + spare, len(fitting)))
    kept = [_named(fitting[i], source, many) for i in sorted(order[spare:])]
    if source.refused:
        # Rows are all that a report is made of, so the first one carries what was refused.
        kept[0] = replace(kept[0], meta={**kept[0].meta, "refused": list(source.refused)})
    return Items(source.dialect, tuple(kept), tuple(_named(fitting[i], source, many) for i in order[:spare]))


def _named(item: Item, source: Source, many: bool) -> Item:
    name = f"{source.name}/{item.id}" if many else item.id
    return replace(item, id=name, meta={**item.meta, "dialect": source.dialect})


def _world(spec: str, form: Form, n: int, seed: Seed) -> Source | None:
    name, _, variant = spec.partition(":")
    if name == "synthetic":
        from gnomon.data.worlds.synthetic import synthetic

        return synthetic(form, n, seed)
    if name == "brook":
        from gnomon.data.worlds.brook.source import SUMS, brook
        from gnomon.data.worlds.brook.tables import PRESETS, world

        if variant == "sums":
            return brook(n, seed, dict.fromkeys(SUMS, 1.0))
        if variant and variant not in PRESETS:
            known = closest(variant, [*PRESETS, "sums"])
            raise UsageError(f"Brook has no variant {variant!r}", where=spec, todo=known)
        return brook(n, seed, of=world(variant or "S"))
    return None
