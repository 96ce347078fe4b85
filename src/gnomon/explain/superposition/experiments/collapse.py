"""When does a model stop keeping two correlated features apart, and keep what they share?

Elhage et al. 2022 (arXiv 2209.10652), "Correlated and Anticorrelated Features": three correlated pairs in two
dimensions. The denser they are, the more pairs collapse into one direction each, as in principal components.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gnomon.core.record import Row
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.toys import Training
from gnomon.explain.superposition.trainings import Cell, Kept, Told, best_rows, by_cell, laid_out, trained, weights_of
from gnomon.report.base import Estimate
from gnomon.report.figures import Point, curves
from gnomon.report.vectors import Arrow, arrows
from gnomon.stats.intervals import clustered_mean

if TYPE_CHECKING:
    from gnomon.core.seeds import Seed

__all__ = ["made", "told"]

_DENSITIES = {
    "small": (0.02, 0.1, 0.17, 0.35, 0.7),
    "paper": (0.01, 0.02, 0.04, 0.06, 0.1, 0.14, 0.16, 0.18, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0),
}
_ONE_DIRECTION = 0.9
"""Cosine from which on a pair counts as collapsed; in a hexagon with partners side by side it is 1/2."""


def made(scale: str, how: Training, seeds: int, seed: Seed) -> Kept:
    """Trains every density."""
    cells = [Cell(name=f"density {p:g}", density=p, facts={"density": p}) for p in _DENSITIES[scale]]
    law = Law(num_features=6, together="correlated", size=2)
    return trained(laid_out("relu", law, 2, cells, seeds), cells, how, seed)


def told(rows: Sequence[Row]) -> Told:
    """Pairs that collapsed, by density: of the best start, and mean over starts."""
    cells, best = by_cell(rows), best_rows(rows)
    means = {name: clustered_mean([float(_collapsed(weights_of(row))) for row in some]) for name, some in cells.items()}
    estimates = [Estimate.of("collapsed pairs", found, group=name, headline=True) for name, found in means.items()]
    said = ", ".join(f"{_collapsed(weights_of(row))} at {name}" for name, row in best.items())
    points = [
        Point(best[name].evidence["density"], found.value or 0.0, found.low, found.high, "mean of starts")
        for name, found in means.items()
    ] + [Point(row.evidence["density"], _collapsed(weights_of(row)), series="best start") for row in best.values()]
    title = "Pairs that collapsed into one direction"
    drawn = [curves(points, x="density", y="pairs of three", title=title, log_x=True, section="collapse")]
    for name, row in best.items():
        labels = [f"{chr(ord('a') + i // 2)}{i % 2 + 1}" for i in range(6)]
        ends = [Arrow(float(x), float(y), at) for at, (x, y) in zip(labels, weights_of(row).T.tolist(), strict=True)]
        drawn.append(arrows(ends, title=f"Best start, {name}", caption="A letter is a pair.", section="collapse"))
    return Told(f"Of three correlated pairs in two dimensions the best start collapses {said}.", estimates, drawn)


def _collapsed(w_MN: Tensor) -> int:
    cosines = torch.cosine_similarity(w_MN[:, ::2], w_MN[:, 1::2], dim=0)
    return int((cosines > _ONE_DIRECTION).sum())
