"""Friends, towns and their chiefs, and small programs."""

from __future__ import annotations

__all__ = ["WORDS"]

# Words of these kinds that no other table has.
WORDS: tuple[str, ...] = ()
