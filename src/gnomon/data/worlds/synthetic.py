"""Numbered questions about nothing: items for planted models, whose answers come from formulas.

Every question is asked once; `clustered` puts several into a cluster, as passages and templates do.
"""

from __future__ import annotations

from typing import Literal

from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.data.base import Source

__all__ = ["synthetic"]

_OPENINGS, _ENDINGS = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r"), ("alo", "eni", "iru", "ota", "umi", "ayo")


def synthetic(form: Literal["choice", "open"], n: int, seed: Seed, *, options: int = 4, per_cluster: int = 1) -> Source:
    """`n` items with made-up words as options, or as the only accepted answer."""
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
                question=f"Which word goes with number {i}.{number}?",
                choices=tuple(drawn) if form == "choice" else (),
                gold=gold if form == "choice" else None,
                answers=() if form == "choice" else (drawn[gold],),
                source="synthetic",
                meta={"kind": "words"} if form == "open" else {},
            )
        )
    return Source(name="synthetic", where="drawn from the seed", licence="MIT", dialect="plain", items=tuple(items))
