"""From rows of P(True) to estimates and charts; true/false and self-evaluation share them.

Rows carry `p` = [P(True), P(False)] and `right`, whether the judged answer is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gnomon.assay.self_knowledge.scores import TOO_FEW, against_null, area
from gnomon.core.record import Row
from gnomon.report.base import Estimate, Figure
from gnomon.report.figures import ReliabilityBin, histogram, reliability
from gnomon.stats.calibration import calibration_line, calibration_test, reliability_curve
from gnomon.stats.intervals import bounded, clustered_mean
from gnomon.stats.scoring import brier_skill

if TYPE_CHECKING:
    from gnomon.assay.self_knowledge import SelfKnowledge

__all__ = ["columns", "verdict_estimates", "verdict_figures"]

Vector = NDArray[np.float64]


def columns(rows: Sequence[Row]) -> tuple[Vector, Vector, list[str]]:
    """P(True) and whether the judged answer is right, [n] each, and clusters."""
    p = np.array([r.evidence["p"][0] for r in rows], dtype=np.float64)
    return p, np.array([r.evidence["right"] for r in rows], dtype=np.float64), [r.cluster for r in rows]


def verdict_estimates(cfg: SelfKnowledge, rows: Sequence[Row], group: str, *, headline: bool = False) -> list[Estimate]:
    """Accuracy of the verdict, calibration, Brier, AUROC and mean P(True) of right and of wrong answers."""
    p, y, clusters = columns(rows)
    readout = "+".join(sorted({str(r.evidence["readout"]) for r in rows}))
    common = {"group": group, "readout": readout}
    accuracy = np.where(p == 0.5, 0.5, (p > 0.5) == (y == 1)).astype(float)
    test = calibration_test(p, y, draws=min(cfg.resamples, 1000))
    line = calibration_line(p, y, clusters)
    count = {"n": len(p), "clusters": len(set(clusters)), **common}
    return [
        Estimate.of("AUROC", area(cfg, p, y, clusters), headline=headline, **common),
        Estimate.of("accuracy", clustered_mean(accuracy, clusters), **common),
        against_null("ECE", test.ece, **count),
        against_null("RMS calibration error", test.rms, **count),
        Estimate.of("calibration slope", line.slope, **common),
        Estimate.of("calibration intercept", line.intercept, **common),
        Estimate.of("Brier", clustered_mean((p - y) ** 2, clusters), **common),
        Estimate.of("Brier skill", brier_skill(p, y, clusters, resamples=cfg.resamples), **common),
        *_means(rows, common),
    ]


def verdict_figures(rows: Sequence[Row], title: str, section: str) -> list[Figure]:
    """Histograms of P(True) for right and wrong answers, and its reliability; none below 50 rows."""
    if len(rows) < TOO_FEW:
        return []
    p, y, clusters = columns(rows)
    shares = histogram(
        {"right": p[y == 1].tolist(), "wrong": p[y == 0].tolist()},
        x="P(True)",
        title=f"P(True): {title}",
        domain=(0, 1),
        section=section,
        caption="A model that can judge puts right answers to the right of wrong ones.",
    )
    bins = [
        ReliabilityBin(b.mean, b.frequency.value or 0.0, b.frequency.low or 0.0, b.frequency.high or 0.0, b.frequency.n)
        for b in reliability_curve(p, y, clusters)
    ]
    return [shares, reliability(bins, title=f"Calibration of P(True): {title}", section=section)]


def _means(rows: Sequence[Row], common: dict[str, str]) -> list[Estimate]:
    estimates = []
    for is_right, name in ((True, "mean P(True), right answers"), (False, "mean P(True), wrong answers")):
        found = [r for r in rows if r.evidence["right"] == is_right]
        mean = clustered_mean([r.evidence["p"][0] for r in found], [r.cluster for r in found])
        estimates.append(Estimate.of(name, bounded(mean), **common))
    mass = clustered_mean([r.evidence["mass"] for r in rows], [r.cluster for r in rows])
    return [*estimates, Estimate.of("option mass", bounded(mass), **common)]
