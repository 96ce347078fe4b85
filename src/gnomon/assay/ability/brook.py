"""The embedded world's own tasks, each like a published one: what training costs is seen with nothing downloaded.

brook-facts   which of four values answers a question on a fact (as ARC)
brook-prose   the last word of running prose, a fact's value (as LAMBADA)
brook-notes   a question whose answer stands in a note before it
brook-steps   the last result of a sum whose steps are written out
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.data.base import Source
from gnomon.data.worlds.brook.source import EXPOSURE, SUMS, items

__all__ = ["drawn"]

_FACTS: Mapping[str, float] = {"format": 2, **dict.fromkeys(EXPOSURE, 1)}
_SENTENCES_BEFORE = 2


def drawn(name: str, n: int, seed: Seed) -> Source:
    """`n` items of one of the four tasks."""
    made = _MAKERS[name](n, seed)
    return Source(name=name, where="brook", licence="generated", dialect="brook", items=tuple(made))


def _facts(n: int, seed: Seed) -> list[Item]:
    return [replace(item, answers=()) for item in items(_FACTS, n, seed)]


def _prose(n: int, seed: Seed) -> list[Item]:
    """Each sentence after two others about other facts, cut before its last word."""
    made = items(_FACTS, n + _SENTENCES_BEFORE, seed)
    return [_passage(item, made[place : place + _SENTENCES_BEFORE]) for place, item in enumerate(made[2:])]


def _passage(item: Item, before: Sequence[Item]) -> Item:
    said = str(item.meta["sentence"]).rpartition(f" {item.meta['value']} ")[0]
    text = " ".join((*(str(other.meta["sentence"]) for other in before), said))
    return replace(item, question=text, choices=(), gold=None, meta={**item.meta, "kind": "cloze"})


def _notes(n: int, seed: Seed) -> list[Item]:
    return [replace(item, choices=(), gold=None) for item in items({"note": 1}, n, seed)]


def _steps(n: int, seed: Seed) -> list[Item]:
    return [_last_step(item) for item in items(dict.fromkeys(SUMS[1:], 1.0), n, seed)]


def _last_step(item: Item) -> Item:
    """The sum with its steps up to the last result."""
    asked = " ".join(item.meta["steps"]).rpartition(" = ")[0]
    return replace(item, question=f"Problem: {item.question} Steps: {asked} =")


_MAKERS: Mapping[str, Callable[[int, Seed], list[Item]]] = {
    "brook-facts": _facts,
    "brook-prose": _prose,
    "brook-notes": _notes,
    "brook-steps": _steps,
}
