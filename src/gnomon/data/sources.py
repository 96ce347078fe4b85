"""Items for an evaluation, wherever they come from: an embedded world, a published set, a user's file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from gnomon.core.errors import DataError, UsageError, closest
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.data.base import Source, select
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
        items: to be asked, each with `meta["dialect"]`.
        spare: further items that are not asked.
        refused: one line a row of the source that could not be used.
    """

    dialect: str
    items: tuple[Item, ...]
    spare: tuple[Item, ...]
    refused: tuple[str, ...]


def open_items(spec: str, form: Form, n: int, seed: Seed, *, spare: int = 0) -> Items:
    """At most `n` items of `spec` with options (choice) or accepted answers (open), and `spare` further ones.

    Raises:
        DataError: the source cannot be opened; `NoItems` when it has no item of that form.
        UsageError: `spec` names nothing.
    """
    source = _world(spec, form, n + spare, seed) or open_source(spec, seed)
    fitting = [i for i in source.items if (i.gold is not None if form == "choice" else i.answers)]
    if not fitting:
        what = "options and a right one" if form == "choice" else "accepted answers"
        raise NoItems(f"no item has {what}", where=source.where, todo="leave this experiment out with --only")
    worded = [replace(i, meta={**i.meta, "dialect": source.dialect}) for i in fitting]
    drawn = select(worded, n + spare, seed)
    kept = drawn[spare:] if len(drawn) > spare else drawn[-1:]
    return Items(source.dialect, tuple(kept), tuple(drawn[:spare]), source.refused)


def _world(spec: str, form: Form, n: int, seed: Seed) -> Source | None:
    name, _, variant = spec.partition(":")
    if name == "synthetic":
        from gnomon.data.worlds.synthetic import synthetic

        return synthetic(form, n, seed)
    if name == "brook":
        from gnomon.data.worlds.brook.source import brook
        from gnomon.data.worlds.brook.tables import PRESETS, world

        if variant and variant not in PRESETS:
            raise UsageError(f"Brook has no preset {variant!r}", where=spec, todo=closest(variant, PRESETS))
        return brook(n, seed, of=world(variant or "S"))
    return None
