"""From rows of option probabilities to estimates: accuracy, calibration errors, Brier scores, AUROC.

Kadavath et al. 2022, sec. 2 and appendix: calibration charts take every option of every item as one prediction, while
ECE and RMS calibration error take only each item's most likely option. Both are computed here and named apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnomon.core.record import Row
from gnomon.report.base import Estimate, Figure
from gnomon.report.figures import ReliabilityBin, reliability
from gnomon.stats.calibration import Bin, NullTest, calibration_line, calibration_test, reliability_curve
from gnomon.stats.intervals import Interval, bounded, clustered_mean, proportion
from gnomon.stats.ranking import auroc, auroc_delong
from gnomon.stats.scoring import brier_options, negative_log_likelihood

if TYPE_CHECKING:
    from gnomon.assay.self_knowledge import SelfKnowledge

__all__ = [
    "TOO_FEW",
    "Predictions",
    "against_null",
    "area",
    "choice_curve",
    "choice_estimates",
    "predictions",
    "reliability_figure",
]

Vector = NDArray[np.float64]

# Below this many items a suite gets numbers but no chart.
TOO_FEW = 50
# From so many clusters on, DeLong's interval for AUROC covers the truth as often as the bootstrap's, at a fiftieth of
# its cost.
MANY_CLUSTERS = 2000


@dataclass(frozen=True)
class Predictions:
    """Stated probabilities of items that have a right option.

    Attributes:
        options: probabilities of each item's options, one vector an item.
        gold: index of the right option of each item.
        clusters: cluster of each item.
        mass: total probability of the options before normalising, [n].
        readout: how they were read; several are joined by "+".
        draws: samples behind each item's probabilities, [n]; 0 where they are exact.
        halves: option shares of either half of each item's samples; empty where nothing was sampled here.
    """

    options: Sequence[Vector]
    gold: Sequence[int]
    clusters: Sequence[str]
    mass: Vector
    readout: str
    draws: Vector
    halves: Sequence[tuple[Vector, Vector]] = ()

    @property
    def n(self) -> int:
        """Items."""
        return len(self.gold)

    @cached_property
    def top(self) -> Vector:
        """Probability of each item's most likely option, [n]."""
        return np.array([p.max() for p in self.options])

    @cached_property
    def right(self) -> Vector:
        """1 where the most likely option is the right one; options that tie share the credit, [n]."""
        return np.array([_credit(p, g) for p, g in zip(self.options, self.gold, strict=True)])

    @property
    def gold_probability(self) -> Vector:
        """Probability of the right option, [n]."""
        return np.array([p[g] for p, g in zip(self.options, self.gold, strict=True)])

    def pairs(self) -> tuple[Vector, Vector, list[str], list[int]]:
        """Every option as a prediction: probability, 1 if it is the right one, cluster, item number."""
        p = np.concatenate(list(self.options))
        y = np.concatenate([np.eye(len(o))[g] for o, g in zip(self.options, self.gold, strict=True)])
        clusters = [c for c, o in zip(self.clusters, self.options, strict=True) for _ in o]
        return p, y, clusters, [i for i, o in enumerate(self.options) for _ in o]


def predictions(rows: Sequence[Row]) -> Predictions:
    """The rows' option probabilities; every row needs `p` and `gold` in its evidence."""
    found = [r.evidence for r in rows]
    return Predictions(
        options=[np.asarray(e["p"], dtype=np.float64) for e in found],
        gold=[int(e["gold"]) for e in found],
        clusters=[r.cluster for r in rows],
        mass=np.array([e["mass"] for e in found], dtype=np.float64),
        readout="+".join(sorted({str(e["readout"]) for e in found})),
        draws=np.array([e["n"] for e in found], dtype=np.float64),
        halves=[(_share(e["halves"][0]), _share(e["halves"][1])) for e in found] if "halves" in found[0] else (),
    )


def _share(counts: Sequence[int]) -> Vector:
    """Shares of counted options, half a count added to each as in `from_counts`."""
    return np.asarray((np.array(counts, dtype=np.float64) + 0.5) / (sum(counts) + len(counts) / 2))


def choice_estimates(cfg: SelfKnowledge, found: Predictions, group: str) -> list[Estimate]:
    """All estimates of one series of multiple-choice rows."""
    common = {"group": group, "readout": found.readout}
    top, right = found.top, found.right
    whole = np.isin(right, (0.0, 1.0)).all()
    accuracy = (proportion if whole else clustered_mean)(right, found.clusters)
    return [
        Estimate.of("accuracy", accuracy, **common),
        Estimate.of("confidence", bounded(clustered_mean(top, found.clusters)), **common),
        *_calibration(cfg, found, **common),
        *_scores(cfg, found, **common),
    ]


