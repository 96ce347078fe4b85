"""Every builder yields a specification that the Vega-Lite compiler accepts and that holds its own data."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from gnomon.report import figures as f
from gnomon.report.base import Estimate, Figure

BINS = [f.ReliabilityBin(0.1, 0.2, 0.1, 0.35, 20), f.ReliabilityBin(0.8, 0.6, 0.4, 0.8, 12)]
ESTIMATES = [
    Estimate(metric="accuracy", value=0.7, low=0.6, high=0.8, n=90, group="a"),
    Estimate(metric="accuracy", value=None, reason="no items", group="b"),
    Estimate(metric="auroc", value=0.6, reason="one class"),
]
ALL = {
    "reliability": f.reliability(BINS, title="t"),
    "curves": f.curves(
        [f.Point(1, 2, 1, 3, "a"), f.Point(10, 4, None, None, "b")], x="x", y="y", title="t", log_x=True, reference=0.5
    ),
    "histogram": f.histogram({"right": [0.1, 0.2, 0.9], "wrong": [0.4]}, x="p", title="t", domain=(0, 1)),
    "forest": f.forest(ESTIMATES, x="value", title="t", reference=0.0),
    "heatmap": f.heatmap(["r1", "r2"], ["c1", "c2"], [[1.0, -2.0], [None, 0.0]], title="t", diverging=True),
    "scatter": f.scatter([f.Dot(1, 2, "a", "one"), f.Dot(2, 1, "b")], x="x", y="y", title="t", diagonal=True),
    "learning": f.learning({"loss": [(0, 3.0), (1, 2.0)], "norm": [(0, 1.0), (1, float("nan"))]}, title="t"),
}


@pytest.mark.parametrize("name", ALL)
def test_specs_compile_and_hold_their_data(name: str) -> None:
    import vl_convert

    text = json.dumps(ALL[name].spec, allow_nan=False)
    assert '"url"' not in text
    svg = vl_convert.vegalite_to_svg(json.loads(text), vl_version="6.4")
    assert svg.startswith("<svg") and "mark-" in svg


@pytest.mark.parametrize("name", ALL)
def test_the_same_data_gives_the_same_specification(name: str) -> None:
    assert isinstance(ALL[name], Figure) and "config" not in ALL[name].spec
    assert f.reliability(BINS, title="t").spec == ALL["reliability"].spec


def test_pictures_that_most_reports_have_load_no_altair() -> None:
    code = (
        "import sys; from gnomon.report import figures as f; f.curves([f.Point(1, 2)], x='x', y='y', title='t'); "
        "f.histogram({'a': [1.0]}, x='x', title='t'); f.forest([], x='x', title='t'); "
        "f.reliability([], title='t'); f.scatter([], x='x', y='y', title='t'); f.learning({}, title='t'); "
        "sys.exit('altair' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _values(figure: Figure) -> list[list[dict[str, object]]]:
    found: list[list[dict[str, object]]] = list(figure.spec.get("datasets", {}).values())

    def walk(node: object) -> None:
        if isinstance(node, dict):
            if "values" in node and isinstance(node["values"], list):
                found.append(node["values"])
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk({k: v for k, v in figure.spec.items() if k != "datasets"})
    return found


def test_histogram_shares_sum_to_one_a_class() -> None:
    rows = [r for rows in _values(ALL["histogram"]) for r in rows]
    for series, n in (("right", 3), ("wrong", 1)):
        mine = [r for r in rows if r["series"] == series]
        assert sum(r["share"] for r in mine) == pytest.approx(1)  # type: ignore[misc]  # rows are loose JSON
        assert sum(r["count"] for r in mine) == n  # type: ignore[misc]  # rows are loose JSON


def test_histogram_puts_the_top_of_the_domain_in_the_last_bin() -> None:
    figure = f.histogram({"a": [1.0]}, x="p", title="t", bins=4, domain=(0, 1))
    (row,) = _values(figure)[0]
    assert (row["start"], row["end"]) == (0.75, 1.0)


def test_empty_bins_and_undrawable_points_are_left_out() -> None:
    empty = f.reliability([*BINS, f.ReliabilityBin(0.5, 0, 0, 1, 0)], title="t")
    assert not any(r.get("n") == 0 for rows in _values(empty) for r in rows)
    logged = f.curves([f.Point(0, 1), f.Point(1, 1), f.Point(2, float("inf"))], x="x", y="y", title="t", log_x=True)
    assert [r["x"] for rows in _values(logged) for r in rows] == [1]


def test_forest_keeps_the_order_and_leaves_out_undefined_values() -> None:
    rows = [r for rows in _values(ALL["forest"]) for r in rows if r]
    assert list(dict.fromkeys(r["name"] for r in rows)) == ["accuracy [a]", "auroc"]


def test_heatmap_wants_a_full_matrix() -> None:
    with pytest.raises(ValueError):
        f.heatmap(["r"], ["c1", "c2"], [[1.0]], title="t")


def test_no_values_still_draw() -> None:
    import vl_convert

    for figure in (f.histogram({"a": []}, x="p", title="t"), f.scatter([], x="x", y="y", title="t", diagonal=True)):
        assert vl_convert.vegalite_to_svg(dict(figure.spec), vl_version="6.4").startswith("<svg")


@pytest.mark.parametrize(("as_given", "turns_back"), [(True, True), (False, False)])
def test_a_way_that_turns_back_is_joined_as_it_was_gone(as_given: bool, turns_back: bool) -> None:
    import vl_convert

    way = [f.Point(x, y, y - 1, y + 1) for x, y in ((0, 0), (3, 1), (2, 2))]
    drawn = f.curves(way, x="distance", y="gain", title="t", as_given=as_given)
    svg = vl_convert.vegalite_to_svg(drawn.spec, vl_version="6.4")
    [line] = re.findall(r'aria-roledescription="line mark"[^>]* d="([^"]+)"', svg)
    first, second, third = (float(x) for x in re.findall(r"[ML](-?[\d.]+),", line))
    assert first < second and (third < second) == turns_back
