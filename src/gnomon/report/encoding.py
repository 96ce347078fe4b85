"""What every builder of figures uses: data inline, a specification without a theme, tooltips, colours of series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["colour", "data", "specification", "tip"]


def data(rows: Iterable[Mapping[str, Any]]) -> Any:
    """Rows as inline data."""
    import altair as alt

    return alt.InlineData(values=[dict(r) for r in rows])


def specification(chart: Any) -> Mapping[str, Any]:
    """A chart as its Vega-Lite specification."""
    spec: dict[str, Any] = chart.to_dict()
    # Altair's own theme would fight the page's.
    spec.pop("config", None)
    return spec


def tip(field: str, title: str = "") -> Any:
    """A number read on hovering, three digits of it."""
    import altair as alt

    return alt.Tooltip(f"{field}:Q", title=title or field, format=".3~g")


def colour(names: Sequence[str], field: str = "series") -> dict[str, Any]:
    """The encoding of series by colour, in the order given; nothing where there is one series."""
    import altair as alt

    order = list(dict.fromkeys(names))
    if len(order) < 2:
        return {}
    return {"color": alt.Color(f"{field}:N", title=None, sort=order, legend=alt.Legend(orient="top"))}
