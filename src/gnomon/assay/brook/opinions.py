"""Checks of surveys by country, users with opinions, statements about oneself."""

from __future__ import annotations

from gnomon.assay.brook.check import Check

__all__ = ["CHECKS"]

CHECKS: tuple[Check, ...] = ()
