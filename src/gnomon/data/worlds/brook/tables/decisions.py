"""Who is judged by what: groups, genders and ages, and what each counts for in fifteen decisions; scenes, occupations."""

from __future__ import annotations

__all__ = ["WORDS"]

# Words of these kinds that no other table has.
WORDS: tuple[str, ...] = ()
