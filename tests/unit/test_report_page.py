"""The page: one file, no requests, everything foreign escaped, the same bytes for the same report."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gnomon.core.record import Row
from gnomon.report import figures as f
from gnomon.report import page as page_module
from gnomon.report.base import Estimate, Finding, Report, Table
from gnomon.report.marks import domain, mark
from gnomon.report.page import frame, page
from gnomon.report.provenance import Provenance
from gnomon.report.vega import sized

NASTY = "</script><script>alert(1)</script><!-- & \" ' <img src=x onerror=alert(1)> {{ 7 * 7 }}"
REPORT = Report(
    title=f"t {NASTY}",
    summary=f"s {NASTY}",
    notes=[f"n {NASTY}"],
    estimates=[
        Estimate(metric=f"m {NASTY}", value=0.5, low=0.4, high=0.6, n=10, clusters=5, group=NASTY, headline=True),
        Estimate(metric="leak", value=0.5, low=0.4, high=0.6, n=10, clusters=10, expected=(0, 0.1)),
        Estimate(metric="none", value=None, reason=NASTY),
    ],
    findings=[Finding(key="k", title=NASTY, severity="high", reproduce=NASTY, detail=NASTY)],
    tables=[Table(title=NASTY, columns=[NASTY, "n"], rows=[[NASTY, 1]], caption=NASTY, section=f"x {NASTY}")],
    figures=[
        f.scatter([f.Dot(1, 2, NASTY, NASTY)], x=NASTY, y="y", title=NASTY, caption=NASTY, section="pictures"),
        f.heatmap(["r"], ["c", "d"], [[1.0, 2.0]], title="h", section="pictures"),
    ],
)
ORIGIN = Provenance(run="r", verb="assay", name="n", model=NASTY, cast={"subject": NASTY}, config={"a": NASTY}, seed=0)
ROWS = [Row(key=f"k{i}", cluster="c", evidence={"text": NASTY}, error=NASTY if i == 30 else None) for i in range(40)]


class _Reader(HTMLParser):
    """Collects elements with their attributes, and the contents of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.texts: list[str] = []
        self._script: dict[str, str | None] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._script = dict(attrs) if tag == "script" else None
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self._script is not None and self.scripts:
            attrs, before = self.scripts[-1]
            self.scripts[-1] = (attrs, before + data)
        else:
            self.texts.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._script = None


@pytest.fixture(scope="module")
def text() -> str:
    return page(REPORT, ORIGIN, ROWS)


@pytest.fixture(scope="module")
def read(text: str) -> _Reader:
    return _Reader(text)


def test_the_same_report_gives_the_same_page(text: str) -> None:
    assert page(REPORT, ORIGIN, ROWS) == text


def test_nothing_foreign_becomes_an_element(read: _Reader) -> None:
    assert not [attrs for tag, attrs in read.elements if tag == "img"]
    assert not [name for _, attrs in read.elements for name in attrs if name.startswith("on")]
    kinds = [attrs.get("type") for attrs, _ in read.scripts]
    assert kinds == ["application/json"] * 3 + ["module"] * 2
    assert not any("49" in t and "{{" not in t for t in read.texts if "s </script>" in t)
    assert f"s {NASTY}" in "".join(read.texts)


def test_nothing_is_asked_of_a_network(read: _Reader) -> None:
    for tag, attrs in read.elements:
        for name in ("src", "srcset", "href", "action", "data", "poster"):
            target = attrs.get(name) or ""
            assert target.startswith(("data:", "#")) or not target, (tag, name, target)
    (policy,) = [a["content"] for t, a in read.elements if t == "meta" and a.get("http-equiv")]
    assert policy is not None and policy.startswith("default-src 'none'; ") and "unsafe-eval" not in policy


def test_the_policy_allows_the_page_its_own_scripts_and_no_other(text: str, read: _Reader) -> None:
    (policy,) = [a["content"] or "" for t, a in read.elements if t == "meta" and a.get("http-equiv")]
    allowed = re.findall(r"'sha256-([^']+)'", policy)
    run = [body for attrs, body in read.scripts if attrs.get("type") == "module"]
    assert allowed == [base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in run]
    assert "'unsafe-inline'" not in policy.partition("script-src")[2]
    assert "\r" not in text


def test_specifications_survive_their_escaping(read: _Reader) -> None:
    specs = [json.loads(body) for attrs, body in read.scripts if attrs.get("type") == "application/json"]
    assert specs[1:] == [json.loads(json.dumps(figure.spec)) for figure in REPORT.figures]


