"""When does a neuron stand for one feature, and when for several?

Elhage et al. 2022 (arXiv 2209.10652), "Superposition in a Privileged Basis": ten features of falling importance by five
neurons with a ReLU. Dense features get a neuron each; rare ones share. How they share is read off groups of features
and neurons that weights join, and held against the regimes that the paper finds on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from gnomon.core.record import Row
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.geometry import LEARNED
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
from gnomon.report.base import Estimate, Figure, Table
from gnomon.report.vectors import Bar, bars
from gnomon.stats.intervals import Interval, clustered_mean, proportion

if TYPE_CHECKING:
    from gnomon.core.seeds import Seed

__all__ = ["largest_group", "made", "monosemantic", "told"]

_DENSITIES = {
    "small": (0.75, 0.35, 0.15, 0.12, 0.06, 0.04),
    "paper": (1.0, 0.75, 0.5, 0.35, 0.2, 0.15, 0.12, 0.08, 0.05, 0.04),
}
# Trainings of one density for each start asked: the best of many is what counts here.
_TIMES = {"small": 2, "paper": 100}
_PRESENT = 0.25
# The paper's regimes by density, each up to the next: the largest group of features that share neurons.
_LISTED = {
    0.04: "each feature in 2 neurons",
    0.05: "8 in 5",
    0.12: "6 in 4",
    0.15: "5 in 3",
    0.2: "3 in 2",
    0.51: "alone",
}


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


def largest_group(w_MN: Tensor) -> tuple[str, ...]:
    """What the largest group of features and neurons joined by weights is: ("3 in 2",) for three features in two
    neurons, ("alone",) where each feature has a neuron of its own; also "each feature in 2 neurons" where that is so.

    A weight joins from a quarter of the largest of all on; features that are not learned join nothing.
    """
    joined_MN = (w_MN.abs() >= _PRESENT * w_MN.abs().max()) & (w_MN.norm(dim=0) >= LEARNED)
    left = set(joined_MN.any(0).nonzero().flatten().tolist())
    sizes = []
    while left:
        features, neurons = {min(left)}, set[int]()
        grown = True
        while grown:
            neurons = set(joined_MN[:, sorted(features)].any(1).nonzero().flatten().tolist())
            reached = set(joined_MN[sorted(neurons)].any(0).nonzero().flatten().tolist())
            grown, features = reached != features, reached
        left -= features
        sizes.append((len(features), len(neurons)))
    most = max(sizes, default=(0, 0))
    paired = bool(sizes) and bool((joined_MN.sum(0)[joined_MN.any(0)] == 2).all())
    first = "alone" if most == (1, 1) else f"{most[0]} in {most[1]}"
    return (first, "each feature in 2 neurons") if paired else (first,)


def told(rows: Sequence[Row]) -> Told:
    """Neurons of one feature, and features learned, by density."""
    cells, best = by_cell(rows), best_rows(rows)
    estimates = [
        Estimate.of(
            "neurons of one feature", clustered_mean([float(monosemantic(weights_of(r))) for r in some]), group=n
        )
        for n, some in cells.items()
    ]
    inside = {name: _inside(some) for name, some in cells.items()}
    estimates += [Estimate.of("starts in the listed regime", each, group=name) for name, each in inside.items()]
    lines = [
        [
            name,
            monosemantic(weights_of(row)),
            learned(row),
            " and ".join(largest_group(weights_of(row))),
            _listed(row.evidence["density"]),
            round(inside[name].value or 0.0, 2),
            row.evidence["loss"],
            median_loss(cells[name]),
            len(cells[name]),
        ]
        for name, row in best.items()
    ]
    said = ", ".join(f"{line[1]} of 5 at {line[0]} ({line[2]} features)" for line in lines)
    held = [str(line[0]) for line in lines if line[4] in str(line[3])]
    summary = (
        f"Neurons that stand for one feature, best start: {said}. It shares neurons as the paper lists at "
        f"{', '.join(held) or 'no density'}."
    )
    drawn = [_stacked(name, weights_of(row)) for name, row in best.items()]
    return Told(summary, estimates, drawn, [_table(lines)])


def _inside(rows: Sequence[Row]) -> Interval:
    """The share of starts of one density that are in the paper's regime."""
    return proportion([float(_listed(row.evidence["density"]) in largest_group(weights_of(row))) for row in rows])


def _table(lines: Sequence[Sequence[Any]]) -> Table:
    columns = (
        "features",
        "neurons of one feature",
        "features learned",
        "features in neurons",
        "the paper",
        "starts like it",
        "loss of the best",
        "median loss",
        "starts",
    )
    caption = "The largest group of features that share neurons, of the start of least loss."
    return Table(title="Neurons of the best start", columns=columns, rows=lines, caption=caption, section="neurons")


def _listed(density: float) -> str:
    return [regime for least, regime in _LISTED.items() if density >= least][-1]


def _stacked(name: str, w_MN: Tensor) -> Figure:
    stacked = [
        Bar(f"neuron {m + 1}", float(w_MN[m, n]), float(n + 1))
        for m in range(w_MN.shape[0])
        for n in range(w_MN.shape[1])
        if abs(float(w_MN[m, n])) >= 0.05
    ]
    title = f"Weights of each neuron, best start, {name}"
    return bars(stacked, x="", y="weight", legend="feature", title=title, deepest=10, section="neurons")
