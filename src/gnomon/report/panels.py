"""Small multiples: one panel a model, lines over training with windows behind them, and dense numbers as tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gnomon.report.base import Figure
from gnomon.report.encoding import data, specification, tip

__all__ = ["Tile", "Trace", "tiles", "traces"]

_WINDOW = "#e07b39"
_COLUMNS, _HEIGHT = 2, 150


class Trace(NamedTuple):
    """One point of a line; `y` is None where the line is to break, `group` is what its colour says."""

    x: float
    y: float | None
    panel: str
    line: str
    group: str = ""


class Tile(NamedTuple):
    """One cell of a panel: from `x` to `x2` and `y` to `y2`."""

    x: float
    x2: float
    y: float
    y2: float
    value: float
    panel: str


def traces(
    points: Sequence[Trace],
    *,
    x: str,
    y: str,
    title: str,
    panels: Sequence[str] = (),
    windows: Mapping[str, tuple[float, float]] | None = None,
    log_x: bool = True,
    caption: str = "",
    section: str = "",
) -> Figure:
    """Lines in panels of one scale; colours in the order given. Points without an x that can be drawn are left out.

    Args:
        panels: their order; by default that of the points.
        windows: stretches of x by panel, orange behind the lines.
    """
    import altair as alt

    shown = {p.panel for p in points}
    panels = [p for p in panels if p in shown] or list(dict.fromkeys(p.panel for p in points))
    groups = list(dict.fromkeys(p.group for p in points))
    rows: list[Mapping[str, Any]] = [p._asdict() for p in points if p.x > 0 or not log_x]
    rows += [{"panel": panel, "low": low, "high": high} for panel, (low, high) in (windows or {}).items()]
    scale = alt.Scale(type="log", nice=False) if log_x else alt.Scale(zero=False)
    at = alt.X("x:Q", title=x, scale=scale, axis=alt.Axis(format="~s", tickCount=4))
    base = alt.Chart().encode(x=at)
    colour: dict[str, Any] = {}
    if len(groups) > 1:
        colour["color"] = alt.Color("group:N", sort=groups, title=None, legend=alt.Legend(orient="top"))
    tips = [alt.Tooltip("line:N", title=" "), tip("x", x), tip("y", y)]
    layers: list[Any] = []
    if windows:
        shade = alt.Chart().mark_rect(color=_WINDOW, opacity=0.2).transform_filter("isValid(datum.low)")
        layers.append(shade.encode(x=alt.X("low:Q", title=x, scale=scale), x2="high:Q"))
    line = base.mark_line(strokeWidth=1.4, invalid="break-paths-show-path-domains").transform_filter("isValid(datum.x)")
    layers.append(
        line.encode(y=alt.Y("y:Q", title=y, scale=alt.Scale(zero=False)), detail="line:N", tooltip=tips, **colour)
    )
    chart = alt.layer(*layers, data=data(rows), height=_HEIGHT)
    return _faceted(chart, panels, title, caption, section)


def tiles(
    cells: Sequence[Tile],
    *,
    x: str,
    y: str,
    legend: str,
    title: str,
    diverging: bool = False,
    caption: str = "",
    section: str = "",
) -> Figure:
    """Numbers as colours over two logarithmic axes, in panels of one scale; `diverging` centres colours on 0."""
    import altair as alt

    panels = list(dict.fromkeys(c.panel for c in cells))
    rows = [c._asdict() for c in cells if c.x > 0 and c.y > 0]
    most = max((abs(r["value"]) for r in rows), default=1.0)
    shades = (
        alt.Scale(scheme="redblue", domain=[-most, most], reverse=True) if diverging else alt.Scale(scheme="viridis")
    )
    log = alt.Scale(type="log", nice=False)
    tips = [tip("x", x), tip("y", y), tip("value", legend)]
    chart = (
        alt.Chart(data(rows), height=_HEIGHT)
        .mark_rect()
        .encode(
            x=alt.X("x:Q", title=x, scale=log, axis=alt.Axis(format="~s", tickCount=4)),
            x2="x2:Q",
            y=alt.Y("y:Q", title=y, scale=log, axis=alt.Axis(format="~s", tickCount=4)),
            y2="y2:Q",
            color=alt.Color("value:Q", scale=shades, title=legend, legend=alt.Legend(orient="top")),
            tooltip=tips,
        )
    )
    return _faceted(chart, panels, title, caption, section)


def _faceted(chart: Any, panels: Sequence[str], title: str, caption: str, section: str) -> Figure:
    """The chart in a panel for each; a single one stands alone."""
    import altair as alt

    if len(panels) > 1:
        header = alt.Header(title=None, labelFontWeight=600, labelAnchor="start")
        chart = chart.facet(facet=alt.Facet("panel:N", sort=list(panels), header=header), columns=_COLUMNS)
    return Figure(title=title, spec=specification(chart), caption=caption, section=section)
