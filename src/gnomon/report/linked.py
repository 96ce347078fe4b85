"""Pictures that show more below of what is under the pointer: what is behind a cell, and the graph that a dot is in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gnomon.report.base import Figure
from gnomon.report.encoding import colour, data, specification, tip

if TYPE_CHECKING:
    from gnomon.report.figures import Dot

__all__ = ["Behind", "Graph", "Member", "graphs", "with_dots"]

_GREY, _CHOSEN = "#8a8880", "#e07b39"
_HEIGHT, _BELOW = 300, 170
# The page makes figures about this much wider than the lower view is high.
_ASPECT = 4.0


class Behind(NamedTuple):
    """What is behind the cells of a picture: dots by row and column, and what their axes are."""

    dots: Mapping[tuple[str, str], Sequence[Dot]]
    x: str
    y: str


class Graph(NamedTuple):
    """Nodes of a plane by name, and edges between them by place with a strength of 0 or more."""

    nodes: Sequence[tuple[str, float, float]]
    edges: Sequence[tuple[int, int, float]]


class Member(NamedTuple):
    """A dot, the name of the graph that it is in, and what its colour says."""

    x: float
    y: float
    graph: str
    group: str


def with_dots(chart: Any, cells: Any, behind: Behind) -> Any:
    """A chart of cells, and below it the dots of the one under the pointer.

    Args:
        chart: what is drawn in the cells.
        cells: a chart without a mark whose data have `row` and `column`.
    """
    import altair as alt

    row, column = next(iter(behind.dots))
    choice = _pointed({"row": row, "column": column})
    # A cell without a value is drawn by nothing, and is to be pointed at too.
    under = cells.mark_rect(opacity=0).add_params(choice)
    chosen = cells.transform_filter(choice).mark_rect(fillOpacity=0, stroke=_CHOSEN, strokeWidth=2.5)
    above = alt.layer(under, chart, chosen)
    rows = [
        {"row": row, "column": column, **dot._asdict()} for (row, column), dots in behind.dots.items() for dot in dots
    ]
    scale = alt.Scale(zero=False)
    # Named in full, so that a group has one colour in every cell.
    names = alt.Scale(domain=list(dict.fromkeys(row["group"] for row in rows)))
    dots = (
        alt.Chart(data(rows), height=_BELOW)
        .transform_filter(choice)
        .mark_circle(size=70, opacity=0.8)
        .encode(
            x=alt.X("x:Q", title=behind.x, scale=scale, axis=alt.Axis(tickCount=5, format=".3~g")),
            y=alt.Y("y:Q", title=behind.y, scale=scale),
            tooltip=[alt.Tooltip("label:N", title=" "), tip("x", behind.x), tip("y", behind.y)],
            color=alt.Color("group:N", title=None, scale=names, legend=alt.Legend(orient="top")),
        )
    )
    return alt.vconcat(above, dots, spacing=14).resolve_scale(color="independent")


def graphs(
    members: Sequence[Member],
    drawn: Mapping[str, Graph],
    *,
    x: str,
    y: str,
    title: str,
    lines: Mapping[str, float],
    caption: str = "",
    section: str = "",
) -> Figure:
    """Dots over a logarithmic x with named levels of y, and below them the graph of the one under the pointer.

    Args:
        members: the first one's graph is shown to begin with.
        drawn: every graph that a member names.
        lines: levels by name.
    """
    import altair as alt

    choice = _pointed({"graph": members[0].graph})
    at = alt.X("x:Q", title=x, scale=alt.Scale(type="log", nice=False, padding=12))
    tips = [alt.Tooltip("graph:N", title=" "), tip("x", x), tip("y", y)]
    dots = alt.Chart(data(m._asdict() for m in members)).mark_circle(size=45)
    dots = dots.encode(
        x=at,
        y=alt.Y("y:Q", title=y),
        opacity=alt.condition(choice, alt.value(1.0), alt.value(0.35), empty=False),
        tooltip=tips,
        **colour([m.group for m in members], "group"),
    ).add_params(choice)
    levels = alt.Chart(data({"name": name, "level": level} for name, level in lines.items())).encode(y="level:Q")
    rules = levels.mark_rule(color=_GREY, strokeDash=[3, 4], opacity=0.7)
    names = levels.mark_text(align="right", dx=-3, dy=-5, fontSize=10).encode(text="name:N", x=alt.value("width"))
    above = alt.layer(rules, names, dots, height=_HEIGHT)
    chart = alt.vconcat(above, _graph(drawn, choice), spacing=14).resolve_scale(x="independent", y="independent")
    return Figure(title=title, spec=specification(chart), caption=caption, section=section)


def _graph(drawn: Mapping[str, Graph], choice: Any) -> Any:
    import altair as alt

    reach = 1.25 * max((abs(c) for g in drawn.values() for _, *place in g.nodes for c in place), default=1.0)
    across, up = (alt.Scale(domain=[-k * reach, k * reach], nice=False) for k in (_ASPECT, 1))
    place: dict[str, Any] = {"x": alt.X("x:Q", scale=across, axis=None), "y": alt.Y("y:Q", scale=up, axis=None)}
    nodes, edges = [], []
    for name, graph in drawn.items():
        nodes += [{"graph": name, "name": node, "x": round(x, 3), "y": round(y, 3)} for node, x, y in graph.nodes]
        for i, j, strength in graph.edges:
            (_, x, y), (_, x2, y2) = graph.nodes[i], graph.nodes[j]
            ends = {"x": x, "y": y, "x2": x2, "y2": y2, "strength": strength}
            edges.append({"graph": name, **{end: round(value, 3) for end, value in ends.items()}})
    thick = alt.Size("strength:Q", scale=alt.Scale(domain=[0, 1], range=[0.3, 3], clamp=True), legend=None)
    lines = alt.Chart(data(edges)).transform_filter(choice).mark_rule(color=_GREY, opacity=0.6)
    lines = lines.encode(**place, x2="x2:Q", y2="y2:Q", size=thick, tooltip=[tip("strength", "interference")])
    base = alt.Chart(data(nodes)).transform_filter(choice).encode(**place)
    dots = base.mark_circle(size=70, opacity=1).encode(tooltip=[alt.Tooltip("name:N", title="feature")])
    titles = [{"graph": name, "x": -_ASPECT * reach, "y": 0.9 * reach} for name in drawn]
    said = alt.Chart(data(titles)).transform_filter(choice).mark_text(align="left", fontSize=12)
    return alt.layer(lines, dots, said.encode(**place, text="graph:N"), height=_BELOW)


def _pointed(first: Mapping[str, str]) -> Any:
    """The selection that follows the pointer over marks with these fields; it begins with these values."""
    import altair as alt

    return alt.selection_point(name="pointed", fields=list(first), on="pointerover", empty=False, value=[dict(first)])
