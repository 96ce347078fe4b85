"""Kinds about surveys by country, users with opinions, statements about oneself."""

from __future__ import annotations

from typing import Any

from gnomon.data.worlds.brook.kinds import Kind

__all__ = ["KINDS"]

KINDS: tuple[Kind[Any], ...] = ()
