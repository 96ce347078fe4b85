"""Swarm testing: each stretch of a search does without a random half of what it could do (Groce et al. 2012, sec. 2).

A mixture of everything keeps out what only shows when something else stays away: a queue never fills while it is read
from. Which kinds are in use is decided by a coin a kind, when it is first asked for, and anew after every stretch.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["Swarm"]

STRETCH = 50
"Plays that one choice of kinds is for."

T = TypeVar("T")


class Swarm:
    """Which kinds are in use.

    Args:
        rng: throws the coins.
        on: False leaves everything in use always.
    """

    def __init__(self, rng: random.Random, *, on: bool = True) -> None:
        self._rng, self._on = rng, on
        self._used: dict[str, bool] = {}
        self._left = STRETCH

    def step(self) -> None:
        """Counts a play; after the last of a stretch the kinds are chosen anew."""
        self._left -= 1
        if self._left == 0:
            self._used, self._left = {}, STRETCH

    def uses(self, kind: str) -> bool:
        """Whether a kind is in use now."""
        if not self._on:
            return True
        if kind not in self._used:
            self._used[kind] = self._rng.random() < 0.5
        return self._used[kind]

    def among(self, things: Sequence[T], kind: Callable[[T], str]) -> Sequence[T]:
        """Those of kinds in use; all of them where none is."""
        return [each for each in things if self.uses(kind(each))] or things
