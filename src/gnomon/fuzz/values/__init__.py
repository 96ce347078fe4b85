"""Values for web requests out of JSON Schema: those it admits, those it does not, and those on the border."""

from __future__ import annotations

from gnomon.fuzz.values.compiling import Compiled, assemble, compile, replay
from gnomon.fuzz.values.formats import Format, register_format
from gnomon.fuzz.values.pools import Assembled

__all__ = ["Assembled", "Compiled", "Format", "assemble", "compile", "register_format", "replay"]
