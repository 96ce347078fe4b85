"""How long a server asks to be left alone: `Retry-After` of a 429, or a limit of requests that is used up."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from gnomon.fuzz.base import Reply

__all__ = ["quiet_after"]

_MOST, _UNSAID = 60.0, 1.0
_EPOCH = 1e9
_LIMITS = {f"{name}-remaining": f"{name}-reset" for name in ("ratelimit", "x-ratelimit", "x-rate-limit")}


def quiet_after(reply: Reply) -> float:
    """Seconds to send nothing after a reply, at most a minute; 0 for almost every one.

    503 with `Retry-After` speaks of one resource more often than of its callers, so it is no reason.

    >>> quiet_after(Reply(status=429, headers=(("retry-after", "7"),)))
    7.0
    """
    if reply.status == 429:
        return min(_MOST, _seconds(reply.header("retry-after"), _UNSAID))
    for name, value in reply.headers:
        if name in _LIMITS and value.strip() == "0":
            return min(_MOST, _seconds(reply.header(_LIMITS[name]), 0.0))
    return 0.0


def _seconds(said: str | None, unsaid: float) -> float:
    """Seconds from now: a number of them, a time since 1970, or a date; `unsaid` where it is none of these."""
    try:
        number = float(said or "")
    except ValueError:
        try:
            number = parsedate_to_datetime(said or "").timestamp()
        except (ValueError, TypeError):
            return unsaid
    return max(0.0, number - time.time() if number > _EPOCH else number)
