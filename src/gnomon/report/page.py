"""A report as one HTML file that opens anywhere: no network, no server, on a phone, in light and in dark.

Pictures are there before any script runs, and become interactive where scripts may run. Everything a model or a data
set wrote is escaped, and the page's own policy forbids requests and scripts other than its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from gnomon.core.record import Row
from gnomon.report.base import Estimate, Figure, Report, Table, View
from gnomon.report.marks import domain, mark
from gnomon.report.provenance import Provenance
from gnomon.report.vega import THEME, bundle, still
from gnomon.report.words import interval, number, support, value, why

if TYPE_CHECKING:
    import jinja2

__all__ = ["frame", "page"]

MAX_ROWS = 25
MAX_EVIDENCE_CHARS = 4000


def page(report: Report, origin: Provenance | None = None, rows: Sequence[Row] = ()) -> str:
    """`report` as a self-contained HTML document.

    Args:
        origin: where the report comes from; shown at the foot.
        rows: the run's rows; the page shows those in error first, `MAX_ROWS` at most.
    """
    from markupsafe import Markup

    origin = origin or Provenance()
    view = _view(report, origin) | _rows(rows)
    scripts = [bundle(), _own("page.js")] if report.figures else []
    scripts += [_own(f"{name}.js") for name in dict.fromkeys(v.script for v in report.views)]
    view["hashes"] = " ".join(map(_hash, scripts)) or "'none'"
    # Of this package: the one text on the page that is not escaped.
    view["scripts"] = [Markup(script) for script in scripts]
    css = Markup(_own("page.css"))
    return _templates().get_template("page.html").render(view=view, origin=origin, css=css).lstrip()


def frame(report: Report) -> str:
    """`report` as an HTML fragment with still pictures, for notebooks."""
    from markupsafe import Markup

    text = (
        "<style>{{ css }}</style><div class='gnomon'><main><h1>{{ view.title }}</h1>{{ parts.body(view) }}</main></div>"
    )
    template = _templates().from_string("{% import 'parts.html' as parts %}" + text)
    return template.render(view=_view(report, Provenance()), css=Markup(_own("page.css")))


@dataclass(frozen=True)
class _Shown:
    """An estimate as the templates write it."""

    metric: str
    group: str
    value: str
    interval: str
    support: str
    readout: str
    note: str
    outside: bool
    mark: str


def _view(report: Report, origin: Provenance) -> dict[str, Any]:
    from markupsafe import Markup

    shown = _shown(report.estimates)
    sections = _sections(report)
    contents = {"findings": "Findings"} if report.findings else {}
    contents |= {s["id"]: s["name"] for s in sections} | ({"estimates": "Every estimate"} if shown else {})
    return {
        "title": report.title,
        "summary": report.summary,
        "notes": report.notes,
        "byline": [part for part in (origin.model, origin.run) if part],
        "headline": [s for s, e in zip(shown, report.estimates, strict=True) if e.headline],
        "estimates": shown,
        "findings": report.findings,
        "sections": sections,
        "contents": contents,
        "specs": {f"figure-{i}": Markup(_script_json(f.spec)) for i, f in enumerate(report.figures)},
        "theme": Markup(_script_json(THEME)),
        "looks": {f"view-{i}-data": Markup(_script_json(v.data)) for i, v in enumerate(report.views)},
        "config": json.dumps(dict(origin.config), indent=2, ensure_ascii=False, default=str),
    }


def _shown(estimates: Sequence[Estimate]) -> list[_Shown]:
    from markupsafe import Markup

    by_metric: dict[str, list[Estimate]] = {}
    for e in estimates:
        by_metric.setdefault(e.metric, []).append(e)
    spans = {metric: domain(some) for metric, some in by_metric.items()}
    return [
        _Shown(
            e.metric, e.group, value(e), interval(e), support(e), e.readout, why(e), e.outside,
            Markup(mark(e, spans[e.metric])),
        )
        for e in estimates
    ]  # fmt: skip


def _sections(report: Report) -> list[dict[str, Any]]:
    parts: list[View | Figure | Table] = [*report.views, *report.figures, *report.tables]
    names = list(dict.fromkeys(part.section for part in parts))
    views = [(v.section, {"id": f"view-{i}", "of": v}) for i, v in enumerate(report.views)]
    figures = [(f.section, _figure(i, f)) for i, f in enumerate(report.figures)]
    return [
        {
            "name": name or "Results",
            "id": "section-" + (re.sub(r"\W+", "-", name.lower()).strip("-") or "results"),
            "views": [v for section, v in views if section == name],
            "figures": [f for section, f in figures if section == name],
            "tables": [_table(t) for t in report.tables if t.section == name],
        }
        for name in names
    ]


def _figure(i: int, figure: Figure) -> dict[str, Any]:
    from markupsafe import Markup

    return {
        "id": f"figure-{i}",
        "title": figure.title,
        "caption": figure.caption,
        "still": Markup(still(figure.spec, f"still-{i}")),
        "points": _points(figure.spec),
    }


def _points(node: Any) -> int:
    """Data rows anywhere in a specification."""
    if isinstance(node, Mapping):
        own = len(node["values"]) if isinstance(node.get("values"), list) else 0
        return own + sum(_points(child) for key, child in node.items() if key != "values")
    if isinstance(node, list):
        return len(node) if node and isinstance(node[0], Mapping) and "mark" not in node[0] else 0
    return 0


def _table(table: Table) -> dict[str, Any]:
    columns = [[row[i] for row in table.rows] for i in range(len(table.columns))]
    return {
        "title": table.title,
        "caption": table.caption,
        "columns": table.columns,
        "numeric": [all(c is None or isinstance(c, int | float) for c in column) for column in columns],
        "rows": [[cell if isinstance(cell, str) else number(cell) for cell in row] for row in table.rows],
    }


def _rows(rows: Sequence[Row]) -> dict[str, Any]:
    first = sorted(rows, key=lambda r: r.error is None)[:MAX_ROWS]
    shown = [{"key": r.key, "error": r.error, "evidence": _evidence(r)} for r in first]
    said = f"The first {len(first)} of {len(rows):,} rows, those in error before the others."
    return {"rows": shown, "rows_said": said if len(first) < len(rows) else f"All {len(rows)} rows."}


def _evidence(row: Row) -> str:
    text = json.dumps(dict(row.evidence), indent=2, ensure_ascii=False, default=str)
    if len(text) <= MAX_EVIDENCE_CHARS:
        return text
    return f"{text[:MAX_EVIDENCE_CHARS]}\n… {len(text) - MAX_EVIDENCE_CHARS:,} more characters in the run"


def _script_json(data: Mapping[str, Any]) -> str:
    # "<" alone can end or comment out a script element; its escape means the same inside a JSON string.
    return json.dumps(data).replace("<", "\\u003c")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def _own(name: str) -> str:
    return files("gnomon.report").joinpath(name).read_text(encoding="utf-8")


@cache
def _templates() -> jinja2.Environment:
    import jinja2

    loader = jinja2.PackageLoader("gnomon.report", "")
    return jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
