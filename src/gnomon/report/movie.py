"""Vectors of a plane or of space over training, or over anything else that goes in steps, as a picture that the reader
winds (and, in space, turns), with the curve that goes with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from gnomon.report.base import Figure
from gnomon.report.encoding import colour, data, specification, tip

__all__ = ["Frame", "movie"]

_HEIGHT, _CURVE_HEIGHT = 320, 130
# Ends of vectors are joined unless they point away from each other by this cosine or less.
_APART = -0.5
_SHORT = 0.3
# Turned a little to begin with, so that no axis hides another.
_TURN, _TILT = 25, 20
_GREY = "#8a8880"
# The page makes figures about twice as wide as the view is high.
_ASPECT = 2.0


class Frame(NamedTuple):
    """One look: its step, two or three coordinates of each vector, the curve's value, what the look is called, a level
    of each vector if there are any, and what is written beside the vectors."""

    step: int
    ends: Sequence[Sequence[float]]
    value: float
    stage: str
    levels: Sequence[float] = ()
    said: str = ""


def movie(
    frames: Sequence[Frame],
    *,
    labels: Sequence[str],
    groups: Sequence[str],
    x: str = "step",
    y: str,
    level: str = "",
    title: str,
    caption: str = "",
    section: str = "",
) -> Figure:
    """Vectors from the origin at a step that a slider chooses, in space turned by two more, above `y` over all steps.

    Args:
        frames: at even distances; the picture begins with the last.
        labels: of each vector.
        groups: of each vector, which are coloured alike.
        x: what a step is.
        y: what a frame's value is, above 0.
        level: what the levels of vectors are.
    """
    import altair as alt

    steps = [frame.step for frame in frames]
    every = steps[1] - steps[0] if len(steps) > 1 else 1
    params = [_slider("step", x, steps[-1], steps[0], steps[-1], every)]
    if len(frames[0].ends[0]) == len("xyz"):
        params += [_slider("turn", "turn", _TURN, -180, 180, 1), _slider("tilt", "tilt", _TILT, -90, 90, 1)]
    reach = 1.15 * max((math.hypot(*end) for f in frames for end in f.ends), default=1.0)
    layers = [_edges(frames, reach), *_vectors(frames, labels, groups, reach)]
    if any(frame.said for frame in frames):
        layers.append(_said(frames, reach))
    views = [alt.layer(*layers, height=_HEIGHT)]
    if frames[0].levels:
        views.append(_levels(frames, labels, groups, level))
    chart = alt.vconcat(*views, _curve(frames, x, y), spacing=14).resolve_scale(color="independent")
    chart = chart.add_params(*params)
    return Figure(title=title, spec=specification(chart), caption=caption, section=section)


def _slider(name: str, said: str, value: float, least: float, most: float, step: float) -> Any:
    import altair as alt

    return alt.param(name=name, value=value, bind=alt.binding_range(min=least, max=most, step=step, name=f"{said} "))


def _turned(end: str, frames: Sequence[Frame]) -> dict[str, str]:
    """Expressions of where a point stands on the page, and how near it is to the reader."""
    x, y, z = (f"datum.{axis}{end}" for axis in "xyz")
    if len(frames[0].ends[0]) < len("xyz"):
        return {f"across{end}": x, f"up{end}": y, f"near{end}": "0"}
    cos_turn, sin_turn = "cos(turn * PI / 180)", "sin(turn * PI / 180)"
    cos_tilt, sin_tilt = "cos(tilt * PI / 180)", "sin(tilt * PI / 180)"
    back = f"({z} * {cos_turn} - {x} * {sin_turn})"
    return {
        f"across{end}": f"{x} * {cos_turn} + {z} * {sin_turn}",
        f"up{end}": f"{y} * {cos_tilt} - {back} * {sin_tilt}",
        f"near{end}": f"{y} * {sin_tilt} + {back} * {cos_tilt}",
    }


def _axes(end: str, reach: float) -> dict[str, Any]:
    import altair as alt

    across, up = (alt.Scale(domain=[-k * reach, k * reach], nice=False) for k in (_ASPECT, 1))
    return {
        "x": alt.X(f"across{end}:Q", scale=across, axis=None),
        "y": alt.Y(f"up{end}:Q", scale=up, axis=None),
    }


def _vectors(frames: Sequence[Frame], labels: Sequence[str], groups: Sequence[str], reach: float) -> list[Any]:
    import altair as alt

    rows = [
        {"at": frame.step, "label": label, "group": group, "zero": 0, **_rounded("", end)}
        for frame in frames
        for label, group, end in zip(labels, groups, frame.ends, strict=True)
    ]
    base = alt.Chart(data(rows)).transform_filter("datum.at == step").transform_calculate(**_turned("", frames))
    base = base.encode(**_axes("", reach), **colour(groups, "group"))
    nearness = alt.Opacity("near:Q", scale=alt.Scale(domain=[-reach, reach], range=[0.45, 1]), legend=None)
    lines = base.mark_rule(strokeWidth=2).encode(x2=alt.X2("zero:Q"), y2=alt.Y2("zero:Q"), opacity=nearness)
    tips = [alt.Tooltip("label:N", title=" "), *(tip(axis) for axis, _ in zip("xyz", frames[0].ends[0], strict=False))]
    dots = base.mark_circle(size=90).encode(opacity=nearness, tooltip=tips)
    words = alt.Chart(data(rows)).transform_filter("datum.at == step").transform_calculate(**_turned("", frames))
    names = words.mark_text(dx=10, dy=-9).encode(**_axes("", reach), text="label:N")
    return [lines, dots, names]


def _edges(frames: Sequence[Frame], reach: float) -> Any:
    """Lines between ends that do not point away from each other: the edges of what the vectors make."""
    import altair as alt

    rows = []
    for frame in frames:
        long = [end for end in frame.ends if math.hypot(*end) >= _SHORT]
        for i, first in enumerate(long):
            for second in long[:i]:
                size = math.hypot(*first) * math.hypot(*second)
                if sum(a * b for a, b in zip(first, second, strict=True)) > _APART * size:
                    rows.append({"at": frame.step, **_rounded("1", first), **_rounded("2", second)})
    turned = _turned("1", frames) | _turned("2", frames)
    base = alt.Chart(data(rows)).transform_filter("datum.at == step").transform_calculate(**turned)
    line = base.mark_rule(color=_GREY, strokeWidth=1, opacity=0.5)
    return line.encode(**_axes("1", reach), x2=alt.X2("across2:Q"), y2=alt.Y2("up2:Q"))


def _rounded(end: str, point: Sequence[float]) -> dict[str, float]:
    return {f"{axis}{end}": round(value, 3) for axis, value in zip("xyz", point, strict=False)}


def _said(frames: Sequence[Frame], reach: float) -> Any:
    """What is written in the corner."""
    import altair as alt

    rows = [{"at": f.step, "said": f.said, "across": -_ASPECT * reach, "up": 0.95 * reach} for f in frames]
    words = alt.Chart(data(rows)).transform_filter("datum.at == step")
    return words.mark_text(align="left", fontSize=13).encode(**_axes("", reach), text="said:N")


def _levels(frames: Sequence[Frame], labels: Sequence[str], groups: Sequence[str], title: str) -> Any:
    """The level of each vector over all steps, and a mark at the one that is shown."""
    import altair as alt

    rows = [
        {"at": frame.step, "label": label, "group": group, "level": round(level, 4)}
        for frame in frames
        for label, group, level in zip(labels, groups, frame.levels, strict=True)
    ]
    across = alt.X("at:Q", title=None, scale=alt.Scale(domain=[frames[0].step, frames[-1].step], nice=False))
    # The vectors' own colours, whose legend stands above.
    shade = alt.Color("group:N", sort=list(dict.fromkeys(groups)), legend=None)
    tips = [alt.Tooltip("label:N", title=" "), tip("level", title)]
    lines = alt.Chart(data(rows)).mark_line(strokeWidth=1.5).encode(x=across, detail="label:N", color=shade)
    lines = lines.encode(y=alt.Y("level:Q", title=title, axis=alt.Axis(tickCount=4)), tooltip=tips)
    now = alt.Chart(data(rows)).transform_filter("datum.at == step").mark_rule(color=_GREY).encode(x=across)
    return alt.layer(now, lines, height=_CURVE_HEIGHT)


def _curve(frames: Sequence[Frame], x: str, y: str) -> Any:
    """The curve, a colour a stage, a letter where each begins, and a mark at the step that is shown."""
    import altair as alt

    rows: list[dict[str, Any]] = []
    begins: list[dict[str, Any]] = []
    for frame in frames:
        if not begins or begins[-1]["stage"] != frame.stage:
            # The line of a stage goes on to where the next begins.
            if rows:
                rows.append({**rows[-1], "at": frame.step, "value": frame.value})
            begins.append(
                {"at": frame.step, "value": frame.value, "stage": frame.stage, "letter": _letter(len(begins))}
            )
        rows.append({"at": frame.step, "value": frame.value, "stage": frame.stage, "run": len(begins)})
    across = alt.X("at:Q", title=x, scale=alt.Scale(domain=[frames[0].step, frames[-1].step], nice=False))
    up = alt.Y("value:Q", title=y, scale=alt.Scale(type="log", zero=False), axis=alt.Axis(tickCount=3))
    tips = [alt.Tooltip("stage:N", title=" "), alt.Tooltip("at:Q", title=x), tip("value", y)]
    line = alt.Chart(data(rows)).mark_line(point={"size": 25}).encode(x=across, y=up, detail="run:N", tooltip=tips)
    line = line.encode(**colour([row["stage"] for row in rows], "stage"))
    letters = alt.Chart(data(begins)).mark_text(dy=-12, dx=6, fontWeight=600).encode(x=across, y=up, text="letter:N")
    now = alt.Chart(data(rows)).transform_filter("datum.at == step").mark_rule(color=_GREY).encode(x=across)
    return alt.layer(now, line, letters, height=_CURVE_HEIGHT)


def _letter(place: int) -> str:
    return chr(ord("A") + place) if place < 26 else ""
