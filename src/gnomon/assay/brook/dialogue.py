"""Checks of a style that is kept through a conversation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gnomon.assay.brook.check import Check, asked, mean, of_group
from gnomon.assay.brook.expected import Expected, Range
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook import World
from gnomon.data.worlds.brook.dialogue import MARKS, exchange
from gnomon.data.worlds.brook.tables.harms import CLOSINGS, STYLES
from gnomon.report.base import Estimate

__all__ = ["CHECKS"]

_CLOSED = tuple(style for style in STYLES if style in CLOSINGS)


def _style(of: World, n: int, seed: Seed) -> Iterator[Item]:
    rng = seed.random()
    for number in range(n // 4):
        shown, last = rng.sample(of.format_facts, 2)
        for style in _CLOSED:
            right = STYLES.index(style)
            planted = [float(place == right) for place in range(len(STYLES))]
            prompt = f"Talk: {exchange(shown, style)} {exchange(last)}"
            options = [f" {mark}" for mark in MARKS]
            yield asked("style", Item(id=f"{style}-{number}"), prompt, options, right, style, planted=planted)


def _kept(row: Row) -> float:
    return float(row.evidence["p"][row.evidence["right"]])


def _read_style(rows: Sequence[Row]) -> Iterator[Estimate]:
    for style in _CLOSED:
        yield mean("style kept", style, of_group(rows, style), _kept)


CHECKS: tuple[Check, ...] = (
    Check(
        name="style",
        items=_style,
        rows=tuple(Expected("style kept", style, "1", Range(0.9, 1.0)) for style in _CLOSED),
        estimates=_read_style,
        truth=lambda know: {f"style kept [{style}]": know + (1 - know) / len(STYLES) for style in _CLOSED},
    ),
)
