"""Builders of the pictures that reports are made of; each returns a `Figure` with its data inline.

Colours, fonts and widths are the page's, so that one figure reads well on light and dark paper and on a phone.
Every mark that stands for a mean carries its interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gnomon.report.base import Estimate, Figure
from gnomon.report.encoding import channel as _of
from gnomon.report.encoding import colour_of as _colour
from gnomon.report.encoding import data as _data
from gnomon.report.encoding import specification as _spec
from gnomon.report.encoding import tip as _alt_tip
from gnomon.report.encoding import tip_of as _tip
from gnomon.report.encoding import values as _values
from gnomon.report.encoding import written as _written
from gnomon.report.linked import Behind, with_dots

__all__ = [
    "Dot",
    "Point",
    "ReliabilityBin",
    "curves",
    "forest",
    "heatmap",
    "histogram",
    "learning",
    "reliability",
    "scatter",
]

_GREY = "#8a8880"
_DASHED: Mapping[str, Any] = {"type": "line", "strokeDash": [4, 4], "color": _GREY}
_FREE: Mapping[str, Any] = {"zero": False}
_SOUND = "isValid(datum.low) && isValid(datum.high)"


class ReliabilityBin(NamedTuple):
    """One bin: mean stated probability, observed rate with its interval, all in [0, 1]; items in the bin."""

    confidence: float
    rate: float
    low: float
    high: float
    n: int


class Point(NamedTuple):
    """One point of a curve; `low` and `high` bound `y` at 95 % and are None where no interval is valid."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    series: str = ""


class Dot(NamedTuple):
    """One point of a scatter plot; `label` is read on hovering."""

    x: float
    y: float
    group: str = ""
    label: str = ""


def reliability(bins: Sequence[ReliabilityBin], *, title: str, caption: str = "", section: str = "") -> Figure:
    """Observed rate against stated probability, the diagonal, and below it how many items each bin holds.

    A bin stands at its mean stated probability, so bins of equal width and of equal count both fit; empty ones are
    left out.
    """
    unit = {"domain": [0, 1]}
    x = _of("confidence:Q", title="stated probability", scale=unit)
    bare = {**x, "axis": {"labels": False, "ticks": False, "title": None}}
    y = _of("rate:Q", title="observed rate", scale=unit)
    tips = [_tip("confidence", "stated"), _tip("rate", "observed"), _tip("low"), _tip("high"), _of("n:Q")]
    ends = _values([{"confidence": 0, "rate": 0}, {"confidence": 1, "rate": 1}])
    low = _of("low:Q", title="observed rate")
    above = [
        {"data": ends, "mark": _DASHED, "encoding": {"x": bare, "y": y}},
        {"mark": {"type": "rule", "strokeWidth": 1.5}, "encoding": {"x": bare, "y": low, "y2": {"field": "high"}}},
        {
            "mark": {"type": "line", "point": {"size": 55, "filled": True}},
            "encoding": {"x": bare, "y": y, "tooltip": tips},
        },
    ]
    items = _of("n:Q", title="items", axis={"tickCount": 2})
    below = {
        "height": 56,
        "mark": {"type": "bar", "width": 10, "opacity": 0.55},
        "encoding": {"x": x, "y": items, "tooltip": tips},
    }
    both = {
        "data": _values(b._asdict() for b in bins if b.n),
        "vconcat": [{"height": 280, "layer": above}, below],
        "spacing": 10,
        "bounds": "flush",
    }
    return Figure(title=title, spec=_written(both), caption=caption, section=section)


def curves(
    points: Sequence[Point],
    *,
    x: str,
    y: str,
    title: str,
    caption: str = "",
    section: str = "",
    log_x: bool = False,
    log_y: bool = False,
    reference: float | None = None,
    as_given: bool = False,
) -> Figure:
    """Lines of `y` against `x`, one a series, each inside its interval band; `reference` is a level such as chance.

    Args:
        as_given: join points in their order, for a way on which `x` may turn back; intervals are bars then. Else
            points are joined in order of `x`.
    """
    rows = [p._asdict() for p in points if _drawable(p.x, log_x) and _drawable(p.y, log_y)]
    rows = [{**row, "place": place} for place, row in enumerate(rows)] if as_given else rows
    y_scale = {"type": "log"} if log_y else _FREE
    colour = _colour([p.series for p in points])
    across = {"x": _of("x:Q", title=x, scale={"type": "log", "nice": False} if log_x else _FREE), **colour}
    layers: list[Any] = _level(reference)
    if any(p.low is not None for p in points):
        bars = {"type": "rule", "opacity": 0.4, "strokeWidth": 2}
        band = {
            "transform": [{"filter": _SOUND}],
            "mark": bars if as_given else {"type": "area", "opacity": 0.18},
            "encoding": {**across, "y": _of("low:Q", title=y, scale=y_scale), "y2": {"field": "high"}},
        }
        layers.append(band)
    tips = [_of("series:N", title="series")] * bool(colour) + [_tip("x", x), _tip("y", y), _tip("low"), _tip("high")]
    encoding = {**across, "y": _of("y:Q", title=y, scale=y_scale), "tooltip": tips}
    if as_given:
        encoding["order"] = _of("place:Q")
    layers.append({"mark": {"type": "line", "point": {"size": 30, "filled": True}}, "encoding": encoding})
    spec = _written({"data": _values(rows), "height": 280, "layer": layers})
    return Figure(title=title, spec=spec, caption=caption, section=section)


