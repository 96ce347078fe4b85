"""Checks of small programs, and towns whose chiefs are told in one order of words."""

from __future__ import annotations

from gnomon.assay.brook.check import Check

__all__ = ["CHECKS"]

CHECKS: tuple[Check, ...] = ()
