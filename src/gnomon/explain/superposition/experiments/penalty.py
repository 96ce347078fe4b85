"""Does a penalty on what is inside a model take superposition away, and at what price?

Elhage et al. 2022 (arXiv 2209.10652), "The Strategic Picture of Superposition": a weight λ on the sizes of the hidden
values, |h|_1, beside the squared error. λ = 0 is the control, and so are dense features, of which a ReLU model keeps as
many as it has dimensions without any penalty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gnomon.core.record import Row
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.geometry import LEARNED, interference
from gnomon.explain.superposition.toys import Training
from gnomon.explain.superposition.trainings import (
    Cell,
    Kept,
    Told,
    by_cell,
    laid_out,
    learned,
    trained,
    weights_of,
)
from gnomon.report.base import Estimate, Figure
from gnomon.report.figures import Point, curves
from gnomon.report.words import number
from gnomon.stats.intervals import Interval, clustered_mean

if TYPE_CHECKING:
    from gnomon.core.seeds import Seed

__all__ = ["made", "told"]

_PENALTIES = (0.0, 0.003, 0.01, 0.03, 0.1, 0.3)
_RARE, _DENSE = "rare", "dense"
_DENSITIES = {_RARE: 0.05, _DENSE: 1.0}
_DEARER = "squared error against λ 0"
# Where λ = 0 stands on an axis of logarithms.
_NONE_AT = 0.001


def made(scale: str, how: Training, seeds: int, seed: Seed) -> Kept:
    """Trains every λ on rare and on dense features: 20 of importances 0.7^i in 5 dimensions, at any scale."""
    cells = [
        Cell(
            name=f"{name}, λ {penalty:g}",
            density=density,
            importance=[0.7**i for i in range(20)],
            penalty=penalty,
            facts={"data": name, "penalty": penalty, "scale": scale},
        )
        for name, density in _DENSITIES.items()
        for penalty in _PENALTIES
    ]
    return trained(laid_out("relu", Law(num_features=20), 5, cells, seeds), cells, how, seed)


def told(rows: Sequence[Row]) -> Told:
    """Features represented, their interference, and the squared error without the penalty, over λ."""
    cells = by_cell(rows)
    # Starts and draws are the same for every λ.
    free = {(row.evidence["data"], row.evidence["toy"]["seed"]): _error(row) for row in _at(rows, 0.0)}
    reads: dict[str, Callable[[Row], float]] = {
        "features represented": lambda row: float(learned(row)),
        "interference of represented features": _crowded,
        _DEARER: lambda row: _error(row) / free[row.evidence["data"], row.evidence["toy"]["seed"]],
    }
    found = {
        metric: {name: clustered_mean([read(row) for row in some]) for name, some in cells.items()}
        for metric, read in reads.items()
    }
    estimates = [
        Estimate.of(metric, each, group=name, headline=metric == "features represented" and name.startswith(_RARE))
        for metric, by_name in found.items()
        for name, each in by_name.items()
    ]
    counted = {
        data: ", ".join(
            f"{number(found['features represented'][f'{data}, λ {penalty:g}'].value, 1)} at {penalty:g}"
            for penalty in _PENALTIES
        )
        for data in _DENSITIES
    }
    dearer = number(found[_DEARER][f"{_RARE}, λ 0.1"].value, 2)
    summary = (
        f"Under a penalty of λ on hidden values a model of rare features represents {counted[_RARE]}; of dense ones "
        f"{counted[_DENSE]} (means of starts). At λ 0.1 its squared error on rare ones is {dearer} times as large as "
        "without."
    )
    return Told(summary, estimates, [_curve(metric, by_name, cells) for metric, by_name in found.items()])


def _at(rows: Sequence[Row], penalty: float) -> list[Row]:
    return [row for row in rows if row.error is None and row.evidence["penalty"] == penalty]


def _error(row: Row) -> float:
    return float(row.evidence["loss"])


def _crowded(row: Row) -> float:
    """Mean interference with a represented feature; 0 where none is."""
    w_MN = weights_of(row)
    represented_N = w_MN.norm(dim=0) >= LEARNED
    return float(interference(w_MN)[represented_N].mean()) if bool(represented_N.any()) else 0.0


def _curve(metric: str, found: dict[str, Interval], cells: dict[str, list[Row]]) -> Figure:
    points = [
        Point(
            cells[name][0].evidence["penalty"] or _NONE_AT,
            each.value or 0.0,
            each.low,
            each.high,
            f"{cells[name][0].evidence['data']} features",
        )
        for name, each in found.items()
    ]
    return curves(
        points,
        x="λ",
        y=metric,
        title=f"{metric.capitalize()} over the penalty",
        caption=f"No penalty stands at {_NONE_AT:g}. Means of starts.",
        log_x=True,
        log_y=metric == _DEARER,
        section="penalty",
    )
