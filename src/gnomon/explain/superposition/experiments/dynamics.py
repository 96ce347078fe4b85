"""How does the geometry come about in training?

Elhage et al. 2022 (arXiv 2209.10652), "Superposition and Learning Dynamics": the shares of a dimension that equal
features take, and the loss, over training; and the stages that two sets of three correlated features in three
dimensions pass through, of the best of several starts. Nothing here detects jumps; the curves show where there are any.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gnomon.core.record import Row
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.geometry import dimensionality, groups, shape
from gnomon.explain.superposition.toys import Toys, Training, losses, train
from gnomon.explain.superposition.trainings import Cell, Kept, Told, laid_out
from gnomon.report.figures import Point, curves

if TYPE_CHECKING:
    from gnomon.core.seeds import Seed

__all__ = ["made", "told"]

_LOOKS = 100
_EQUAL, _SETS = "equal features", "correlated sets"


def made(scale: str, how: Training, seeds: int, seed: Seed) -> Kept:
    """Trains `seeds` starts of each kind, looks at them a hundred times, and keeps what was seen of the best."""
    features, dims = {"small": (20, 8), "paper": (400, 30)}[scale]
    rows = [
        _watched(name, laid_out("relu", law, size, [Cell(name=name, density=density)], seeds), how, seed)
        for name, law, size, density in (
            (_EQUAL, Law(num_features=features), dims, 0.2),
            (_SETS, Law(num_features=6, together="correlated", size=3), 3, 0.05),
        )
    ]
    return Kept(rows, {})


def _watched(name: str, toys: Toys, how: Training, seed: Seed) -> Row:
    looks: list[list[dict[str, Any]]] = [[] for _ in toys.seeds]
    every = max(1, how.steps // _LOOKS)
    tested = toys.law.draws(4096, seed.child("watched"), 0)

    def watch(step: int, w_KMN: Tensor, b_KN: Tensor) -> None:
        if step % every:
            return
        for seen, loss, w_MN in zip(looks, losses(toys, w_KMN, w_KMN, b_KN, tested).tolist(), w_KMN, strict=True):
            shares = torch.round(dimensionality(w_MN).double(), decimals=4).tolist()
            seen.append({"step": step, "loss": loss, "shares": shares, "shape": shape(groups(w_MN))})

    found = train(toys, how, seed.child(name), watch)
    best = int(torch.nan_to_num(found.loss_K, nan=torch.inf).argmin())
    return Row(key=name, cluster=name, evidence={"looks": looks[best], "starts": len(toys.seeds)})


def told(rows: Sequence[Row]) -> Told:
    """Shares and loss over training, and what the correlated sets went through."""
    equal, sets = (row.evidence["looks"] for row in rows)
    stages = list(dict.fromkeys(look["shape"] for look in sets))
    summary = (
        f"Of {rows[1].evidence['starts']} starts the best goes from {stages[0]} to {sets[-1]['shape']} on two "
        f"correlated sets of three, by way of {len(stages)} geometries: {', '.join(stages)}."
    )
    shares = [Point(look["step"], share, series=str(i + 1)) for look in equal for i, share in enumerate(look["shares"])]
    loss = [Point(look["step"], look["loss"]) for look in equal]
    staged = [Point(look["step"], look["loss"], series=look["shape"]) for look in sets]
    title = "Equal features: the share of a dimension that each has"
    drawn = [
        curves(shares, x="step", y="D_i", title=title, section="dynamics"),
        curves(loss, x="step", y="loss", title="Equal features: loss", log_y=True, section="dynamics"),
        curves(staged, x="step", y="loss", title="Correlated sets: loss by geometry", log_y=True, section="dynamics"),
    ]
    return Told(summary, figures=drawn)
