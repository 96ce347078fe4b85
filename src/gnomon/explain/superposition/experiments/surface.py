"""Does training find the least of a loss that is known exactly?

Elhage et al. 2022 (arXiv 2209.10652), "Superposition as a Phase Change": two features in one dimension, whose loss
`superposition/surface` works out for any weights. Trained models are held against its minima, and against the crossing
of two candidates in `theory`, with biases and without. Dense features without a bias have a minimum that no candidate
is: both features read the same way round, told apart by nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gnomon.core.record import Row
from gnomon.explain.superposition.experiments.phase import MARGIN, phase_of
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.surface import exact_loss, minima, with_best_bias
from gnomon.explain.superposition.theory import best, crossing
from gnomon.explain.superposition.toys import Training
from gnomon.explain.superposition.trainings import Cell, Kept, Told, best_rows, laid_out, trained, weights_of
from gnomon.report.base import Estimate, Figure
from gnomon.report.figures import Point, curves, heatmap
from gnomon.report.words import number
from gnomon.stats.intervals import clustered_mean, proportion

if TYPE_CHECKING:
    from gnomon.core.seeds import Seed

__all__ = ["made", "told"]

# Importances and densities, both in equal steps of the logarithm.
_GRID = {"small": (7, 14), "paper": (13, 40)}
_RAREST = 0.05
_STARTS = 5
# Where the loss surface is drawn: dense, and both features matter.
_DENSE = (0.9, 0.8)
_SIDE = 25


def made(scale: str, how: Training, seeds: int, seed: Seed) -> Kept:
    """Trains every cell, at most five starts, and finds the least of its loss with and without biases."""
    wide, high = _GRID[scale]
    grid = [
        (importance, density)
        for importance in torch.logspace(-1, 1, wide).tolist()
        for density in torch.logspace(float(torch.tensor(_RAREST).log10()), 0, high).tolist()
    ]
    importances, densities = torch.tensor(grid).T
    least = {biased: minima(densities, importances, biased=biased) for biased in (True, False)}
    cells = [
        Cell(
            name=f"importance {importance:.3g}, density {density:.3g}",
            density=density,
            importance=[1.0, importance],
            facts={
                "importance": importance,
                "density": density,
                "least": float(least[True].loss[k]),
                "at": least[True].w[k].tolist(),
                "unbiased_at": least[False].w[k].tolist(),
            },
        )
        for k, (importance, density) in enumerate(grid)
    ]
    return trained(laid_out("relu", Law(num_features=2), 1, cells, min(seeds, _STARTS)), cells, how, seed)


def told(rows: Sequence[Row]) -> Told:
    """How often, and how nearly, the best start finds the least of the exact loss; and where superposition begins."""
    best_of = list(best_rows(rows).values())
    away = [row for row in best_of if best("n=2, m=1", row.evidence["density"], row.evidence["importance"])[1] > MARGIN]
    agreed = proportion([float(phase_of(weights_of(row)) == phase_of(_at(row, "at"))) for row in away])
    excess = clustered_mean([_excess(row) for row in best_of])
    estimates = [
        Estimate.of("best start does as the least loss", agreed, headline=True),
        Estimate.of("loss of the best start above the least, share", excess, headline=True),
    ]
    alike = [row for row in best_of if _alike(_at(row, "unbiased_at"))]
    summary = (
        f"The best start treats the last of two features as the least of the exact loss does in "
        f"{number(agreed.value, 2)} of {agreed.n} cells, at a loss {number(100 * (excess.value or 0), 1)} % above it. "
        f"Without biases the least loss has both features the same way round in {len(alike)} of {len(best_of)} cells"
        + (f", at densities from {min(row.evidence['density'] for row in alike):.2g} on." if alike else ".")
    )
    note = "cells share their examples; their intervals take them as independent"
    drawn = [_boundaries(best_of), *(_surface(biased=biased) for biased in (True, False))]
    return Told(summary, estimates, drawn, notes=[note])


def _at(row: Row, name: str) -> Tensor:
    return torch.tensor(row.evidence[name])[None]


def _alike(w_1N: Tensor) -> bool:
    """Whether both features are learned with the same sign."""
    return bool(w_1N.prod() > 0) and phase_of(w_1N) == phase_of(w_1N.flip(1)) == "superposed"


def _excess(row: Row) -> float:
    """By what share the exact loss of a model is above the least."""
    w, b = weights_of(row)[0].double(), weights_of(row, "b").double()
    p, importance = (torch.tensor(row.evidence[name], dtype=torch.double) for name in ("density", "importance"))
    return float(exact_loss(w, b, p, importance)) / float(row.evidence["least"]) - 1


def _boundaries(rows: Sequence[Row]) -> Figure:
    """The density up to which features share a dimension as opposites, by importance."""
    reads: dict[str, Callable[[Row], Tensor]] = {
        "trained": weights_of,
        "exact": lambda row: _at(row, "at"),
        "exact, no biases": lambda row: _at(row, "unbiased_at"),
    }
    points = [
        Point(importance, max(shared, default=0.0), series=series)
        for series, read in reads.items()
        for importance in dict.fromkeys(row.evidence["importance"] for row in rows)
        if (
            shared := [
                row.evidence["density"]
                for row in rows
                if row.evidence["importance"] == importance
                and phase_of(read(row)) == "superposed"
                and not _alike(read(row))
            ]
        )
    ]
    for biased, series in ((True, "candidates"), (False, "candidates, no biases")):
        points += [
            Point(importance, crossing(importance, biased=biased), series=series)
            for importance in torch.logspace(-1, 1, 41).tolist()
        ]
    return curves(
        points,
        x="importance of the last",
        y="density",
        title="Up to which density two features share a dimension",
        caption="Candidates are curves; what is trained, or the least of the exact loss, is read off a grid, and so up "
        "to one step of it too low.",
        log_x=True,
        log_y=True,
        section="surface",
    )


def _surface(*, biased: bool) -> Figure:
    """The loss over both weights, biases at their best or 0."""
    density, importance = _DENSE
    side = torch.linspace(-1.2, 1.2, _SIDE)
    w = torch.stack(torch.meshgrid(side, side, indexing="ij"), dim=-1)
    p, i = torch.tensor(density), torch.tensor(importance)
    loss = with_best_bias(w, density, importance).loss if biased else exact_loss(w, torch.zeros_like(w), p, i)
    names = [f"{value:.1f}" for value in side.tolist()]
    return heatmap(
        names,
        names,
        loss.tolist(),
        title=f"Loss at density {density:g}, importance {importance:g}, {'best biases' if biased else 'no biases'}",
        x="weight of the last",
        y="weight of the first",
        legend="loss",
        section="surface",
    )
