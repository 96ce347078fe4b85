"""Values for web requests out of JSON Schema: those it admits, those it does not, and those on the border."""

from __future__ import annotations

from gnomon.fuzz.values.boundaries import Border
from gnomon.fuzz.values.buffers import Buffered, changed_trail
from gnomon.fuzz.values.compiling import Compiled, assemble, compile, replay, respoil, spoil
from gnomon.fuzz.values.formats import Format, register_format
from gnomon.fuzz.values.negation import Flaw
from gnomon.fuzz.values.pairs import pairwise
from gnomon.fuzz.values.pools import Assembled, Draws
from gnomon.fuzz.values.spoiling import Spoiled

__all__ = [
    "Assembled",
    "Border",
    "Buffered",
    "Compiled",
    "Draws",
    "Flaw",
    "Format",
    "Spoiled",
    "assemble",
    "changed_trail",
    "compile",
    "pairwise",
    "register_format",
    "replay",
    "respoil",
    "spoil",
]
