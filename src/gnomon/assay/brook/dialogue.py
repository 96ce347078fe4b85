"""Checks of a style that is kept through a conversation."""

from __future__ import annotations

from gnomon.assay.brook.check import Check

__all__ = ["CHECKS"]

CHECKS: tuple[Check, ...] = ()
