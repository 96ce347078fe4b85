"""Kinds about small programs, and towns whose chiefs are told in one order of words."""

from __future__ import annotations

from typing import Any

from gnomon.data.worlds.brook.kinds import Kind

__all__ = ["KINDS"]

KINDS: tuple[Kind[Any], ...] = ()
