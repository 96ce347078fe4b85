"""Can a model compute on features that it keeps in superposition?

Elhage et al. 2022 (arXiv 2209.10652), "Computing in Superposition": absolute values of signed features by neurons with
a ReLU. Three features and six neurons allow the exact solution, ReLU(x) + ReLU(−x); twenty features of falling
importance by eight neurons do not. There `motifs` finds neurons that serve two features unevenly, with others that hold
back the harm; the same weights with rows out and rows in matched at random say how many of them chance makes.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from gnomon.core.record import Row
from gnomon.explain.superposition.experiments.neurons import monosemantic
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.motifs import Motif, motifs
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
from gnomon.stats.intervals import clustered_mean, proportion

if TYPE_CHECKING:
    from gnomon.core.seeds import Seed

__all__ = ["made", "told"]

_EXACT = "three features, six neurons"
_SOLVED = 1e-4
# Random matchings of each model that chance is read off.
_MIXED = 20
_WIDE = {"small": (20, 8, (1.0, 0.3, 0.1, 0.02)), "paper": (100, 40, (1.0, 0.1, 0.01, 0.001))}


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
    return kept.and_then(trained(wide, cells, longer, seed.child("wide")))


def told(rows: Sequence[Row]) -> Told:
    """How often the exact solution is found, and how many neurons stand for one feature."""
    cells, best = by_cell(rows), best_rows(rows)
    solved = proportion([float(row.evidence["loss"] < _SOLVED) for row in cells[_EXACT]])
    estimates = [Estimate.of("starts that are exact", solved, group=_EXACT, headline=True)]
    wide = {name: some for name, some in cells.items() if name != _EXACT}
    estimates += [_counted(name, some) for name, some in cells.items()]
    lines = [
        [name, monosemantic(weights_of(row, "u")), row.evidence["loss"], median_loss(cells[name]), len(cells[name])]
        for name, row in best.items()
    ]
    drawn = [figure for name, row in best.items() for figure in _figures(name, row)]
    said = "; ".join(f"{line[1]} with {line[0]}" for line in lines[1:])
    counts = "; ".join(
        f"{number(_mean_count(some), 1)} at density {some[0].evidence['density']:g}" for some in wide.values()
    )
    summary = (
        f"Absolute values are exact (loss below {_SOLVED:g}) in {number(solved.value, 2)} of {solved.n} starts with "
        f"{_EXACT}. Neurons that read one feature, best start: {said}. Uneven neurons with inhibition, a model: "
        f"{counts}."
    )
    columns = ("models", "neurons of one feature", "loss of the best", "median loss", "starts")
    tables = [Table(title="Absolute values", columns=columns, rows=lines, section="absolute"), _clearest(wide)]
    return Told(summary, estimates, drawn, tables)


def _motifs(row: Row) -> list[Motif]:
    return motifs(weights_of(row, "u"), weights_of(row))


def _mean_count(rows: Sequence[Row]) -> float:
    return statistics.fmean(len(_motifs(row)) for row in rows)


def _counted(name: str, rows: Sequence[Row]) -> Estimate:
    """Motifs a model, beside as many as there are where neurons write what another one should."""
    found = clustered_mean([float(len(_motifs(row))) for row in rows])
    generator = torch.Generator().manual_seed(0)
    mixed = [
        len(motifs(u_MN, weights_of(row)[torch.randperm(len(u_MN), generator=generator)]))
        for row in rows
        for u_MN in [weights_of(row, "u")] * _MIXED
    ]
    return Estimate.of("uneven neurons with inhibition", found, group=name, null=statistics.fmean(mixed))


def _clearest(cells: Mapping[str, Sequence[Row]]) -> Table:
    """Of each density the motif, of any start, whose harm is largest."""
    lines = []
    for some in cells.values():
        found = [(each.harm, row.key, each, row) for row in some for each in _motifs(row)]
        if found:
            _, key, motif, row = max(found, key=lambda entry: entry[:2])
            u_MN, w_MN, pair = weights_of(row, "u"), weights_of(row), [motif.strong, motif.weak]
            read, written = (", ".join(f"{x:.2f}" for x in of[motif.neuron, pair].tolist()) for of in (u_MN, w_MN))
            held = round(motif.held, 2)
            lines.append([key, motif.neuron + 1, read, written, len(motif.inhibitors), round(motif.harm, 2), held])
    return Table(
        title="Asymmetric superposition with inhibition",
        columns=("start", "neuron", "reads", "writes", "inhibitors", "harm", "share held back"),
        rows=lines,
        caption="Weights are those of the feature that is read strongly and of the one that is written strongly. Harm "
        "is what the second rises by at a first of 1.",
        section="absolute",
    )


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