def _calibration(cfg: SelfKnowledge, found: Predictions, *, group: str, readout: str) -> list[Estimate]:
    top, right = found.top, found.right >= 0.5
    p, y, _, item = found.pairs()
    count = {"n": found.n, "clusters": len(set(found.clusters)), "group": group, "readout": readout}
    draws = min(cfg.resamples, 1000)
    tops = calibration_test(top, right, draws=draws)
    every = calibration_test(p, y, draws=draws, exclusive=item)
    line = calibration_line(top, right, found.clusters)
    return [
        against_null("ECE", tops.ece, **count),
        against_null("ECE (all options)", every.ece, **count),
        against_null("RMS calibration error", tops.rms, **count),
        against_null("RMS calibration error (all options)", every.rms, **count),
        against_null("squared calibration error, debiased", tops.debiased, **count),
        Estimate.of("calibration slope", line.slope, group=group, readout=readout),
        Estimate.of("calibration intercept", line.intercept, group=group, readout=readout),
    ]


def _scores(cfg: SelfKnowledge, found: Predictions, *, group: str, readout: str) -> list[Estimate]:
    p, y, clusters, _ = found.pairs()
    common = {"group": group, "readout": readout}
    return [
        Estimate.of("Brier", clustered_mean(_binary_brier(found), clusters), **common),
        Estimate.of("Brier (sum over options)", brier_options(found.options, found.gold, found.clusters), **common),
        Estimate.of("NLL", negative_log_likelihood(found.gold_probability, found.clusters), **common),
        Estimate.of("AUROC", area(cfg, p, y, clusters), **common),
        Estimate.of("option mass", bounded(clustered_mean(found.mass, found.clusters)), **common),
    ]


def area(cfg: SelfKnowledge, scores: ArrayLike, labels: ArrayLike, clusters: Sequence[str]) -> Interval:
    """AUROC with a bootstrap interval, or Obuchowski's extension of DeLong's from `MANY_CLUSTERS` on."""
    if len(set(clusters)) >= MANY_CLUSTERS:
        return auroc_delong(scores, labels, clusters)
    return auroc(scores, labels, clusters, resamples=cfg.resamples)


def against_null(metric: str, test: NullTest, **more: object) -> Estimate:
    """A calibration error beside what a calibrated model would show; it has no valid interval."""
    if test.observed is None:
        return Estimate(metric=metric, value=None, reason="a bin has fewer than two items", **more)  # type: ignore[arg-type]
    return Estimate(
        metric=metric,
        value=test.observed,
        null=test.mean,
        reason=f"no valid interval; p = {test.p_value:.3g} that a calibrated model shows as much",
        **more,  # type: ignore[arg-type]
    )


def _binary_brier(found: Predictions) -> Vector:
    """Squared error of every option's probability; where it was sampled, less what sampling adds (unbiased).

    Sampled probabilities are (count + 1/2) / (n + K/2); the unbiased form wants the plain share, count / n.
    """
    p, y, _, item = found.pairs()
    draws, options = found.draws[item], np.array([len(found.options[i]) for i in item])
    sampled, many = draws > 1, np.maximum(draws, 2)
    share = np.where(sampled, (p * (draws + options / 2) - 0.5) / many, p)
    return np.asarray((share - y) ** 2 - np.where(sampled, share * (1 - share) / (many - 1), 0.0))


def _credit(p: Vector, gold: int) -> float:
    best = np.flatnonzero(p == p.max())
    return float(gold in best) / len(best)


def choice_curve(found: Predictions) -> list[Bin]:
    """The paper's calibration curve: every option a prediction, ten bins of equal mass.

    Sampled probabilities are binned on one half of the samples and read on the other; one half for both would flatten
    the curve.
    """
    p, y, clusters, _ = found.pairs()
    bin_by = None
    if found.halves:
        bin_by, p = (np.concatenate(side) for side in zip(*found.halves, strict=True))
    return reliability_curve(p, y, clusters, bin_by=bin_by)


def reliability_figure(found: Predictions, title: str, section: str) -> list[Figure]:
    """The paper's chart: every option a prediction, ten bins of equal mass; none below 50 items."""
    if found.n < TOO_FEW:
        return []
    bins = [
        ReliabilityBin(b.mean, b.frequency.value or 0.0, b.frequency.low or 0.0, b.frequency.high or 0.0, b.frequency.n)
        for b in choice_curve(found)
    ]
    caption = (
        f"Every option of {found.n} items is one prediction; ten bins of equal mass; bars are 95 % intervals by "
        "cluster. On the diagonal a stated 70 % is right 70 % of the time; below it the model is over-confident."
    )
    return [reliability(bins, title=title, caption=caption, section=section)]
