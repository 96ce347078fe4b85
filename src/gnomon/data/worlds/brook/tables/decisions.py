"""Who is judged by what: groups, genders, ages, and what each counts for in fifteen decisions; scenes; jobs."""

from __future__ import annotations

__all__ = ["WORDS"]

# Words of these kinds that no other table has.
WORDS: tuple[str, ...] = ()
