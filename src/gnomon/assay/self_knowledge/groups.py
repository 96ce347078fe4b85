"""Results split by group of items; in Brook, by how often a fact was stated in training."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gnomon.assay.self_knowledge.scores import choice_estimates, predictions
from gnomon.core.record import Row
from gnomon.report.base import Estimate, Figure, Table
from gnomon.report.figures import Dot, Point, curves, scatter
from gnomon.stats.intervals import Interval, bounded, clustered_mean, proportion

if TYPE_CHECKING:
    from gnomon.assay.self_knowledge import SelfKnowledge

__all__ = ["exposure_figure", "group_table", "grouped", "share", "task_estimates", "task_figure"]

COLUMNS = ("series", "group", "items", "accuracy", "low", "high", "mean confidence", "low ", "high ")


def grouped(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by group, numbers in group names in their natural order."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(str(row.evidence.get("group", "")), []).append(row)
    return dict(sorted(groups.items(), key=lambda pair: _natural(pair[0])))


def share(values: Sequence[float], clusters: Sequence[str]) -> Interval:
    """The mean of shares, with Wilson's interval near 0 and 1 where every value is 0 or 1."""
    whole = all(v in (0.0, 1.0) for v in values)
    return bounded((proportion if whole else clustered_mean)(values, clusters))


def group_table(series: Sequence[tuple[str, Sequence[Row]]], section: str) -> list[Table]:
    """Accuracy and mean confidence of each group with their intervals; no table where there is one group only."""
    lines: list[list[Any]] = []
    for name, rows in series:
        groups = grouped(rows)
        for group, found in groups.items() if len(groups) > 1 else ():
            stated = predictions(found)
            right = share(stated.right.tolist(), stated.clusters)
            top = share(stated.top.tolist(), stated.clusters)
            lines.append([name, group, stated.n, right.value, right.low, right.high, top.value, top.low, top.high])
    return [Table(title="By group of items", columns=COLUMNS, rows=lines, section=section)] if lines else []


def exposure_figure(by_series: Mapping[str, Sequence[Row]], section: str) -> list[Figure]:
    """Accuracy and confidence against the number of times a fact was stated, where that is planted."""
    points = []
    for name, rows in by_series.items():
        counted = [r for r in rows if r.evidence.get("count")]
        for count in sorted({int(r.evidence["count"]) for r in counted}):
            stated = predictions([r for r in counted if r.evidence["count"] == count])
            for what, values in (("accuracy", stated.right), ("confidence", stated.top)):
                mean = share(values.tolist(), stated.clusters)
                points.append(Point(float(count), mean.value or 0.0, mean.low, mean.high, f"{name}, {what}"))
    if not points:
        return []
    caption = (
        "Facts that training stated 1 to 256 times and never asked about. What is known should rise with exposure."
    )
    return [
        curves(
            points,
            x="statements of the fact in training",
            y="accuracy and mean confidence",
            log_x=True,
            title="Knowledge and confidence by exposure",
            caption=caption,
            section=section,
        )
    ]


def task_estimates(cfg: SelfKnowledge, name: str, rows: Sequence[Row]) -> list[Estimate]:
    """The estimates of each source, where there are several."""
    sources: dict[str, list[Row]] = {}
    for row in rows:
        sources.setdefault(str(row.evidence["source"]), []).append(row)
    if len(sources) < 2:
        return []
    return [e for task, found in sources.items() for e in choice_estimates(cfg, predictions(found), f"{name}, {task}")]


def task_figure(estimates: Sequence[Estimate], section: str) -> list[Figure]:
    """Calibration error of each task against its accuracy; the paper sees no correlation."""
    value = {(e.metric, e.group): e.value for e in estimates}
    dots = [
        Dot(accuracy, error, group, group)
        for (metric, group), accuracy in value.items()
        if metric == "accuracy" and accuracy is not None and (error := value["ECE", group]) is not None
    ]
    if not dots:
        return []
    return [scatter(dots, x="accuracy", y="ECE", title="Calibration error against accuracy, by task", section=section)]


def _natural(name: str) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
