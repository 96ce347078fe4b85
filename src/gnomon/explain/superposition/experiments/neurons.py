"""When does a neuron stand for one feature, and when for several?

Elhage et al. 2022 (arXiv 2209.10652), "Superposition in a Privileged Basis": ten features of falling importance by five
neurons with a ReLU. Dense features get a neuron each; rare ones share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor

from gnomon.core.record import Row
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.toys import Training
from gnomon.explain.superposition.trainings import (
    Cell,
    Kept,
    Told,
    best_rows,
    by_cell,
    laid_out,
    learned,
    median_loss,
    trained,
    weights_of,
)
from gnomon.report.base import Estimate, Table
from gnomon.report.vectors import Bar, bars
from gnomon.stats.intervals import clustered_mean

if TYPE_CHECKING:
    from gnomon.core.seeds import Seed

__all__ = ["made", "monosemantic", "told"]

_DENSITIES = {
    "small": (0.75, 0.35, 0.15, 0.06),
    "paper": (1.0, 0.75, 0.5, 0.35, 0.2, 0.15, 0.12, 0.08, 0.05, 0.04),
}
# Trainings of one density for each start asked: the best of many is what counts here.
_TIMES = {"small": 2, "paper": 100}
_PRESENT = 0.25


def made(scale: str, how: Training, seeds: int, seed: Seed) -> Kept:
    """Trains every density, twice `seeds` starts of each (a hundred times `seeds` at the paper's scale)."""
    cells = [
        Cell(name=f"density {p:g}", density=p, importance=[0.75**i for i in range(10)], facts={"density": p})
        for p in _DENSITIES[scale]
    ]
    toys = laid_out("hidden", Law(num_features=10), 5, cells, _TIMES[scale] * seeds)
    return trained(toys, cells, replace(how, steps=2 * how.steps), seed)


def monosemantic(w_MN: Tensor) -> int:
    """Neurons that exactly one feature drives: one weight of a quarter of the largest of all, or more."""
    present_MN = w_MN.abs() >= _PRESENT * w_MN.abs().max()
    return int((present_MN.sum(1) == 1).sum())


def told(rows: Sequence[Row]) -> Told:
    """Neurons of one feature, and features learned, by density."""
    cells, best = by_cell(rows), best_rows(rows)
    estimates = [
        Estimate.of(
            "neurons of one feature", clustered_mean([float(monosemantic(weights_of(r))) for r in some]), group=n
        )
        for n, some in cells.items()
    ]
    lines, drawn = [], []
    for name, row in best.items():
        w_MN = weights_of(row)
        lines.append(
            [name, monosemantic(w_MN), learned(row), row.evidence["loss"], median_loss(cells[name]), len(cells[name])]
        )
        stacked = [
            Bar(f"neuron {m + 1}", float(w_MN[m, n]), float(n + 1))
            for m in range(w_MN.shape[0])
            for n in range(w_MN.shape[1])
            if abs(float(w_MN[m, n])) >= 0.05
        ]
        title = f"Weights of each neuron, best start, {name}"
        drawn.append(bars(stacked, x="", y="weight", legend="feature", title=title, deepest=10, section="neurons"))
    said = ", ".join(f"{line[1]} of 5 at {line[0]} ({line[2]} features)" for line in lines)
    columns = ("features", "neurons of one feature", "features learned", "loss of the best", "median loss", "starts")
    table = Table(title="Neurons of the best start", columns=columns, rows=lines)
    return Told(f"Neurons that stand for one feature, best start: {said}.", estimates, drawn, [table])
