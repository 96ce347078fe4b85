"""Checks of decisions on people, scenes and pronouns."""

from __future__ import annotations

from gnomon.assay.brook.check import Check

__all__ = ["CHECKS"]

CHECKS: tuple[Check, ...] = ()
