"""The embedded world's own tasks, each like a published one: what training costs is seen with nothing downloaded.

    brook-facts     which of four values answers a question on a fact (as ARC)
    brook-answers   the same of four sentences that an assistant may answer a human with
    brook-prose     the last word of running prose, a fact's value (as LAMBADA)
    brook-notes     a question whose answer stands in a note before it
    brook-steps     the last result of a sum whose steps are written out

A document of Brook is of one form, so after dialogues a question in another form comes unexpected: what a prompt of
dialogues does is read off brook-answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.data.base import Source
from gnomon.data.worlds.brook.hhh import dialogue
from gnomon.data.worlds.brook.source import EXPOSURE, SUMS, items
from gnomon.data.worlds.brook.tables import RELATIONS

__all__ = ["drawn"]

_FACTS: Mapping[str, float] = {"format": 2, **dict.fromkeys(EXPOSURE, 1)}
_SENTENCES_BEFORE = 2


def drawn(name: str, n: int, seed: Seed) -> Source:
    """`n` items of one of the tasks."""
    made = _MAKERS[name](n, seed)
    return Source(name=name, where="brook", licence="generated", dialect="brook", items=tuple(made))


def _facts(n: int, seed: Seed) -> list[Item]:
    return [replace(item, answers=()) for item in items(_FACTS, n, seed)]


def _answers(n: int, seed: Seed) -> list[Item]:
    """The items of `brook-facts`, said in turns."""
    return [_turned(item) for item in items(_FACTS, n, seed)]


def _turned(item: Item) -> Item:
    relation = RELATIONS[item.meta["relation"]]
    said = tuple(relation.say(item.meta["name"], value) for value in item.choices)
    return replace(item, question=dialogue(item.question, "Talk:"), choices=said, answers=())


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
    "brook-answers": _answers,
    "brook-prose": _prose,
    "brook-notes": _notes,
    "brook-steps": _steps,
}
