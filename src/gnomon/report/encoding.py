"""What every builder of figures uses: data inline, channels, a specification without a theme, colours of series.

Most builders write Vega-Lite as it is. Those of linked views let Altair write it, whose import takes longer than all
else that a small report does, so it is loaded by them alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gnomon.report.vega import VEGA_LITE

__all__ = ["channel", "colour", "colour_of", "data", "specification", "tip", "tip_of", "values", "written"]

_TYPES = {"N": "nominal", "Q": "quantitative"}


def values(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Rows as inline data."""
    return {"values": [dict(r) for r in rows]}


def channel(field: str, **more: Any) -> dict[str, Any]:
    """The encoding of a field by one channel.

    Args:
        field: with its type behind a colon, N for names and Q for numbers.
        more: properties of the channel.
    """
    name, _, kind = field.partition(":")
    return {"field": name, "type": _TYPES[kind], **more}


def tip_of(field: str, title: str = "") -> dict[str, Any]:
    """A number read on hovering, three digits of it."""
    return channel(f"{field}:Q", title=title or field, format=".3~g")


def colour_of(names: Sequence[str], field: str = "series") -> dict[str, Any]:
    """The encoding of series by colour, in the order given; nothing where there is one series."""
    order = list(dict.fromkeys(names))
    if len(order) < 2:
        return {}
    return {"color": channel(f"{field}:N", title=None, sort=order, legend={"orient": "top"})}


def written(view: Mapping[str, Any]) -> Mapping[str, Any]:
    """A view, or several, as a whole specification."""
    return {"$schema": f"https://vega.github.io/schema/vega-lite/v{VEGA_LITE}.json", **view}


def data(rows: Iterable[Mapping[str, Any]]) -> Any:
    """Rows as inline data of Altair's."""
    import altair as alt

    return alt.InlineData(**values(rows))


def specification(chart: Any) -> Mapping[str, Any]:
    """A chart of Altair's as its Vega-Lite specification."""
    spec: dict[str, Any] = chart.to_dict()
    # Altair's own theme would fight the page's.
    spec.pop("config", None)
    return spec


def tip(field: str, title: str = "") -> Any:
    """As `tip_of`, for a chart of Altair's."""
    import altair as alt

    return alt.Tooltip(**tip_of(field, title))


def colour(names: Sequence[str], field: str = "series") -> dict[str, Any]:
    """As `colour_of`, for a chart of Altair's."""
    import altair as alt

    return {name: alt.Color(**how) for name, how in colour_of(names, field).items()}
