"""Where do features go that come together, or never together?

Elhage et al. 2022 (arXiv 2209.10652), "Correlated and Anticorrelated Features": pairs in two dimensions, where
correlated ones should be orthogonal, or side by side where there are three pairs, and anticorrelated ones opposite; and
two sets of ten in ten dimensions, where a correlated set should be nearly orthogonal within itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from gnomon.core.record import Row
from gnomon.explain.superposition.features import Law, Together
from gnomon.explain.superposition.toys import Training
from gnomon.explain.superposition.trainings import Cell, Kept, Told, best_rows, by_cell, laid_out, trained, weights_of
from gnomon.report.base import Estimate, Figure
from gnomon.report.figures import heatmap
from gnomon.report.vectors import Arrow, arrows
from gnomon.report.words import number
from gnomon.stats.intervals import clustered_mean

if TYPE_CHECKING:
    from gnomon.core.seeds import Seed

__all__ = ["made", "told"]


class _Setup(NamedTuple):
    features: int
    dims: int
    size: int
    together: Together
    density: float


_SETUPS = {
    "two correlated pairs": _Setup(4, 2, 2, "correlated", 0.1),
    "two anticorrelated pairs": _Setup(4, 2, 2, "anticorrelated", 0.1),
    "three correlated pairs": _Setup(6, 2, 2, "correlated", 0.03),
    "two correlated sets of ten": _Setup(20, 10, 10, "correlated", 0.1),
    "two anticorrelated sets of ten": _Setup(20, 10, 10, "anticorrelated", 0.1),
}


def made(scale: str, how: Training, seeds: int, seed: Seed) -> Kept:
    """Trains every setup; they are the same at any scale."""
    kept = Kept([], {})
    for name, setup in _SETUPS.items():
        law = Law(num_features=setup.features, together=setup.together, size=setup.size)
        cells = [Cell(name=name, density=setup.density, facts={"scale": scale})]
        kept = kept.and_then(trained(laid_out("relu", law, setup.dims, cells, seeds), cells, how, seed.child(name)))
    return kept


def told(rows: Sequence[Row]) -> Told:
    """Cosines of directions within sets and between them, mean over starts and of the best one."""
    cells, best = by_cell(rows), best_rows(rows)
    estimates, said, drawn = [], [], []
    for name, some in cells.items():
        read = {row.key: _cosines(weights_of(row), _SETUPS[name].size) for row in some}
        for place, where in enumerate(("within a set", "between sets")):
            values = [float(each[place]) for each in read.values()]
            metric = f"{'cosine' if _SETUPS[name].size == 2 else 'size of the cosine'} {where}"
            estimates.append(Estimate.of(metric, clustered_mean(values), group=name, headline=not place))
        inside, outside = read[best[name].key]
        said.append(f"{name} {number(float(inside), 2)} and {number(float(outside), 2)}")
        drawn.append(_figure(name, best[name]))
    summary = f"Mean cosines (of sets of ten their sizes) within sets and between them, best start: {'; '.join(said)}."
    return Told(summary, estimates, drawn)


def _cosines(w_MN: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Mean cosine of two directions of one set, and of two sets; of sets larger than pairs its mean size."""
    unit_MN = torch.nn.functional.normalize(w_MN, dim=0)
    cosine_NN = unit_MN.T @ unit_MN
    if size > 2:
        cosine_NN = cosine_NN.abs()
    place_N = torch.arange(w_MN.shape[1])
    same_NN = place_N[:, None] // size == place_N // size
    return cosine_NN[same_NN & (place_N[:, None] != place_N)].mean(), cosine_NN[~same_NN].mean()


def _figure(name: str, row: Row) -> Figure:
    w_MN, size = weights_of(row), _SETUPS[name].size
    labels = [f"{chr(ord('a') + i // size)}{i % size + 1}" for i in range(w_MN.shape[1])]
    if w_MN.shape[0] == 2:
        ends = [Arrow(float(x), float(y), label) for label, (x, y) in zip(labels, w_MN.T.tolist(), strict=True)]
        return arrows(ends, title=f"Best start: {name}", caption="A letter is a set.", section="correlated")
    gram = (w_MN.T @ w_MN).tolist()
    return heatmap(labels, labels, gram, title=f"W'W of the best start: {name}", diverging=True, section="correlated")
