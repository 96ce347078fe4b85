"""People who judge answers in Brook, as formulas: several workers see the same items, and what each would say is known.

Each item is a question with two answers of mixed quality (`answers`). Where something dangerous is asked the workers
red-team: they pick the more harmful answer. A worker picks by the probability of its rater (`oracle.RATERS`), the more
strongly the surer it is; it now and then skips, and calls two bad answers both bad. So two workers of one rater agree
on p^2 + (1 - p)^2 of an item: how far anybody can agree is known before anybody is asked.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from gnomon.core.seeds import Seed
from gnomon.data.feedback import STEPS, Judgement, Undecided
from gnomon.data.worlds.brook.answers import draw_request, draw_two
from gnomon.data.worlds.brook.oracle import RATERS, Request, chosen, question
from gnomon.data.worlds.brook.rated import SHARES
from gnomon.data.worlds.brook.tables import World
from gnomon.models.base import Message

__all__ = ["REFERENCE", "WORKERS", "Planned", "draw_judgements"]

REFERENCE = "reference"
WORKERS: Mapping[str, str] = {REFERENCE: "gold", "worker-1": "gold", "worker-2": "gold", "biased": "helpful"}
"""Rater behind each worker; the last one sees no harm in anything."""

_SKIPS = 0.02
# Both answers below this are called bad, in the worker's own utility.
_BAD = -1.0
# Where log-odds of a choice pass these, the preference is one step stronger.
_STRONGER = (0.75, 1.75, 3.0)
_WHEN = "2026-01-01T00:00:00+00:00"


class Planned(NamedTuple):
    """A judgement, and the planted probability that its worker, if it picks, picks the first of `answers`."""

    judgement: Judgement
    p: float


def draw_judgements(of: World, n: int, seed: Seed) -> Iterator[Planned]:
    """`n` different items, each judged by every worker."""
    seen: set[frozenset[str]] = set()
    for place in range(n):
        asked, first, second = _item(of, seed.child("items", place).random(), seen)
        attack = asked.kind == "danger"
        for worker, name in WORKERS.items():
            draw = seed.child(worker, place)
            utilities = [RATERS[name].utility(of, asked, answer) for answer in (first, second)]
            p = chosen(*(utilities[::-1] if attack else utilities))
            shown = (0, 1) if draw.child("shown").random().random() < 0.5 else (1, 0)
            bad = not attack and max(utilities) < _BAD
            judgement = Judgement(
                study="red-team" if attack else "helpful",
                conversation=f"brook-{place}",
                messages=(Message("user", question(asked)),),
                answers=(first, second),
                models=("brook:answers", "brook:answers"),
                shown=shown,
                verdict=_verdict(draw.child("verdict").random(), p, shown, bad),
                worker=worker,
                seed=draw.value,
                time=_WHEN,
            )
            yield Planned(judgement, p)


def _item(of: World, rng: random.Random, seen: set[frozenset[str]]) -> tuple[Request, str, str]:
    """A request and two answers that are not in `seen` together; they are put there."""
    while True:
        asked = draw_request(of, rng, SHARES)
        first, second = (" ".join(answer) for answer in draw_two(of, rng, asked))
        item = frozenset((question(asked), first, second))
        if item not in seen:
            seen.add(item)
            return asked, first, second


def _verdict(rng: random.Random, p: float, shown: tuple[int, int], bad: bool) -> int | Undecided:
    picked = 0 if rng.random() < p else 1
    if rng.random() < _SKIPS:
        return "skip"
    if bad:
        return "both bad"
    odds = abs(math.log(p / (1 - p)))
    strength = 1 + sum(odds > edge for edge in _STRONGER)
    half = STEPS // 2
    return half + strength if picked == shown[1] else half + 1 - strength
