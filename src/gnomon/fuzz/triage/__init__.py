"""From violations to defects: one of each kind, played again, and made small."""

from gnomon.fuzz.triage.settle import Triage

__all__ = ["Triage"]