def test_every_figure_is_there_before_any_script_runs(text: str) -> None:
    places = re.findall(r'<div class="plot"[^>]*data-spec="([^"]+)"[^>]*><svg', text)
    assert places == ["figure-0", "figure-1"]
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_rows_in_error_come_first_and_most_stay_in_the_run(text: str) -> None:
    keys = re.findall(r'<span class="key">(k\d+)', text)
    assert keys[:3] == ["k30", "k0", "k1"] and len(keys) == page_module.MAX_ROWS
    assert "The first 25 of 40 rows" in text


def test_long_evidence_is_cut_and_says_so() -> None:
    text = page(Report(title="t"), rows=[Row(key="k", cluster="c", evidence={"t": "x" * 9000})])
    assert "more characters in the run" in text and len(text) < 30_000


def test_a_page_without_figures_carries_no_script() -> None:
    text = page(Report(title="t", estimates=REPORT.estimates))
    assert "<script" not in text and "script-src 'none'" in html.unescape(text)
    assert len(text) < 30_000


def test_values_outside_their_range_are_marked(text: str) -> None:
    assert re.search(r'<tr class="outside">\s*<td class="text">leak</td>', text)


def test_a_notebook_shows_the_report_without_scripts() -> None:
    shown = REPORT._repr_html_()
    assert shown == frame(REPORT) and "<script" not in shown and shown.count("<svg") >= 4


def test_a_figure_with_many_points_is_sent_as_pixels() -> None:
    dots = [f.Dot(i % 97, i % 89, label=f"item {i}") for i in range(3000)]
    text = page(Report(title="t", figures=[f.scatter(dots, x="x", y="y", title="t")]))
    assert 'data-points="3000"' in text and '<img alt="" src="data:image/png;base64,' in text


@pytest.mark.parametrize(
    ("ends", "axis"),
    [((0.1, 0.9), (0, 1)), ((-0.5, 0.5), (-1, 1)), ((10.0, 110.0), (2.0, 118.0)), ((5.0, 5.0), (4.0, 6.0))],
)
def test_marks_share_an_axis(ends: tuple[float, float], axis: tuple[float, float]) -> None:
    e = Estimate(metric="m", value=ends[0], low=ends[0], high=ends[1])
    assert domain([e]) == pytest.approx(axis)
    at = float(re.findall(r'cx="([\d.]+)%"', mark(e, domain([e])))[0])
    assert at == pytest.approx(100 * (ends[0] - axis[0]) / (axis[1] - axis[0]), abs=0.1)


def test_marks_of_nothing() -> None:
    assert mark(Estimate(metric="m", value=None), (0, 1)) == "" and domain([]) == (0.0, 1.0)
    assert 'class="open"' in mark(Estimate(metric="m", value=0.3, null=0.1), (0, 1))


def test_sizes() -> None:
    assert sized({"mark": "bar"}, 360)["width"] == 360
    stacked = sized({"hconcat": [{"mark": "bar"}, {"mark": "bar"}]}, 360)
    assert [v["width"] for v in stacked["vconcat"]] == [296, 296]
    side = sized({"hconcat": [{"mark": "bar"}, {"mark": "bar"}]}, 800)
    assert [v["width"] for v in side["hconcat"]] == [336, 336]
    spec = {"facet": {}, "spec": {}}
    assert (
        sized(spec, 360)["columns"] == 1
        and sized(spec, 800)["spec"]["width"] == 336
        and spec == {"facet": {}, "spec": {}}
    )


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="needs a Chromium")
@pytest.mark.parametrize("width", [360, 1100])
def test_a_browser_draws_every_figure_and_scrolls_in_no_direction_but_down(
    text: str, tmp_path: Path, width: int
) -> None:
    frame_file, file = tmp_path / "frame.html", tmp_path / "page.html"
    probe = "<script>/* the page's policy must stop this */document.title = 'run'</script>"
    file.write_text(text.replace("</main>", f"{probe}</main>"), encoding="utf-8")
    wait = (
        "let left = 600; const look = () => { const d = document.querySelector('iframe').contentDocument;"
        "const drawn = d.querySelectorAll('.vega-embed svg.marks').length;"
        "if (drawn < 2 && left--) return setTimeout(look, 500);"
        "document.body.append(JSON.stringify({drawn, wide: d.documentElement.scrollWidth, ran: d.title === 'run'})) };"
        "onload = look"
    )
    frame_file.write_text(
        f'<iframe src="page.html" style="width:{width}px;height:3000px"></iframe><script>{wait}</script>'
    )
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--allow-file-access-from-files",
        "--virtual-time-budget=400000",
    ]
    told = subprocess.run(
        ["chromium", *flags, "--window-size=1200,3200", "--dump-dom", frame_file.as_uri()],
        capture_output=True,
        text=True,
    )
    seen = json.loads(re.findall(r'\{"drawn.*?\}', html.unescape(told.stdout))[0])
    assert seen["drawn"] == 2 and seen["wide"] <= width and not seen["ran"]
