"""What is drawn where several models are read together: which estimates against size, and calibration side by side.

Kadavath et al. 2022: figs. 1 and 2 (calibration by size), 3 (errors and accuracy), 10 to 12 (P(True)), 13 (P(IK)) and
20 (against baselines).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from gnomon.assay.self_knowledge.asking import series
from gnomon.assay.self_knowledge.scores import TOO_FEW, choice_curve, predictions
from gnomon.assay.self_knowledge.verdicts import columns
from gnomon.core.record import Row
from gnomon.report.base import Estimate, Figure
from gnomon.report.figures import Point, curves
from gnomon.stats.calibration import reliability_curve

__all__ = ["overlay", "pictures"]

SECTION = "Calibration by size"
_CHOICE, _TRUE_FALSE, _P_TRUE, _P_IK = (
    r"(lettered|listed) \d+-shot",
    r"true/false \d+-shot",
    r"P\(True\) .+",
    r"P\(IK\)",
)


class _Picture(NamedTuple):
    """A title, and the metrics and groups (regular expressions, matched whole) that are drawn under it."""

    title: str
    metric: str
    group: str


_PICTURES = (
    _Picture("accuracy", "accuracy", _CHOICE),
    _Picture("ECE", "ECE", _CHOICE),
    _Picture("RMS calibration error", "RMS calibration error", _CHOICE),
    _Picture("calibration slope", "calibration slope", _CHOICE),
    _Picture("accuracy with none of the above", "accuracy", "standard|none of the above"),
    _Picture("AUROC of true or false", "AUROC", _TRUE_FALSE),
    _Picture("Brier score of true or false", "Brier", _TRUE_FALSE),
    _Picture("temperature that fits best", "temperature", ""),
    _Picture("AUROC of P(True)", "AUROC", _P_TRUE),
    _Picture("Brier score of P(True)", "Brier", _P_TRUE),
    _Picture("Brier skill of P(True)", "Brier skill", _P_TRUE),
    _Picture(
        "accuracy of all answers, and where P(True) > 0.5",
        r"base accuracy|accuracy where P\(True\) > 0\.5",
        rf"sampled answers|{_P_TRUE}",
    ),
    _Picture("AUROC gained by comparison samples", "AUROC gained by comparison samples", _P_TRUE),
    _Picture("AUROC of P(IK) and of baselines", "AUROC", rf"{_P_IK}|.+, before answering"),
    _Picture("Brier score of P(IK)", "Brier", _P_IK),
    _Picture("AUROC for a right greedy answer", "AUROC for a right greedy answer", ".*"),
    _Picture("P(IK) gained", "P(IK) gained", ".*"),
)


def pictures(estimates: Sequence[Estimate]) -> dict[str, list[Estimate]]:
    """Title to the estimates drawn under it against the size of the model, a series each."""
    found = {
        p.title: [e for e in estimates if re.fullmatch(p.metric, e.metric) and re.fullmatch(p.group, e.group)]
        for p in _PICTURES
    }
    return {title: some for title, some in found.items() if some}


def overlay(by_model: Mapping[str, Sequence[Row]]) -> list[Figure]:
    """One calibration chart for each way of asking, with a curve a model; none below 50 rows."""
    figures = []
    for title, read in _WAYS.items():
        by_way: dict[str, dict[str, list[Row]]] = {}
        for model, rows in by_model.items():
            for name, row in (found for r in rows if (found := read(r))):
                by_way.setdefault(name, {}).setdefault(model, []).append(row)
        figures += [_curves(f"{title}, {name}", some) for name, some in by_way.items() if _enough(some)]
    return figures


def _choice(row: Row) -> tuple[str, Row] | None:
    return (series(row.evidence), row) if row.evidence["part"] == "calibration" else None


def _true_false(row: Row) -> tuple[str, Row] | None:
    return (series(row.evidence), row) if row.evidence["part"] == "truefalse" else None


def _p_true(row: Row) -> tuple[str, Row] | None:
    """The first condition's verdict."""
    if row.evidence["part"] != "ptrue":
        return None
    name, verdict = next(iter(row.evidence["verdicts"].items()))
    return name, Row(key=row.key, cluster=row.cluster, evidence={**verdict, "right": row.evidence["right"]})


_WAYS: Mapping[str, Callable[[Row], tuple[str, Row] | None]] = {
    "Multiple choice": _choice,
    "True or false": _true_false,
    "P(True)": _p_true,
}


def _enough(by_model: Mapping[str, Sequence[Row]]) -> bool:
    return min(map(len, by_model.values())) >= TOO_FEW


def _curves(title: str, by_model: Mapping[str, Sequence[Row]]) -> Figure:
    points = []
    for model, rows in by_model.items():
        verdicts = "right" in rows[0].evidence
        curve = reliability_curve(*columns(rows)) if verdicts else choice_curve(predictions(rows))
        points += [Point(b.mean, b.frequency.value or 0.0, b.frequency.low, b.frequency.high, model) for b in curve]
    calibrated = [Point(x, x, None, None, "calibrated") for x in (0.0, 1.0)]
    caption = "Ten bins of equal mass a model; bands are 95 % intervals by cluster. Below the diagonal: over-confident."
    return curves(
        [*points, *calibrated],
        x="stated probability",
        y="observed rate",
        title=f"Calibration: {title}",
        caption=caption,
        section=SECTION,
    )
