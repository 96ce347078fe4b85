"""A report in the terminal: what was asked, the headline numbers, then the rest, and the findings.

Without a terminal (a pipe, a file) the same text comes without colour and as wide as it needs to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gnomon.report.base import Estimate, Finding, Report, Table
from gnomon.report.words import interval, number, support, value, why

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show", "table"]

_NARROW, _SHORT = 80, 12
_SEVERITY = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan"}


def show(report: Report, console: Console) -> None:
    """Prints `report`: notes and headline first, then every estimate, findings and tables, or what stands for them."""
    from rich.text import Text

    console.print(Text(report.title, style="bold"))
    if report.summary:
        console.print(Text(report.summary))
    for note in report.notes:
        console.print(Text(f"! {note}", style="yellow"))
    estimates = [] if report.in_terminal else report.estimates
    headline = [e for e in estimates if e.headline]
    rest = [e for e in estimates if not e.headline]
    for some in (headline, rest):
        if some:
            console.print()
            console.print(_estimates(some, strong=some is headline, narrow=console.width < _NARROW))
    for finding in report.findings:
        if not finding.same_as:
            console.print()
        # What reproduces it is to be pasted: lines are broken by whoever shows them, not here.
        console.print(_finding(finding), soft_wrap=True)
    for each in report.in_terminal or report.tables:
        console.print()
        console.print(table(each))


def table(content: Table) -> Any:
    """`content` as a Rich table; numbers are right-aligned."""
    from rich.text import Text

    drawn = _frame(content.title, content.caption)
    for i, name in enumerate(content.columns):
        column = [row[i] for row in content.rows]
        # A line's name stays whole where it is short: it may be an id that is copied.
        whole = i == 0 and all(len(str(cell)) <= _SHORT for cell in column)
        drawn.add_column(name, justify="right" if _numeric(column) else "left", overflow="fold", no_wrap=whole)
    for row in content.rows:
        drawn.add_row(*(Text(cell if isinstance(cell, str) else number(cell)) for cell in row))
    return drawn


def _estimates(estimates: Sequence[Estimate], strong: bool, narrow: bool) -> Any:
    from rich.text import Text

    notes = [why(e) for e in estimates]
    # What holds for every line is said once, below them; so is all where a column of words would leave no room.
    shared = notes[0] if len(estimates) > 2 and len(set(notes)) == 1 else ""
    if narrow and not shared:
        named = zip((f"{e.metric} {e.group}".strip() for e in estimates), notes, strict=True)
        shared = "\n".join(f"{name}: {note}" for name, note in named if note)
    drawn = _frame(caption=shared)
    columns = {
        "metric": [e.metric for e in estimates],
        "group": [e.group for e in estimates],
        "value": [value(e) for e in estimates],
        "95 % interval": [interval(e) for e in estimates],
        "items": [support(e) for e in estimates],
        "readout": [e.readout for e in estimates],
        "note": [] if shared else notes,
    }
    kept = {k: v for k, v in columns.items() if any(v)}
    for name in kept:
        wraps = name in ("metric", "group", "note")
        drawn.add_column(name, justify="right" if name == "value" else "left", no_wrap=not wraps, overflow="fold")
    for i, e in enumerate(estimates):
        style = "red" if e.outside else ("bold" if strong else "")
        drawn.add_row(*(Text(v[i], style=style if name in ("metric", "value") else "") for name, v in kept.items()))
    return drawn


def _finding(finding: Finding) -> Any:
    from rich.text import Text

    text = Text()
    text.append(finding.severity.upper(), style=_SEVERITY.get(finding.severity, ""))
    text.append(f"  {finding.title}", style="" if finding.same_as else "bold")
    if finding.same_as:
        return text
    if finding.detail:
        text.append(f"\n  {finding.detail}")
    between = "\n" if "\n" in finding.reproduce else " "
    text.append(f"\n  reproduce:{between}{finding.reproduce}")
    return text


def _frame(title: str = "", caption: str = "") -> Any:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    return RichTable(
        title=Text(title, style="bold") if title else None,
        caption=Text(caption, style="dim") if caption else None,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        header_style="dim",
    )


def _numeric(column: Sequence[Any]) -> bool:
    known = [cell for cell in column if cell is not None]
    return bool(known) and all(isinstance(cell, int | float) for cell in known)
