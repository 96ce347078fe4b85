"""Reports in words, as JSON and in the terminal."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace

import pytest
from _snapshots import check
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gnomon.report.base import Estimate, Finding, Report, Table
from gnomon.report.json import as_dict, dumps
from gnomon.report.provenance import Provenance
from gnomon.report.terminal import show
from gnomon.report.words import interval, number, support, value, why

REPORT = Report(
    title="What does it know?",
    summary="It answers 71 % of questions.",
    notes=["12 of 400 items are in error"],
    estimates=[
        Estimate(
            metric="accuracy", value=0.7123, low=0.651, high=0.772, n=400, clusters=40, readout="exact", headline=True
        ),
        Estimate(
            metric="ece", value=0.041, null=0.021, n=400, clusters=400, reason="plug-in ECE has no valid interval"
        ),
        Estimate(metric="shift", value=0.6, low=-0.2, high=1.4, n=80, clusters=80, group="<b>kin</b>"),
        Estimate(metric="leak rate", value=0.2, low=0.15, high=0.26, n=300, clusters=300, expected=(0.0, 0.1)),
        Estimate(metric="auroc", value=None, n=3, clusters=1, reason="one class only"),
    ],
    findings=[Finding(key="k", title="A title [bold]", severity="high", reproduce="gnomon x --y", detail="why")],
    tables=[
        Table(title="Parts", columns=["part", "items", "rate"], rows=[["a", 1200, 0.5], ["b", 3, None]], caption="c")
    ],
)
ORIGIN = Provenance(
    run="assay-x-1", verb="assay", name="x", model="m", cast={"subject": "m@1"}, timing={"seconds": 1.0}
)


def test_the_terminal_shows_everything_headline_first() -> None:
    stream = io.StringIO()
    show(REPORT, Console(file=stream, width=100, highlight=False))
    check("report-terminal", stream.getvalue())


def test_a_narrow_terminal_breaks_no_word_and_no_id() -> None:
    stream = io.StringIO()
    told = Estimate(metric="sampling error", group="exception", value=0.5, n=25, reason="standard error over problems")
    runs = Table(title="", columns=["id", "name"], rows=[["932526e6", "a name that is longer than the line " * 3]])
    report = Report(title="t", estimates=[told, replace(told, reason="another one")], tables=[runs])
    show(report, Console(file=stream, width=60, highlight=False))
    words = stream.getvalue().split()
    assert {"sampling", "exception", "standard", "problems", "another", "932526e6"} <= set(words)


def test_json_follows_the_schema() -> None:
    check("report-json", dumps(as_dict(REPORT, ORIGIN)))


def test_json_never_holds_what_json_cannot() -> None:
    estimates = [
        Estimate(metric="a", value=math.nan, low=0.0, high=1.0),
        Estimate(metric="b", value=1.0, low=-math.inf, high=2.0, reason="flat"),
        Estimate(metric="c", value=1.0),
    ]
    told = json.loads(dumps(as_dict(Report(title="t", estimates=estimates), ORIGIN)))["estimates"]
    assert [(e["value"], e["low"], e["high"], e["reason"]) for e in told] == [
        (None, 0.0, 1.0, "not finite"),
        (1.0, None, 2.0, "flat"),
        (1.0, None, None, "not stated"),
    ]
    with pytest.raises(ValueError):
        dumps({"x": math.nan})


@given(
    st.builds(
        Estimate,
        metric=st.text(max_size=5),
        value=st.none() | st.floats(),
        low=st.none() | st.floats(),
        high=st.none() | st.floats(),
        null=st.none() | st.floats(),
        n=st.integers(0, 10**6),
        clusters=st.integers(0, 10**6),
    )
)
def test_every_estimate_can_be_written(e: Estimate) -> None:
    (told,) = json.loads(dumps(as_dict(Report(title="t", estimates=[e]), ORIGIN)))["estimates"]
    gap = None in (told["value"], told["low"], told["high"])
    assert not gap or "reason" in told or "null" in told
    for text in (value(e), interval(e), support(e), why(e)):
        assert "nan" not in text and "inf" not in text


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (0.71234, "0.712"),
        (0, "0"),
        (0.0, "0.000"),
        (1.0, "1.00"),
        (12.345, "12.3"),
        (123.45, "123"),
        (12345.6, "12,346"),
        (1234, "1,234"),
        (1e-5, "1.0e-05"),
        (-0.00001, "-1.0e-05"),
        (math.inf, "–"),
        (None, "–"),
    ],
)
def test_numbers_in_words(x: float | None, text: str) -> None:
    assert number(x) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(0.651, 0.772, "0.71 [0.65, 0.77]"), (0.7, 0.7201, "0.712 [0.700, 0.720]"), (-10.0, 40.0, "1 [-10, 40]")],
)
def test_decimals_follow_the_width_of_the_interval(low: float, high: float, text: str) -> None:
    e = Estimate(metric="m", value=0.7123, low=low, high=high)
    assert f"{value(e)} {interval(e)}" == text


def test_outside_needs_a_value_and_a_range() -> None:
    inside = Estimate(metric="m", value=0.1, expected=(0.1, 0.2))
    outside = Estimate(metric="m", value=0.0999, expected=(0.1, 0.2))
    unknown = Estimate(metric="m", value=None, expected=(0.1, 0.2))
    assert [e.outside for e in (inside, outside, unknown, Estimate(metric="m", value=9.0))] == [
        False,
        True,
        False,
        False,
    ]
    assert Report(title="t", estimates=[inside]).exit_code == 0
    assert Report(title="t", estimates=[inside, outside]).exit_code == 1
    assert Report(title="t", findings=REPORT.findings).exit_code == 1
    assert why(outside) == "outside [0.100, 0.200]"
