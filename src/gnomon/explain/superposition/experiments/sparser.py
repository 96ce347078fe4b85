"""What do features do while they become rarer?

Elhage et al. 2022 (arXiv 2209.10652), the opening picture and "The Geometry of Superposition": five features of falling
importance in a plane, and eight in space, from always there to three in a hundred examples. The best start of each
density is drawn under a slider. A model computes the same however its space is turned, so each is turned onto the one
before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gnomon.core.record import Row
from gnomon.explain.superposition.geometry import dimensionality, dimensions_per_feature, turned_onto
from gnomon.explain.superposition.toys import Training
from gnomon.explain.superposition.trainings import (
    Kept,
    Setup,
    Told,
    best_rows,
    by_cell,
    over_densities,
    share_of,
    weights_of,
)
from gnomon.report.base import Estimate, Figure, Table
from gnomon.report.movie import Frame, movie
from gnomon.stats.intervals import proportion

if TYPE_CHECKING:
    from gnomon.core.seeds import Seed

__all__ = ["made", "told"]


# Each a tenth of a decade rarer than the one before.
_DENSITIES = [10 ** (-tenths / 10) for tenths in range(16)]
_SETUPS = (
    Setup("five in two", "relu", 5, 2, 0.9, _DENSITIES),
    Setup("eight in three", "relu", 8, 3, 0.9, _DENSITIES),
)


def made(scale: str, how: Training, seeds: int, seed: Seed) -> Kept:
    """Trains both setups at each density; `scale` says how long."""
    return over_densities(_SETUPS, how, seeds, seed)


def told(rows: Sequence[Row]) -> Told:
    """What the best start of each density makes, how many starts make the same, and a movie over density."""
    cells, best = by_cell(rows), best_rows(rows)
    said, estimates, drawn = [], [], []
    for name in (setup.name for setup in _SETUPS):
        of = {cell: row for cell, row in best.items() if row.evidence["setup"] == name}
        met = list(dict.fromkeys(row.evidence["shape"] for row in of.values()))
        said.append(f"{name} make {', '.join(met)}")
        last = next(reversed(of))
        same = proportion(share_of(cells[last], of[last].evidence["shape"]))
        estimates.append(Estimate.of("share of starts that make what the best one does", same, group=last))
        drawn.append(_movie(name, of))
    summary = f"From always there to three in a hundred examples, best start: {'; '.join(said)}."
    return Told(summary, estimates, drawn, [_table(cells, best)])


def _movie(name: str, best: Mapping[str, Row]) -> Figure:
    frames, before = [], None
    for row in best.values():
        w_MN = weights_of(row)
        w_MN = w_MN if before is None else turned_onto(w_MN, before)
        before = w_MN
        shape, density = row.evidence["shape"], row.evidence["density"]
        tenths, said = round(-10 * math.log10(density)), f"density {density:.3g}: {shape}"
        star, shares = float(dimensions_per_feature(w_MN)), dimensionality(w_MN).tolist()
        frames.append(Frame(tenths, w_MN.T.tolist(), star, shape, shares, said))
    labels = [str(i + 1) for i in range(len(frames[0].ends))]
    return movie(
        frames,
        labels=labels,
        groups=[f"feature {label}" for label in labels],
        x="tenths of a decade rarer",
        y="D*",
        level="D_i",
        title=f"From dense to sparse: {name} dimensions",
        caption="The best start of each density, the first feature the most important. Grey lines join features that "
        "do not point away from each other; D_i is the share of a dimension that each has, D* dimensions a feature. "
        "Models of neighbouring densities are turned to lie as near to each other as they can.",
        section="sparser",
    )


def _table(cells: Mapping[str, Sequence[Row]], best: Mapping[str, Row]) -> Table:
    lines = [
        [name, row.evidence["shape"], int(sum(share_of(cells[name], row.evidence["shape"]))), len(cells[name])]
        for name, row in best.items()
    ]
    columns = ("models", "best start makes", "starts that make it", "starts")
    return Table(title="From dense to sparse: geometry", columns=columns, rows=lines, section="sparser")
