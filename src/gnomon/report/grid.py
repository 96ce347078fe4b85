"""A matrix of estimates as one picture: value as colour and number, and under it the interval."""

from __future__ import annotations

from collections.abc import Sequence

from gnomon.report.base import Estimate, Figure
from gnomon.report.words import interval, value

__all__ = ["grid"]

_CELL_PX = 46


def grid(
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Sequence[Sequence[Estimate]],
    *,
    title: str,
    x: str = "",
    y: str = "",
    caption: str = "",
    section: str = "",
) -> Figure:
    """Estimates [len(rows), len(columns)] in the order given; one without a value is an empty cell."""
    import altair as alt

    data = [
        {"row": r, "column": c, "value": e.value, "text": value(e), "interval": interval(e), "n": e.n}
        for r, line in zip(rows, cells, strict=True)
        for c, e in zip(columns, line, strict=True)
        if e.value is not None
    ]
    known = [e.value for line in cells for e in line if e.value is not None] or [0.0, 1.0]
    low, high = min(known), max(known)
    axis = alt.Axis(labelLimit=170, labelAngle=0, ticks=False, domain=False)
    base = alt.Chart(alt.InlineData(values=data)).encode(
        x=alt.X("column:N", sort=list(columns), title=x or None, axis=axis),
        y=alt.Y("row:N", sort=list(rows), title=y or None, axis=axis),
        tooltip=[alt.Tooltip(f"{name}:N") for name in ("row", "column", "text", "interval", "n")],
    )
    # The palest half of the scheme alone: dark text reads on every cell, on light and on dark paper.
    shades = alt.Scale(range=["#eef4fa", "#8fbfe6"], domain=[low, high if high > low else low + 1])
    ink = alt.value("#1d1c19")
    squares = base.mark_rect().encode(color=alt.Color("value:Q", scale=shades, legend=None))
    numbers = base.mark_text(dy=-7, fontSize=13, fontWeight=600).encode(text="text:N", color=ink)
    ranges = base.mark_text(dy=9, fontSize=10).encode(text="interval:N", color=ink)
    chart = alt.layer(squares, numbers, ranges, height=alt.Step(_CELL_PX))
    spec = chart.to_dict()
    spec.pop("config", None)
    return Figure(title=title, spec=spec, caption=caption, section=section)
