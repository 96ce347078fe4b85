"""Dangers, harms and alternatives, attack families, recipes, traits, principles and closing sentences."""

from __future__ import annotations

__all__ = ["WORDS"]

# Words of these kinds that no other table has.
WORDS: tuple[str, ...] = ()
