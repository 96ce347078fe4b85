"""Can a model compute on features that it keeps in superposition?

Elhage et al. 2022 (arXiv 2209.10652), "Computing in Superposition": absolute values of signed features by neurons with
a ReLU. Three features and six neurons allow the exact solution, ReLU(x) + ReLU(−x); twenty features of falling
importance by eight neurons do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gnomon.core.record import Row
from gnomon.explain.superposition.experiments.neurons import monosemantic
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.toys import Training
from gnomon.explain.superposition.trainings import (
    Cell,
    Kept,
    Told,
    best_rows,
    by_cell,
    laid_out,
    median_loss,
    trained,
    weights_of,
)
from gnomon.report.base import Estimate, Figure, Table
from gnomon.report.figures import heatmap
from gnomon.report.words import number
from gnomon.stats.intervals import proportion

if TYPE_CHECKING:
    from gnomon.core.seeds import Seed

__all__ = ["made", "told"]

_EXACT = "three features, six neurons"
_SOLVED = 1e-4
_WIDE = {"small": (20, 8, (1.0, 0.1, 0.02)), "paper": (100, 40, (1.0, 0.1, 0.01, 0.001))}


def made(scale: str, how: Training, seeds: int, seed: Seed) -> Kept:
    """Trains the exact case on dense features, and the wide one at every density."""
    exact = [Cell(name=_EXACT, density=1.0, facts={"density": 1.0})]
    longer = replace(how, steps=2 * how.steps)
    three = laid_out("absolute", Law(num_features=3, signed=True), 6, exact, seeds)
    kept = trained(three, exact, longer, seed.child("exact"))
    features, neurons, densities = _WIDE[scale]
    cells = [
        Cell(
            name=f"{features} features, {neurons} neurons, density {p:g}",
            density=p,
            importance=[0.8**i for i in range(features)],
            facts={"density": p},
        )
        for p in densities
    ]
    wide = laid_out("absolute", Law(num_features=features, signed=True), neurons, cells, seeds)
    return kept.and_then(trained(wide, cells, how, seed.child("wide")))


def told(rows: Sequence[Row]) -> Told:
    """How often the exact solution is found, and how many neurons stand for one feature."""
    cells, best = by_cell(rows), best_rows(rows)
    solved = proportion([float(row.evidence["loss"] < _SOLVED) for row in cells[_EXACT]])
    estimates = [Estimate.of("starts that are exact", solved, group=_EXACT, headline=True)]
    lines = [
        [name, monosemantic(weights_of(row, "u")), row.evidence["loss"], median_loss(cells[name]), len(cells[name])]
        for name, row in best.items()
    ]
    drawn = [figure for name, row in best.items() for figure in _figures(name, row)]
    said = "; ".join(f"{line[1]} with {line[0]}" for line in lines[1:])
    summary = (
        f"Absolute values are exact (loss below {_SOLVED:g}) in {number(solved.value, 2)} of {solved.n} starts with "
        f"{_EXACT}. Neurons that read one feature, best start: {said}."
    )
    columns = ("models", "neurons of one feature", "loss of the best", "median loss", "starts")
    return Told(summary, estimates, drawn, [Table(title="Absolute values", columns=columns, rows=lines)])


def _figures(name: str, row: Row) -> list[Figure]:
    drawn = []
    for key, which in (("u", "read"), ("w", "written")):
        w_MN = weights_of(row, key)
        columns = [str(n + 1) for n in range(w_MN.shape[1])]
        neurons = [str(m + 1) for m in range(w_MN.shape[0])]
        title = f"What each neuron has {which}, best start: {name}"
        drawn.append(
            heatmap(
                neurons,
                columns,
                w_MN.tolist(),
                title=title,
                x="feature",
                y="neuron",
                diverging=True,
                section="absolute",
            )
        )
    return drawn
