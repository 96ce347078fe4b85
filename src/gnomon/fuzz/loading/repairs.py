"""Mistakes in a document that are put right instead of refused."""

from __future__ import annotations

from typing import Any

from gnomon.fuzz.base import Repair

__all__ = ["Ledger", "shown"]

_LONGEST = 60


class Ledger:
    """Repairs in the order in which they were made; the same one is kept once."""

    def __init__(self) -> None:
        self._kept: dict[Repair, None] = {}

    @property
    def repairs(self) -> tuple[Repair, ...]:
        """All so far."""
        return tuple(self._kept)

    def note(self, pointer: str, found: str, taken: str) -> None:
        """Keeps one: where, what was found, what it is taken for."""
        self._kept[Repair(pointer=pointer, found=found, taken=taken)] = None


def shown(value: Any) -> str:
    """A value in a message: its text, cut where it is long; of containers only what they are.

    >>> shown("int"), shown({"a": 1})
    ("'int'", 'an object')
    """
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = (
        {None: "null", True: "true", False: "false"}.get(value)
        if value is None or value is True or value is False
        else None
    )
    try:
        text = text or repr(value)
    except ValueError:  # an integer longer than Python writes
        text = "a very long number"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
