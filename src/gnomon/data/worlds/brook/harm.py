"""Kinds about dangerous requests, and dialogues of mixed quality with their critiques, revisions and judgements."""

from __future__ import annotations

from typing import Any

from gnomon.data.worlds.brook.kinds import Kind

__all__ = ["KINDS"]

KINDS: tuple[Kind[Any], ...] = ()
