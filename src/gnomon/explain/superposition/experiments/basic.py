"""Which features are kept, and at what price, as they become rarer?

Elhage et al. 2022 (arXiv 2209.10652), "Demonstrating Superposition": 20 features of falling importance in 5 dimensions,
by a linear model (the control: it keeps the 5 most important at any density) and by ReLU models; and 5 features in 2
dimensions, which go from two axes over pairs of opposites to a pentagon.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gnomon.core.record import Row
from gnomon.explain.superposition.geometry import LEARNED, interference
from gnomon.explain.superposition.toys import Training
from gnomon.explain.superposition.trainings import (
    Kept,
    Setup,
    Told,
    best_rows,
    by_cell,
    learned,
    median_loss,
    over_densities,
    share_of,
    weights_of,
)
from gnomon.report.base import Estimate, Figure, Table
from gnomon.report.figures import heatmap
from gnomon.report.vectors import Arrow, Bar, arrows, bars
from gnomon.stats.intervals import clustered_mean, proportion

if TYPE_CHECKING:
    from gnomon.core.seeds import Seed

__all__ = ["made", "told"]


_RARER = (1.0, 0.3, 0.1, 0.03, 0.01)
_SETUPS = {
    "small": (
        Setup("linear", "linear", 20, 5, 0.7, _RARER),
        Setup("relu", "relu", 20, 5, 0.7, _RARER),
        Setup("five in two", "relu", 5, 2, 0.9, (1.0, 0.2, 0.05)),
    ),
    "paper": (
        Setup("linear", "linear", 20, 5, 0.7, (*_RARER, 0.003, 0.001)),
        Setup("relu", "relu", 20, 5, 0.7, (*_RARER, 0.003, 0.001)),
        Setup("relu 80", "relu", 80, 20, 0.9, (*_RARER, 0.003, 0.001)),
        Setup("five in two", "relu", 5, 2, 0.9, (1.0, 0.2, 0.1, 0.05)),
    ),
}


def made(scale: str, how: Training, seeds: int, seed: Seed) -> Kept:
    """Trains every setup at every density."""
    return over_densities(_SETUPS[scale], how, seeds, seed)


def told(rows: Sequence[Row]) -> Told:
    """Features learned by density, shares of geometries, and pictures of the best of each cell."""
    cells, best = by_cell(rows), best_rows(rows)
    estimates = []
    for name, some in cells.items():
        counts = [float(learned(row)) for row in some]
        estimates.append(Estimate.of("features learned", clustered_mean(counts), group=name, headline=True))
        setup, density = (some[0].evidence[fact] for fact in ("setup", "density"))
        if setup == "linear" or (setup == "relu" and density == 1):
            estimates += _controls(name, best[name], len(some))
    fives = [name for name in cells if name.startswith("five in two")]
    rare = fives[-1]
    pentagons = proportion(share_of(cells[rare], "pentagon"))
    estimates.append(Estimate.of("share of pentagons", pentagons, group=rare, headline=True))
    summary = (
        f"{_kept(best, 'linear')} {_kept(best, 'relu')} Of 5 features in 2 dimensions the best start makes "
        + ", ".join(f"{best[name].evidence['shape']} at {name.split(', ')[1]}" for name in fives)
        + "."
    )
    return Told(summary, estimates, _figures(best), [_table(cells, best)])


def _controls(name: str, row: Row, starts: int) -> list[Estimate]:
    """How many features the best model learns, and how many of the most important ones: as many as it has dimensions,
    of a linear model whatever their density, of a ReLU model where they are always there."""
    dims = row.evidence["toy"]["dims"]
    first = int((weights_of(row)[:, :dims].norm(dim=0) >= LEARNED).sum())
    return [
        Estimate(
            metric=metric,
            value=float(count),
            n=starts,
            clusters=starts,
            group=name,
            reason="of the start of least loss",
            expected=(dims, dims),
        )
        for metric, count in (
            ("features learned, best start", learned(row)),
            ("most important features learned, best start", first),
        )
    ]


def _kept(best: dict[str, Row], setup: str) -> str:
    counts = [learned(row) for row in best.values() if row.evidence["setup"] == setup]
    densities = [row.evidence["density"] for row in best.values() if row.evidence["setup"] == setup]
    said = ", ".join(f"{count} at density {density:g}" for count, density in zip(counts, densities, strict=True))
    return f"Of 20 features in 5 dimensions a {setup if setup == 'linear' else 'ReLU'} model learns {said}."


def _table(cells: dict[str, list[Row]], best: dict[str, Row]) -> Table:
    cells_of = [
        [name, best[name].evidence["shape"], best[name].evidence["loss"], median_loss(some), len(some), _shapes(some)]
        for name, some in cells.items()
    ]
    columns = ("models", "best start makes", "its loss", "median loss", "starts", "all starts")
    caption = "Losses are means over examples and features, on examples that were not trained on."
    return Table(title="Basic: geometry by start", columns=columns, rows=cells_of, caption=caption, section="basic")


def _shapes(rows: Sequence[Row]) -> str:
    names = [row.evidence["shape"] for row in rows]
    return ", ".join(f"{name} {names.count(name)}" for name in sorted(set(names), key=lambda n: -names.count(n)))


def _figures(best: dict[str, Row]) -> list[Figure]:
    drawn = []
    for name, row in best.items():
        w_MN = weights_of(row)
        features = [str(i + 1) for i in range(w_MN.shape[1])]
        if row.evidence["setup"] == "five in two":
            ends = [Arrow(float(x), float(y), name) for name, x, y in zip(features, *w_MN.tolist(), strict=True)]
            drawn.append(arrows(ends, title=f"Features in the plane: {name}", section="basic"))
        elif row.evidence["density"] in (1.0, 0.1, 0.01):
            gram = (w_MN.T @ w_MN).tolist()
            drawn.append(heatmap(features, features, gram, title=f"W'W: {name}", diverging=True, section="basic"))
            lengths, others = w_MN.norm(dim=0).tolist(), interference(w_MN).tolist()
            shown = [Bar(*each) for each in zip(features, lengths, others, strict=True)]
            title = f"Length of each feature's direction: {name}"
            drawn.append(
                bars(shown, x="feature", y="|W_i|", legend="interference", title=title, section="basic", deepest=1.0)
            )
    return drawn
