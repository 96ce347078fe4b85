"""Few sets that together have each pair of options present and absent in all four ways."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

__all__ = ["pairwise"]

Pair = tuple[tuple[str, bool], tuple[str, bool]]


def pairwise(names: Sequence[str], most: int = 40) -> list[frozenset[str]]:
    """Sets of names such that each two names are together, apart, and both left out, as far as `most` sets allow.

    Greedy two-way covering (Cohen et al. 1997, AETG): each further set is built name by name, always the way that
    brings more new pairs. All names and none come first.

    >>> [sorted(each) for each in pairwise(["a", "b"])]
    [['a', 'b'], [], ['a'], ['b']]
    """
    names = list(dict.fromkeys(names))
    if not names:
        return [frozenset()]
    left = _pairs(names)
    found: list[frozenset[str]] = []
    for first in (frozenset(names), frozenset[str]()):
        found.append(first)
        left -= _covered(names, first)
    while left and len(found) < most:
        best = _grown(names, left)
        found.append(best)
        left -= _covered(names, best)
    return found[:most]


def _pairs(names: Sequence[str]) -> set[Pair]:
    ways = [(True, True), (True, False), (False, True), (False, False)]
    return {((a, x), (b, y)) for a, b in combinations(names, 2) for x, y in ways}


def _covered(names: Sequence[str], chosen: frozenset[str]) -> set[Pair]:
    return {((a, a in chosen), (b, b in chosen)) for a, b in combinations(names, 2)}


def _grown(names: Sequence[str], left: set[Pair]) -> frozenset[str]:
    """A set that has a pair that is left, and as many others as deciding name by name brings."""
    seed = min(left)
    decided = dict(seed)
    order = {name: place for place, name in enumerate(names)}
    for name in names:
        if name in decided:
            continue
        decided[name] = _gain(order, name, True, decided, left) >= _gain(order, name, False, decided, left)
    return frozenset(name for name, present in decided.items() if present)


def _gain(order: dict[str, int], name: str, way: bool, decided: dict[str, bool], left: set[Pair]) -> int:
    return sum(_pair(order, name, way, other, had) in left for other, had in decided.items())


def _pair(order: dict[str, int], name: str, way: bool, other: str, had: bool) -> Pair:
    here, there = (name, way), (other, had)
    return (here, there) if order[name] < order[other] else (there, here)
