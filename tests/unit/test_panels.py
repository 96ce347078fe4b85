"""Panels: what is drawn, where lines break, which windows stand behind them."""

from __future__ import annotations

from typing import Any

from gnomon.report.panels import Tile, Trace, tiles, traces
from gnomon.report.vega import still


def rows(spec: Any) -> list[dict[str, Any]]:
    """The data of a specification."""
    if "datasets" in spec:
        (found,) = spec["datasets"].values()
        return list(found)
    return list(spec["data"]["values"])


def test_every_panel_has_its_lines_and_its_window() -> None:
    points = [Trace(x, y, panel, "one", "a") for panel in ("first", "second") for x, y in ((0, 1), (1, 2), (2, None))]
    made = traces(points, x="tokens", y="nats", title="T", windows={"second": (1, 2)})
    drawn = rows(made.spec)
    # An untrained model has no place on a logarithmic axis.
    assert [(r["x"], r["y"]) for r in drawn if r.get("line") and r["panel"] == "first"] == [(1, 2), (2, None)]
    assert [r for r in drawn if "low" in r] == [{"panel": "second", "low": 1, "high": 2}]
    assert made.spec["facet"]["sort"] == ["first", "second"]
    assert "<svg" in still(made.spec, "a")


def test_one_panel_stands_alone_and_a_linear_axis_has_a_zero() -> None:
    made = traces([Trace(0, 1, "p", "l"), Trace(1, 2, "p", "l")], x="step", y="y", title="T", log_x=False)
    assert "facet" not in made.spec and len(rows(made.spec)) == 2


def test_tiles_are_centred_on_zero_where_colours_say_signs() -> None:
    cells = [Tile(1, 2, 1, 3, -2.0, "p"), Tile(2, 4, 1, 3, 1.0, "p"), Tile(0, 1, 1, 3, 9.0, "p")]
    made = tiles(cells, x="tokens", y="index", legend="nats", title="T", diverging=True)
    assert [r["value"] for r in rows(made.spec)] == [-2.0, 1.0]
    assert made.spec["encoding"]["color"]["scale"]["domain"] == [-2.0, 2.0]
    assert "<svg" in still(made.spec, "b")
