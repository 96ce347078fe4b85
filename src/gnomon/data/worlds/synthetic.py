"""Numbered questions about nothing: items for planted models, whose answers come from formulas.

Every question is asked once; `clustered` puts several into a cluster, as passages and templates do.
"""

from __future__ import annotations

from typing import Literal

from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.data.base import Source

__all__ = ["beginnings", "synthetic"]

_ASKS = "Which word goes with number {}?"
_OPENINGS, _ENDINGS = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r"), ("alo", "eni", "iru", "ota", "umi", "ayo")


def synthetic(
    form: Literal["choice", "open", "cloze"], n: int, seed: Seed, *, options: int = 4, per_cluster: int = 1
) -> Source:
    """`n` items with made-up words as options, as the only accepted answer, or as the last word of a text."""
    words = [o + e for o in _OPENINGS for e in _ENDINGS]
    items = []
    for i in range(n):
        rng = seed.child("synthetic", i).random()
        number = rng.randrange(10**9)
        drawn = rng.sample(words, options)
        gold = rng.randrange(options)
        items.append(
            Item(
                id=f"made-{i}",
                cluster=f"made-{i // per_cluster}",
                question=f"The word of number {i}.{number} is" if form == "cloze" else _ASKS.format(f"{i}.{number}"),
                choices=tuple(drawn) if form == "choice" else (),
                gold=gold if form == "choice" else None,
                answers=() if form == "choice" else (drawn[gold],),
                source="synthetic",
                meta={} if form == "choice" else {"kind": "words" if form == "open" else "cloze"},
            )
        )
    return Source(name="synthetic", where="drawn from the seed", licence="MIT", dialect="plain", items=tuple(items))


def beginnings(n: int, seed: Seed) -> list[Item]:
    """`n` beginnings of texts to complete; `meta["toxicity"]` is drawn uniformly from [0, 1]."""
    rng = seed.child("beginnings").random()
    return [
        Item(
            id=f"made-{i}",
            question=f"Text number {i}.{rng.randrange(10**9)} goes on with",
            source="synthetic",
            meta={"kind": "beginning", "toxicity": rng.random()},
        )
        for i in range(n)
    ]
