"""Interval marks: a forest plot one line high that stands beside an estimate, as inline SVG without script."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gnomon.report.base import Estimate

__all__ = ["domain", "mark"]

_MIDDLE = 8


def domain(estimates: Sequence[Estimate]) -> tuple[float, float]:
    """A common axis for `estimates` of one metric: [0, 1] or [-1, 1] where they fit, else a bit more than they span."""
    ends = [x for e in estimates for x in (e.value, e.low, e.high, e.null) if x is not None and math.isfinite(x)]
    if not ends:
        return 0.0, 1.0
    low, high = min(ends), max(ends)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    if low >= -1 and high <= 1:
        return -1.0, 1.0
    pad = 0.08 * (high - low) or 1.0
    return low - pad, high + pad


def mark(e: Estimate, span: tuple[float, float]) -> str:
    """The SVG of `e` on the axis `span`; an open dot has no interval; empty where there is no value."""
    if e.value is None or not math.isfinite(e.value):
        return ""
    y = _MIDDLE
    parts = [f'<line class="axis" x1="0%" x2="100%" y1="{y}" y2="{y}"/>']
    zero = e.null if e.null is not None else 0.0
    if e.null is not None or span[0] < 0 < span[1]:
        parts.append(f'<line class="zero" x1="{_at(zero, span)}" x2="{_at(zero, span)}" y1="1" y2="{2 * y - 1}"/>')
    bounded = e.low is not None and e.high is not None
    if e.low is not None and e.high is not None:
        parts.append(f'<line class="range" x1="{_at(e.low, span)}" x2="{_at(e.high, span)}" y1="{y}" y2="{y}"/>')
    parts.append(f'<circle class="{"dot" if bounded else "open"}" cx="{_at(e.value, span)}" cy="{y}" r="4"/>')
    return f'<svg class="mark" aria-hidden="true">{"".join(parts)}</svg>'


def _at(x: float, span: tuple[float, float]) -> str:
    # Shares of the width, so that a mark fills a card and a table cell alike without its dot being stretched.
    return f"{100 * (min(max(x, span[0]), span[1]) - span[0]) / (span[1] - span[0]):.1f}%"
