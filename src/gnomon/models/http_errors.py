"""What a server says went wrong, in words. Pure functions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

__all__ = ["after_s", "detail_of", "reason", "said"]


def reason(error: Exception) -> str:
    """Why there is no connection, in the system's words; aiohttp adds its own settings to them."""
    cause = getattr(error, "os_error", None)
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno) if cause.errno > 0 else str(cause.strerror)
    return str(error) or type(error).__name__


def detail_of(reply: Mapping[str, Any]) -> str:
    """The message in a reply that is an error, on one line of at most 200 characters; "" where there is none."""
    told = reply.get("error") or reply.get("detail") or reply.get("message") or ""
    if isinstance(told, Mapping):
        told = told.get("message") or told.get("type") or ""
    return " ".join(str(told).split())[:200]


def said(detail: str) -> str:
    """`detail` behind a colon; "" where it is empty."""
    return f": {detail}" if detail else ""


def after_s(header: str | None) -> float | None:
    """The seconds that a `Retry-After` header says, or the time it names is away; None where it says nothing."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time())
    except ValueError:
        return None
