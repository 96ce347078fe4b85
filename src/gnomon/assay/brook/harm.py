"""Checks of dangerous requests, and dialogues of mixed quality with their critiques, revisions and judgements."""

from __future__ import annotations

from gnomon.assay.brook.check import Check

__all__ = ["CHECKS"]

CHECKS: tuple[Check, ...] = ()
