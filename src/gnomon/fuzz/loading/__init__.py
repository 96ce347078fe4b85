"""From any description of a web API to the one `Api`: what is wrong in it is put right, said, and never dropped."""

from gnomon.fuzz.loading.closing import closed
from gnomon.fuzz.loading.dialects import dialect_of
from gnomon.fuzz.loading.document import load

__all__ = ["closed", "dialect_of", "load"]
