"""How numbers are written, the same in the terminal, on the page and in notebooks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gnomon.report.base import Estimate

if TYPE_CHECKING:
    from gnomon.stats.intervals import Interval

__all__ = ["in_words", "interval", "number", "support", "value", "why"]

_MISSING = "–"


def number(x: float | int | None, decimals: int | None = None) -> str:
    """`x` as text with three significant digits, or with `decimals` where given.

    >>> number(0.71234), number(12345.6), number(None), number(-0.00001, 2)
    ('0.712', '12,346', '–', '0.00')
    """
    if x is None or (isinstance(x, float) and not math.isfinite(x)):
        return _MISSING
    if isinstance(x, int) and decimals is None:
        return f"{x:,}"
    if decimals is None:
        size = abs(x)
        if 0 < size < 0.001:
            return f"{x:.1e}"
        decimals = 3 if size < 1 else max(0, 2 - math.floor(math.log10(size)))
    return f"{round(x, decimals) + 0.0:,.{decimals}f}"


def value(e: Estimate) -> str:
    """The value, with as many decimals as its interval supports."""
    return number(e.value, _decimals(e))


def interval(e: Estimate) -> str:
    """The interval as `[low, high]`; where there is none, the null it is read against; else empty.

    >>> interval(Estimate(metric="accuracy", value=0.7123, low=0.65, high=0.77))
    '[0.65, 0.77]'
    """
    if e.low is not None or e.high is not None:
        return f"[{number(e.low, _decimals(e))}, {number(e.high, _decimals(e))}]"
    return f"null {number(e.null)}" if e.null is not None else ""


def in_words(e: Estimate | Interval, decimals: int = 3) -> str:
    """The value with its interval, as sentences say it.

    >>> in_words(Estimate(metric="accuracy", value=0.7123, low=0.65, high=0.77), 2)
    '0.71 (0.65 to 0.77)'
    """
    if e.value is None:
        return "unknown"
    if e.low is None or e.high is None:
        return f"{e.value:.{decimals}f}"
    return f"{e.value:.{decimals}f} ({e.low:.{decimals}f} to {e.high:.{decimals}f})"


def support(e: Estimate) -> str:
    """What is behind the number: items and, where they differ, clusters.

    >>> support(Estimate(metric="x", value=1.0, n=200, clusters=20)), support(Estimate(metric="x", value=1.0, n=8))
    ('n 200 in 20', 'n 8')
    """
    if not e.n:
        return ""
    return f"n {e.n:,} in {e.clusters:,}" if e.clusters and e.clusters != e.n else f"n {e.n:,}"


def why(e: Estimate) -> str:
    """What a reader must know beside the number: the reason for a gap, or the range it should lie in and does not."""
    if e.outside and e.expected is not None:
        low, high = e.expected
        return f"outside [{number(low)}, {number(high)}]" + (f"; {e.reason}" if e.reason else "")
    return e.reason


def _decimals(e: Estimate) -> int | None:
    if e.low is None or e.high is None or not math.isfinite(e.high - e.low) or e.high <= e.low:
        return None
    return min(4, max(0, 1 - math.floor(math.log10(e.high - e.low))))
