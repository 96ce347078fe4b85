"""Do other activations than ReLU at the output pack features too?

Ours, after a comment on Elhage et al. 2022 (arXiv 2209.10652) that phase diagrams differ by activation: two features in
one dimension, as in `phase`, for ReLU, GELU, softplus, the square and the absolute value. Any of them but the last lets
two opposite features share a dimension; |−x| is as large as |x|, so that nothing keeps opposites apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from gnomon.core.record import Row
from gnomon.explain.superposition.experiments.phase import CODED, CODES, phase_of
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.toys import Kind, Training
from gnomon.explain.superposition.trainings import Cell, Kept, Told, best_rows, by_cell, laid_out, trained, weights_of
from gnomon.report.base import Estimate, Figure
from gnomon.report.figures import heatmap
from gnomon.report.words import number
from gnomon.stats.intervals import proportion

if TYPE_CHECKING:
    from gnomon.core.seeds import Seed

__all__ = ["made", "told"]

_NAMES: Mapping[Kind, str] = {
    "relu": "ReLU",
    "gelu": "GELU",
    "softplus": "softplus",
    "square": "x²",
    "modulus": "|x|",
}
_SIDE = {"small": 6, "paper": 24}
_STARTS = 5


def made(scale: str, how: Training, seeds: int, seed: Seed) -> Kept:
    """Trains every cell with every activation, from the same starts on the same draws; at most five starts a cell."""
    kept, side = Kept([], {}), _SIDE[scale]
    for kind, name in _NAMES.items():
        cells = [
            Cell(
                name=f"{name}, importance {importance:.3g}, density {density:.3g}",
                density=density,
                importance=[1.0, importance],
                facts={"activation": name, "importance": importance, "density": density},
            )
            for density in torch.logspace(0, -2, side).tolist()
            for importance in torch.logspace(-1, 1, side).tolist()
        ]
        toys = laid_out(kind, Law(num_features=2), 1, cells, min(seeds, _STARTS))
        kept = kept.and_then(trained(toys, cells, how, seed))
    return kept


def told(rows: Sequence[Row]) -> Told:
    """Shares of the diagram that each phase has, by activation, and the diagrams."""
    estimates, said, drawn = [], [], []
    for name in _NAMES.values():
        cells = by_cell([row for row in rows if row.evidence["activation"] == name])
        best = best_rows([row for some in cells.values() for row in some])
        phases = {cell: phase_of(weights_of(row)) for cell, row in best.items()}
        for phase in CODES:
            estimates.append(_share(name, phase, list(phases.values())))
        settled = proportion(
            [float(phase_of(weights_of(row)) == phases[cell]) for cell, some in cells.items() for row in some],
            [cell for cell, some in cells.items() for _ in some],
        )
        estimates.append(Estimate.of("starts that do as the best one", settled, group=name))
        said.append(f"{number(_part('superposed', list(phases.values())), 2)} with {name}")
        drawn.append(_diagram(name, best, phases))
    summary = f"The last of two features in one dimension is superposed in {', '.join(said)} of the cells."
    return Told(summary, estimates, drawn)


def _part(phase: str, phases: Sequence[str]) -> float:
    return sum(each == phase for each in phases) / len(phases)


def _share(name: str, phase: str, phases: Sequence[str]) -> Estimate:
    return Estimate(
        metric=f"cells where the last is {phase}",
        value=_part(phase, phases),
        n=len(phases),
        clusters=len(phases),
        group=name,
        reason="the share of a grid's cells, which are no sample",
        headline=phase == "superposed",
    )


def _diagram(name: str, best: Mapping[str, Row], phases: Mapping[str, str]) -> Figure:
    densities = list(dict.fromkeys(f"{row.evidence['density']:.3g}" for row in best.values()))
    importances = list(dict.fromkeys(f"{row.evidence['importance']:.3g}" for row in best.values()))
    codes: list[float | None] = [CODES[phase] for phase in phases.values()]
    side = len(importances)
    return heatmap(
        densities,
        importances,
        [codes[i : i + side] for i in range(0, len(codes), side)],
        title=f"What the best start does with the last feature: {name}",
        x="importance of the last",
        y="density",
        legend=CODED,
        section="activation",
    )
