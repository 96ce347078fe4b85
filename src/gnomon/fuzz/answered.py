"""Bodies of answers as JSON, read once for all who ask: checks, memory, and what tells one answer from another."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

__all__ = ["parsed"]


@lru_cache(maxsize=64)
def parsed(body: bytes) -> Any:
    """The value of a body, not to be changed.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    return json.loads(body)
