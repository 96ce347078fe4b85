"""From values to bytes: `written(case)` is the request that a case becomes, and those bytes are what is judged."""

from gnomon.fuzz.writing.request import Unsendable, written

__all__ = ["Unsendable", "written"]