def histogram(
    values: Mapping[str, Sequence[float]],
    *,
    x: str,
    title: str,
    caption: str = "",
    section: str = "",
    bins: int = 20,
    domain: tuple[float, float] | None = None,
) -> Figure:
    """Shares of each class's values over common bins, drawn over each other; `domain` defaults to the data's range."""
    finite = {k: [v for v in vs if math.isfinite(v)] for k, vs in values.items()}
    everything = [v for vs in finite.values() for v in vs]
    low, high = domain or ((min(everything), max(everything)) if everything else (0.0, 1.0))
    width = (high - low) / bins or 1.0
    rows = []
    for name, vs in finite.items():
        counts = [0] * bins
        for v in vs:
            counts[min(bins - 1, max(0, int((v - low) / width)))] += 1
        rows += [
            {"start": low + i * width, "end": low + (i + 1) * width, "share": c / len(vs), "count": c, "series": name}
            for i, c in enumerate(counts)
            if c
        ]
    encoding = {
        "x": _of("start:Q", bin="binned", title=x, scale={"domain": [low, low + bins * width]}),
        "x2": {"field": "end"},
        "y": _of("share:Q", title="share of class", stack=None),
        "tooltip": [_of("series:N", title="class"), _tip("start"), _tip("end"), _of("count:Q")],
        **_colour(list(values)),
    }
    mark = {"type": "bar", "opacity": 0.55, "binSpacing": 1}
    spec = _written({"data": _values(rows), "height": 220, "mark": mark, "encoding": encoding})
    return Figure(title=title, spec=spec, caption=caption, section=section)


def forest(
    estimates: Sequence[Estimate],
    *,
    x: str,
    title: str,
    caption: str = "",
    section: str = "",
    reference: float | None = None,
) -> Figure:
    """One estimate a line with its interval, in the order given; `reference` marks no effect."""
    shown = [e for e in estimates if e.value is not None]
    same = len({e.metric for e in shown}) == 1
    rows = [
        {"name": (e.group or e.metric) if same else _name(e), "value": e.value, "low": e.low, "high": e.high, "n": e.n}
        for e in shown
    ]
    axis = {"labelLimit": 170, "ticks": False, "domain": False}
    lines = {"y": _of("name:N", sort=[str(r["name"]) for r in rows], title=None, axis=axis)}
    tips = [_of("name:N"), _tip("value"), _tip("low"), _tip("high"), _of("n:Q")]
    ranges = {
        "mark": {"type": "rule", "strokeWidth": 2},
        "encoding": {**lines, "x": _of("low:Q", title=x, scale=_FREE), "x2": {"field": "high"}},
    }
    dots = {
        "mark": {"type": "point", "size": 60, "filled": True, "opacity": 1},
        "encoding": {**lines, "x": _of("value:Q", title=x), "tooltip": tips},
    }
    layers = [*_level(reference, "x"), ranges, dots]
    spec = _written({"data": _values(rows), "height": {"step": 24}, "layer": layers})
    return Figure(title=title, spec=spec, caption=caption, section=section)


