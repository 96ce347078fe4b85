"""Checks of the skills that carry no fact: finding a value among letters, and copying."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from gnomon.assay.brook.check import Check, asked, shares
from gnomon.assay.brook.expected import Expected, Range
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook import KINDS, World, dialect
from gnomon.data.worlds.brook.scaffold import Copied, Match
from gnomon.models.base import Model

__all__ = ["CHECKS"]


def _match(of: World, n: int, seed: Seed) -> Iterator[Item]:
    rng, made = seed.random(), 0
    while made < n:
        record = KINDS["match"].draw(of, rng)
        if not isinstance(record, Match) or record.form != "answer" or len(record.options) != 4:
            continue
        prompt = " ".join(KINDS["match"].render(of, (record,)).words[:-1])
        right = record.options.index(record.found[0])
        yield asked("match", Item(id=f"match-{made}"), prompt, dialect.letters(4), right)
        made += 1


def _copy_back(of: World, n: int, seed: Seed) -> Iterator[Item]:
    rng = seed.random()
    for number in range(n // 4):
        record = KINDS["copy-back"].draw(of, rng)
        assert isinstance(record, Copied)
        words = " ".join(record.words)
        item = asked("copy-back", Item(id=str(number)), f"{words} .", (), 0)
        yield replace(item, meta={**item.meta, "continuation": f" {words}"})


async def _copied(model: Model, item: Item) -> dict[str, Any]:
    score = await model.score(item.meta["prompt"], item.meta["continuation"])
    copied = sum(math.exp(token) for token in score.logprobs) / len(score.logprobs)
    return {"readout": "exact", "scores": {"right": copied}}


CHECKS = (
    Check(
        name="match",
        items=_match,
        rows=(Expected("match", "", "1", Range(0.9, 1.0)),),
        estimates=shares("match"),
        truth=lambda know: {"match": know + (1 - know) / 4},
    ),
    Check(
        name="copy-back",
        items=_copy_back,
        rows=(Expected("copy-back", "", "1", Range(0.97, 1.0)),),
        estimates=shares("copy-back"),
        trial=_copied,
    ),
)
