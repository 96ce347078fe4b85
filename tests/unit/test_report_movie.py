"""A movie holds every frame and turns as rotations do."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from gnomon.report.movie import Frame, movie
from gnomon.report.vega import still

FRAMES = [
    Frame(0, [(1, 0, 0), (0, 1, 0), (0.1, 0, 0)], 1.0, "flat"),
    Frame(20, [(1, 0, 0), (0, 1, 0), (-1, 0, 0)], 0.5, "square"),
    Frame(40, [(1, 0, 0), (0, 1, 0), (-1, 0, 0)], 0.25, "square"),
]


def drawn() -> Any:
    figure = movie(FRAMES, labels=["a", "b", "c"], groups=["x", "x", "y"], y="loss", title="Turning")
    return json.loads(json.dumps(figure.spec))


def values(spec: Any, layer: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = spec["datasets"][layer["data"]["name"]]
    return found


def test_sliders_wind_over_all_steps_and_turn() -> None:
    params = {p["name"]: (p["value"], p["bind"]) for p in drawn()["params"]}
    assert params["step"][0] == 40 and params["step"][1] == {
        "input": "range", "min": 0, "max": 40, "step": 20, "name": "step ",
    }  # fmt: skip
    assert {"turn", "tilt"} < set(params)


def test_every_frame_has_its_vectors_and_the_edges_between_them() -> None:
    spec = drawn()
    edges, vectors = (values(spec, layer) for layer in spec["vconcat"][0]["layer"][:2])
    assert {(v["at"], v["label"]) for v in vectors} == {(t, k) for t in (0, 20, 40) for k in "abc"}
    assert len(vectors) == 9
    # A short vector joins nothing, and opposite ones are not joined.
    assert [edge["at"] for edge in edges] == [0, 20, 20, 40, 40]


def test_stages_of_the_curve_begin_with_letters() -> None:
    spec = drawn()
    begins = next(values(spec, layer) for layer in spec["vconcat"][1]["layer"] if layer["mark"]["type"] == "text")
    assert [(each["letter"], each["stage"], each["at"]) for each in begins] == [("A", "flat", 0), ("B", "square", 20)]


@pytest.mark.parametrize(("turn", "tilt"), [(0, 0), (90, 0), (30, -40)])
def test_turning_keeps_lengths(turn: float, tilt: float) -> None:
    """The expressions, read as Python, are a rotation."""
    space = drawn()["vconcat"][0]
    steps = [t for t in space["layer"][1]["transform"] if "calculate" in t]
    known = {"cos": math.cos, "sin": math.sin, "PI": math.pi, "turn": turn, "tilt": tilt}
    point = {"x": 0.3, "y": -0.5, "z": 0.7}
    written = {t["as"]: t["calculate"].replace("datum.", "") for t in steps}
    found = {name: eval(expression, {**known, **point}) for name, expression in written.items()}
    assert math.hypot(*found.values()) == pytest.approx(math.hypot(*point.values()))
    if (turn, tilt) == (0, 0):
        assert found == pytest.approx({"across": 0.3, "up": -0.5, "near": 0.7})


def test_vectors_of_the_plane_are_wound_and_not_turned() -> None:
    flat = [
        Frame(at, [(1, 0), (0, 1)], value, "square", (0.9, value), f"density {value}")
        for at, value in enumerate((1.0, 0.5, 0.25))
    ]
    figure = movie(flat, labels=["a", "b"], groups=["a", "b"], x="rarer", y="D*", level="D_i", title="Rarer")
    spec = json.loads(json.dumps(figure.spec))
    assert [(p["name"], p["bind"]["name"]) for p in spec["params"]] == [("step", "rarer ")]
    vectors = values(spec, spec["vconcat"][0]["layer"][1])
    assert vectors[0] == {"at": 0, "label": "a", "group": "a", "zero": 0, "x": 1, "y": 0}
    levels = values(spec, spec["vconcat"][1]["layer"][1])
    assert [(v["at"], v["level"]) for v in levels if v["label"] == "b"] == [(0, 1.0), (1, 0.5), (2, 0.25)]
    assert "density 0.25" in still(figure.spec, "s")


def test_a_still_is_drawn_of_the_last_frame() -> None:
    svg = still(movie(FRAMES, labels=["a", "b", "c"], groups=["x", "x", "y"], y="loss", title="Turning").spec, "s")
    assert svg.startswith("<svg") and ">c<" in svg
