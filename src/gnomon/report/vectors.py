"""Pictures of vectors: numbers of each as bars coloured by a second number, and vectors of the plane as arrows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from gnomon.report.base import Figure
from gnomon.report.encoding import data, specification, tip

__all__ = ["Arrow", "Bar", "arrows", "bars"]


class Bar(NamedTuple):
    """One bar; `depth` is what its colour says, None for the plain colour."""

    name: str
    value: float
    depth: float | None = None


class Arrow(NamedTuple):
    """A vector of the plane; `label` stands at its end."""

    x: float
    y: float
    label: str


def bars(
    shown: Sequence[Bar],
    *,
    x: str,
    y: str,
    title: str,
    legend: str = "",
    deepest: float | None = None,
    caption: str = "",
    section: str = "",
) -> Figure:
    """A bar for each name, in the order given, coloured by depth; `deepest` is the depth from which on colours are
    the same. Bars of one name are stacked, those below 0 downwards."""
    import altair as alt

    colours: dict[str, Any] = {}
    depths = [b.depth for b in shown if b.depth is not None]
    tips = [alt.Tooltip("name:N", title=x), tip("value", y)]
    if depths:
        scale = alt.Scale(scheme="viridis", domain=[0, deepest or max(depths) or 1.0], clamp=True)
        colours = {"color": alt.Color("depth:Q", scale=scale, title=legend or None)}
        tips.append(tip("depth", legend))
    names = list(dict.fromkeys(b.name for b in shown))
    across = alt.X("name:N", sort=names, title=x, axis=alt.Axis(labelAngle=0, labelOverlap=True))
    chart = (
        alt.Chart(data(b._asdict() for b in shown), height=180)
        .mark_bar(stroke="white", strokeWidth=0.5)
        .encode(x=across, y=alt.Y("value:Q", title=y), tooltip=tips, **colours)
    )
    return Figure(title=title, spec=specification(chart), caption=caption, section=section)


def arrows(ends: Sequence[Arrow], *, title: str, caption: str = "", section: str = "") -> Figure:
    """Vectors of the plane from the origin, at one scale along both axes."""
    import altair as alt

    reach = 1.2 * max((abs(c) for a in ends for c in (a.x, a.y)), default=1.0) or 1.0
    # The page makes figures twice as wide as this one is high.
    x_scale, y_scale = (alt.Scale(domain=[-k * reach, k * reach], nice=False) for k in (2, 1))
    rows = [{"x": x, "y": y, "label": a.label, "at": at} for a in ends for at, (x, y) in enumerate(((0, 0), a[:2]))]
    base = alt.Chart(data(rows), height=300).encode(
        x=alt.X("x:Q", scale=x_scale, title=None), y=alt.Y("y:Q", scale=y_scale, title=None), detail="label:N"
    )
    last = base.transform_filter("datum.at == 1")
    dots = last.mark_circle(size=60, opacity=1).encode(tooltip=[alt.Tooltip("label:N", title=" "), tip("x"), tip("y")])
    chart = alt.layer(base.mark_line(), dots, last.mark_text(dx=10, dy=-8).encode(text="label:N"))
    return Figure(title=title, spec=specification(chart), caption=caption, section=section)
