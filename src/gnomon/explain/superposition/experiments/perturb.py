"""What becomes of a pentagon when one of its features is rarer than the others?

Elhage et al. 2022 (arXiv 2209.10652), "Non-Uniform Superposition": five features of density 0.05 in two dimensions, one
at another density. The pentagon bends, then gives way to two pairs of opposites without the rare feature. Where the
best of either kind cost the same is read off new examples; which kind most starts end in is another question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

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
    compared,
    laid_out,
    trained,
    weights_of,
)
from gnomon.report.base import Estimate
from gnomon.report.figures import Dot, scatter
from gnomon.report.vectors import Arrow, arrows
from gnomon.stats.intervals import proportion, t_interval

if TYPE_CHECKING:
    from gnomon.core.seeds import Seed

__all__ = ["made", "told"]

_DENSITY = 0.05
_RARER = {"small": (1.0, 1.5, 2.0, 2.5, 3.0, 4.0), "paper": (0.5, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3, 4, 6)}


def made(scale: str, how: Training, seeds: int, seed: Seed) -> Kept:
    """Trains every density of the first feature."""
    cells = [
        Cell(name=f"{rarer:g} times rarer", density=[_DENSITY / rarer] + [_DENSITY] * 4, facts={"rarer": rarer})
        for rarer in _RARER[scale]
    ]
    law = Law(num_features=5)
    kept = trained(laid_out("relu", law, 2, cells, seeds), cells, how, seed)
    least, rows = _least(kept.rows), []
    for row in kept.rows:
        other = least.get((row.cluster, False))
        if other and row is least.get((row.cluster, True)):
            first, second = ((weights_of(each), weights_of(each, "b")) for each in (row, other))
            against = compared(first, second, law, torch.tensor(row.evidence["toy"]["density"]), seed)
            row = replace(row, evidence={**row.evidence, "against": against})
        rows.append(row)
    return Kept(rows, kept.tensors)


def _least(rows: Sequence[Row]) -> dict[tuple[str, bool], Row]:
    """The row of least loss of each cell among those that keep the rare feature, and among those that do not."""
    found: dict[tuple[str, bool], Row] = {}
    for row in sorted((row for row in rows if row.error is None), key=lambda row: float(row.evidence["loss"])):
        found.setdefault((row.cluster, _kept(row)), row)
    return found


def told(rows: Sequence[Row]) -> Told:
    """Whether the rare feature is kept, by how rare it is; and every start's loss by what it makes."""
    cells, best = by_cell(rows), best_rows(rows)
    estimates = [
        Estimate.of("rare feature is kept", proportion([float(_kept(row)) for row in some]), group=name)
        for name, some in cells.items()
    ]
    estimates += [_compared(row) for row in rows if "against" in row.evidence]
    dropped = [row.evidence["rarer"] for row in best.values() if not _kept(row)]
    lasts = [row.evidence["rarer"] for row in best.values() if _kept(row)]
    most = [cells[name][0].evidence["rarer"] for name in cells if sum(map(_kept, cells[name])) >= len(cells[name]) / 2]
    summary = (
        f"A feature of a pentagon is kept by the best start up to {max(lasts, default=0):g} times rarer than the others"
        + (f", and dropped from {min(dropped):g} times on" if dropped else " and never dropped")
        + f"; half of the starts or more keep it up to {max(most, default=0):g} times."
    )
    dots = [
        Dot(row.evidence["rarer"], row.evidence["loss"], "kept" if _kept(row) else "dropped", row.evidence["shape"])
        for some in cells.values()
        for row in some
    ]
    title = "Every start by whether it keeps the rare feature"
    drawn = [scatter(dots, x="times rarer", y="loss", title=title, section="perturb")]
    for row in best.values():
        if row.evidence["rarer"] in (1.5, 4.0):
            ends = [Arrow(float(x), float(y), str(i + 1)) for i, (x, y) in enumerate(weights_of(row).T.tolist())]
            drawn.append(arrows(ends, title=f"Feature 1 is {row.cluster}", section="perturb"))
    return Told(summary, estimates, drawn)


def _compared(row: Row) -> Estimate:
    of = row.evidence["against"]
    found = t_interval(of["value"], of["se"], n=of["n"], clusters=of["n"], method="paired")
    return Estimate.of("loss of the best that keeps it above the best that drops it, share", found, group=row.cluster)


def _kept(row: Row) -> bool:
    return bool(weights_of(row)[:, 0].norm() >= LEARNED)
