"""Kinds about decisions on people, scenes and pronouns."""

from __future__ import annotations

from typing import Any

from gnomon.data.worlds.brook.kinds import Kind

__all__ = ["KINDS"]

KINDS: tuple[Kind[Any], ...] = ()