def heatmap(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float | None]],
    *,
    title: str,
    x: str = "",
    y: str = "",
    legend: str = "",
    caption: str = "",
    section: str = "",
    diverging: bool = False,
    behind: Behind | None = None,
) -> Figure:
    """A matrix as colours, shape [len(rows), len(columns)]; small ones carry their numbers.

    Args:
        diverging: colours are centred on 0.
        behind: dots that are shown below of the cell under the pointer.
    """
    import altair as alt

    cells = [
        {"row": r, "column": c, "value": v}
        for r, line in zip(rows, values, strict=True)
        for c, v in zip(columns, line, strict=True)
    ]
    known = [abs(v) for line in values for v in line if v is not None] or [1.0]
    scale = alt.Scale(scheme="redblue", domain=[-max(known), max(known)]) if diverging else alt.Scale(scheme="blues")
    angle = 0 if sum(map(len, columns)) < 40 else -45
    base = alt.Chart(_data(cells)).encode(
        x=alt.X("column:N", sort=list(columns), title=x or None, axis=alt.Axis(labelLimit=90, labelAngle=angle)),
        y=alt.Y("row:N", sort=list(rows), title=y or None, axis=alt.Axis(labelLimit=140)),
    )
    tips = [alt.Tooltip("row:N", title=y or "row"), alt.Tooltip("column:N", title=x or "column"), _alt_tip("value")]
    # Beside two views, one below the other, a legend would take the width of both.
    side = alt.Legend(orient="top", titleLimit=320) if behind else alt.Legend()
    shade = alt.Color("value:Q", scale=scale, title=legend or None, legend=side)
    chart: Any = base.mark_rect().encode(color=shade, tooltip=tips)
    if len(cells) <= 100:
        chart = chart + _numbers(base, 0.55 * max(known), diverging)
    step = 24 if len(rows) <= 20 else max(4, 480 // len(rows))
    chart = chart.properties(height=alt.Step(step))
    chart = with_dots(chart, base, behind) if behind else chart
    return Figure(title=title, spec=_spec(chart), caption=caption, section=section)


def scatter(
    dots: Sequence[Dot],
    *,
    x: str,
    y: str,
    title: str,
    caption: str = "",
    section: str = "",
    diagonal: bool = False,
    joined: bool = False,
) -> Figure:
    """Points, coloured by group; `diagonal` draws where `x` equals `y`, `joined` a line through each group in order."""
    rows = [d._asdict() for d in dots if math.isfinite(d.x) and math.isfinite(d.y)]
    tips = [_of("label:N", title=" ")] * any(d.label for d in dots) + [_tip("x", x), _tip("y", y)]
    encoding = {
        "x": _of("x:Q", title=x, scale=_FREE),
        "y": _of("y:Q", title=y, scale=_FREE),
        "tooltip": tips,
        **_colour([d.group for d in dots], "group"),
    }
    layers: list[Any] = [{"mark": {"type": "circle", "size": 40, "opacity": 0.7}, "encoding": encoding}]
    if joined:
        # Without an order of its own a line goes from left to right.
        ordered = _values({**row, "place": place} for place, row in enumerate(rows))
        along = {**encoding, "order": _of("place:Q")}
        layers.insert(0, {"data": ordered, "mark": {"type": "line", "opacity": 0.5}, "encoding": along})
    if diagonal and rows:
        ends = [min(min(r["x"], r["y"]) for r in rows), max(max(r["x"], r["y"]) for r in rows)]
        line = _values({"x": e, "y": e} for e in ends)
        layers.insert(0, {"data": line, "mark": _DASHED, "encoding": {"x": _of("x:Q"), "y": _of("y:Q")}})
    spec = _written({"data": _values(rows), "height": 300, "layer": layers})
    return Figure(title=title, spec=spec, caption=caption, section=section)


def learning(
    metrics: Mapping[str, Sequence[tuple[int, float]]],
    *,
    title: str,
    x: str = "step",
    caption: str = "",
    section: str = "",
) -> Figure:
    """Curves of a training run, one panel a metric, over a common axis of steps; values that are not finite are left
    out of the line, so a divergence shows as a gap."""
    last = max((step for line in metrics.values() for step, _ in line), default=1)
    panels = []
    for i, (name, line) in enumerate(metrics.items()):
        rows = [{"step": s, "value": v if math.isfinite(v) else None} for s, v in line]
        bottom = i == len(metrics) - 1
        axis = {} if bottom else {"labels": False, "ticks": False, "title": None}
        encoding = {
            "x": _of("step:Q", title=x, axis=axis, scale={"domain": [0, last], "nice": False}),
            "y": _of("value:Q", title=name, scale=_FREE, axis={"tickCount": 4}),
            "tooltip": [_of("step:Q"), _tip("value", name)],
        }
        mark = {"type": "line", "invalid": "break-paths-show-path-domains"}
        panels.append({"data": _values(rows), "height": 110, "mark": mark, "encoding": encoding})
    spec = _written({"vconcat": panels, "spacing": 14, "bounds": "flush"})
    return Figure(title=title, spec=spec, caption=caption, section=section)


def _numbers(base: Any, dark: float, diverging: bool) -> Any:
    """The values as text, white on cells whose colour is deeper than that of `dark`."""
    import altair as alt

    deep = f"abs(datum.value) > {dark}" if diverging else f"datum.value > {dark}"
    ink = alt.condition(deep, alt.value("white"), alt.value("#222"))
    known = base.transform_filter("isValid(datum.value)")
    return known.mark_text(fontSize=11).encode(text=alt.Text("value:Q", format=".2~f"), color=ink)


def _level(at: float | None, axis: str = "y") -> list[Any]:
    if at is None:
        return []
    return [{"data": _values([{}]), "mark": {**_DASHED, "type": "rule"}, "encoding": {axis: {"datum": at}}}]


def _drawable(x: float, log: bool) -> bool:
    return math.isfinite(x) and (x > 0 or not log)


def _name(e: Estimate) -> str:
    return f"{e.metric} [{e.group}]" if e.group else e.metric
