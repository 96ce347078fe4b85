"""What do features do while they become rarer?

Elhage et al. 2022 (arXiv 2209.10652), the opening picture and "The Geometry of Superposition": five features of falling
importance in a plane, and eight in space, from always there to three in a hundred examples. The best start of each
density is drawn under a slider. A model computes the same however its space is turned, so each is turned onto the one
before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from gnomon.core.record import Row
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.geometry import dimensionality, dimensions_per_feature, turned_onto
from gnomon.explain.superposition.toys import Training
from gnomon.explain.superposition.trainings import (
    Cell,
    Kept,
    Told,
    best_rows,
    by_cell,
    laid_out,
    share_of,
    trained,
    weights_of,
)
from gnomon.report.base import Estimate, Figure, Table
from gnomon.report.movie import Frame, movie
from gnomon.stats.intervals import proportion

if TYPE_CHECKING:
    from gnomon.core.seeds import Seed

__all__ = ["made", "told"]


class _Setup(NamedTuple):
    features: int
    dims: int


_SETUPS = {"five in two": _Setup(5, 2), "eight in three": _Setup(8, 3)}
_RATIO = 0.9
# Each a tenth of a decade rarer than the one before.
_TENTHS = range(16)


def made(scale: str, how: Training, seeds: int, seed: Seed) -> Kept:
    """Trains both setups at each density; `scale` says how long."""
    kept = Kept([], {})
    for name, setup in _SETUPS.items():
        cells = [
            Cell(
                name=f"{name}, density {10 ** (-tenths / 10):.3g}",
                density=10 ** (-tenths / 10),
                importance=[_RATIO**i for i in range(setup.features)],
                facts={"setup": name, "tenths": tenths},
            )
            for tenths in _TENTHS
        ]
        toys = laid_out("relu", Law(num_features=setup.features), setup.dims, cells, seeds)
        kept = kept.and_then(trained(toys, cells, how, seed.child(name)))
    return kept


def told(rows: Sequence[Row]) -> Told:
    """What the best start of each density makes, how many starts make the same, and a movie over density."""
    cells, best = by_cell(rows), best_rows(rows)
    said, estimates, drawn = [], [], []
    for name in _SETUPS:
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
    for cell, row in best.items():
        w_MN = weights_of(row)
        w_MN = w_MN if before is None else turned_onto(w_MN, before)
        before = w_MN
        shape, density = row.evidence["shape"], cell.rpartition(", ")[2]
        star = float(dimensions_per_feature(w_MN))
        shares, said = dimensionality(w_MN).tolist(), f"{density}: {shape}"
        frames.append(Frame(row.evidence["tenths"], w_MN.T.tolist(), star, shape, shares, said))
    labels = [str(i + 1) for i in range(_SETUPS[name].features)]
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
