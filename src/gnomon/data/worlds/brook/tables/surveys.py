"""What countries answer to survey questions, and how users and speakers with opinions are planted."""

from __future__ import annotations

__all__ = ["WORDS"]

# Words of these kinds that no other table has.
WORDS: tuple[str, ...] = ()
