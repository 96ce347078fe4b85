"""What a head is called by what it does: one rule for a single model and for the snapshots of a family."""

from __future__ import annotations

__all__ = ["CHANCE", "LEAST", "kind_of"]

LEAST = 0.3
"""The least share of its attention that gives a head its name."""

CHANCE = 0.99
"""The quantile of a null's scores, over heads and sequences, that a score has to exceed."""


def kind_of(*, matches: bool, copies: bool, looks_back: bool) -> str:
    """What a head is called: "induction", "prefix search without copying", "previous token", or nothing.

    Source: Olsson et al. 2022 (arXiv 2209.11895), appendix "Head activation evaluators"; there an induction head
    matches prefixes and copies. Departure: it copies where it raises what it looks at by more than chance, however much
    of all that it raises this is.

    Args:
        matches: it looks at what followed earlier copies, with `LEAST` of its attention and more than by chance.
        copies: what it looks at becomes likelier, more than by chance.
        looks_back: it looks one token back with `LEAST` of its attention.
    """
    if matches:
        return "induction" if copies else "prefix search without copying"
    return "previous token" if looks_back else ""
