"""Heads as tables, every score with its interval: all of them for a page, those that stand out for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gnomon.report.base import Estimate, Table
from gnomon.report.words import interval, number, value
from gnomon.stats.intervals import Interval

__all__ = ["Found", "all_heads", "by_order", "few_heads"]

Found = Mapping[str, Mapping[str, Interval]]
"""What was read, by head and score."""

_PAGE_ALONE = (
    "duplicate token",
    "first token",
    "current token",
    "Q-composition",
    "K-composition",
    "V-composition",
    "in-context learning",
)


def all_heads(order: Sequence[str], found: Found, called: Mapping[str, str], names: Sequence[str]) -> Table:
    """A line a head, a column a score; a score that was read off weights alone is a plain number."""
    cells = [[key, called[key], *(_cell(found[key][name], 3) for name in names)] for key in order]
    caption = (
        "Means over random sequences or windows of text, and 95 % intervals; a number alone where weights say it. "
        "A dash where there is no earlier head; out of reach where a head's window is shorter than what it would have "
        "to look across."
    )
    return Table(title="Heads", columns=("head", "called", *names), rows=cells, caption=caption)


def few_heads(listed: Sequence[str], found: Found, called: Mapping[str, str], names: Sequence[str]) -> Table:
    """The heads of `listed` with the scores that say what they are for; two decimals."""
    kept = [name for name in names if not name.startswith(_PAGE_ALONE)]
    cells = [[key, called[key], *(_cell(found[key][name], 2) for name in kept)] for key in listed]
    read = [found[key][name] for key in listed for name in kept]
    told = dict.fromkeys(f"{of.reason}." for of in read if of.reason and of.value is not None and of.method)
    chosen = f"{len(listed)} of {len(found)} heads: most {names[0]}, and most attention to the token before. "
    caption = (
        f"{chosen if len(listed) < len(found) else ''}Below a score is its 95 % interval; the page has every score."
    )
    return Table(title="Heads", columns=("head", "called", *kept), rows=cells, caption=" ".join([caption, *told]))


def by_order(orders: Sequence[Estimate]) -> list[Table]:
    """What paths through at most so many heads leave of the loss; none where that was not read."""
    cells = [[e.group, f"{value(e)} {interval(e)}"] for e in orders]
    return [Table(title="Loss of paths", columns=("through", "nats"), rows=cells)] if cells else []


def _cell(of: Interval, decimals: int) -> str | None:
    """The value, and behind it its interval; a number alone where nothing was drawn, or that there is none."""
    if of.value is None:
        return "out of reach" if of.reason.startswith("out of reach") else None
    if of.low is None:
        return number(of.value, decimals)
    return f"{number(of.value, decimals)}\n{number(of.low, decimals)}…{number(of.high, decimals)}"
