"""Pictures that show more of what is under the pointer hold it for every mark, and show the first without a pointer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gnomon.report.figures import Dot, heatmap
from gnomon.report.linked import Behind, Graph, Member, graphs
from gnomon.report.vega import still


def layers(spec: Any, view: int) -> list[Any]:
    found: list[Any] = spec["vconcat"][view].get("layer", [spec["vconcat"][view]])
    return found


def values(spec: Any, layer: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = spec["datasets"][layer["data"]["name"]]
    return found


def test_a_cell_has_its_dots_below_whether_it_has_a_value_or_not() -> None:
    dots = {
        ("a", "x"): [Dot(0.0, 1.0, "kept", "start 0"), Dot(2.0, 0.5, "lost", "start 1")],
        ("a", "y"): [Dot(7.0, 3.0, "kept", "start 0")],
    }
    figure = heatmap(["a"], ["x", "y"], [[1.0, None]], title="Cells", behind=Behind(dots, "loss", "length"))
    spec = json.loads(json.dumps(figure.spec))
    (choice,) = spec["params"]
    assert choice["select"] == {"type": "point", "fields": ["row", "column"], "on": "pointerover"}
    assert choice["value"] == [{"row": "a", "column": "x"}]
    under, below = layers(spec, 0)[0], layers(spec, 1)[0]
    # The lowest layer has a mark for each cell, so that one without a value can be pointed at.
    assert under["mark"] == {"type": "rect", "opacity": 0} and "color" not in under["encoding"]
    assert below["transform"] == [{"filter": {"param": "pointed", "empty": False}}]
    assert [(v["column"], v["x"], v["label"]) for v in values(spec, below)] == [
        ("x", 0.0, "start 0"), ("x", 2.0, "start 1"), ("y", 7.0, "start 0"),
    ]  # fmt: skip
    assert below["encoding"]["color"]["scale"] == {"domain": ["kept", "lost"]}
    drawn = still(figure.spec, "s")
    assert ">lost<" in drawn and ">null<" not in drawn


def test_a_dot_has_its_graph_below() -> None:
    drawn = {
        "pair": Graph([("feature 1", -1.0, 0.0), ("feature 2", 1.0, 0.0)], [(1, 0, 0.9)]),
        "alone": Graph([("feature 3", 0.0, 1.0)], []),
    }
    members = [Member(2.0, 0.5, "pair", "digon"), Member(2.0, 0.5, "pair", "digon"), Member(1.0, 1.0, "alone", "one")]
    figure = graphs(members, drawn, x="1 / density", y="share", title="Shares", lines={"digon": 0.5})
    spec = json.loads(json.dumps(figure.spec))
    edges, nodes, said = layers(spec, 1)
    assert all(layer["transform"] == [{"filter": {"param": "pointed", "empty": False}}] for layer in (edges, nodes))
    assert values(spec, edges) == [{"graph": "pair", "x": 1.0, "y": 0.0, "x2": -1.0, "y2": 0.0, "strength": 0.9}]
    assert [(v["graph"], v["name"]) for v in values(spec, nodes)] == [
        ("pair", "feature 1"), ("pair", "feature 2"), ("alone", "feature 3"),
    ]  # fmt: skip
    assert {v["graph"] for v in values(spec, said)} == set(drawn)
    rule = layers(spec, 0)[0]
    assert values(spec, rule) == [{"name": "digon", "level": pytest.approx(0.5)}]
    picture = still(figure.spec, "s")
    assert ">pair<" in picture and ">alone<" not in picture
