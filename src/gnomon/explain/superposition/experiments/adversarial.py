"""Does packing features together make a model easier to fool?

Elhage et al. 2022 (arXiv 2209.10652), "Relationship to Adversarial Robustness". An attack moves an example by a tenth
of the mean length of examples of its density, along ±(W'W)_i of whichever feature i does most harm. What the loss rises
by, over the squared length of the attack, is compared with that of the densest model, which has no superposition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from scipy.stats import spearmanr
from torch import Tensor

from gnomon.core.record import Row
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.toys import Toys, Training, forward
from gnomon.explain.superposition.trainings import Cell, Kept, Told, by_cell, laid_out, trained
from gnomon.report.base import Estimate
from gnomon.report.figures import Dot, Point, curves, scatter
from gnomon.report.words import number
from gnomon.stats.intervals import clustered_mean

if TYPE_CHECKING:
    from gnomon.core.seeds import Seed

__all__ = ["attacked", "made", "told"]

_SIZES = {"small": (40, 8, 6, 4), "paper": (400, 30, 15, 10)}
_STRENGTH = 0.1
_EXAMPLES = 512


def made(scale: str, how: Training, seeds: int, seed: Seed) -> Kept:
    """Trains equal features at each density, and attacks every model; at most `seeds` starts."""
    features, dims, densities, starts = _SIZES[scale]
    cells = [
        Cell(name=f"density {p:.3g}", density=p, facts={"density": p})
        for p in torch.logspace(0, -2, densities).tolist()
    ]
    toys = laid_out("relu", Law(num_features=features), dims, cells, min(seeds, starts))
    kept = trained(toys, cells, how, seed)
    rows = []
    for k, row in enumerate(kept.rows):
        if row.error is None:
            w_MN, b_N = kept.tensors[f"{row.key}/w"], kept.tensors[f"{row.key}/b"]
            length, rise = _attacked_model(toys, k, w_MN, b_N, seed)
            per_dim = float(w_MN.square().sum()) / dims
            facts = {"density": row.evidence["density"], "loss": row.evidence["loss"]}
            evidence = {**facts, "length": length, "rise": rise, "features_per_dim": per_dim}
            row = Row(key=row.key, cluster=row.cluster, evidence=evidence)
        rows.append(row)
    return Kept(rows, kept.tensors)


def attacked(w_MN: Tensor, b_N: Tensor, x_BN: Tensor, length: float) -> Tensor:
    """The summed squared error [B] of each example under the most harmful attack of `length` along ±(W'W)_i."""
    directions_NN = torch.nn.functional.normalize(w_MN.T @ w_MN, dim=1)
    worst_B = torch.full((len(x_BN),), -torch.inf)
    for along_N in torch.cat([directions_NN, -directions_NN]):
        y_1BN = forward("relu", w_MN[None], w_MN[None], b_N[None], (x_BN + length * along_N)[None])
        worst_B = torch.maximum(worst_B, (y_1BN[0] - x_BN).square().sum(-1))
    return worst_B


def _attacked_model(toys: Toys, k: int, w_MN: Tensor, b_N: Tensor, seed: Seed) -> tuple[float, float]:
    """The length of the attack, and what the loss rises by over its square."""
    x_BN = toys.law.draws(_EXAMPLES, seed.child("attacked"), 0).at(toys.density_KN[k])
    length = _STRENGTH * float(x_BN.norm(dim=1).mean())
    y_1BN = forward("relu", w_MN[None], w_MN[None], b_N[None], x_BN[None])
    clean_B = (y_1BN[0] - x_BN).square().sum(-1)
    return length, float((attacked(w_MN, b_N, x_BN, length) - clean_B).mean()) / length**2


def told(rows: Sequence[Row]) -> Told:
    """Rise by density, its ratio to the densest, and how it goes with features a dimension."""
    cells = by_cell(rows)
    found = {name: clustered_mean([row.evidence["rise"] for row in some]) for name, some in cells.items()}
    estimates = [Estimate.of("rise of the loss by an attack", each, group=name) for name, each in found.items()]
    means = [each.value or 0.0 for each in found.values()]
    ratio = max(means) / means[0]
    sound = [row for some in cells.values() for row in some]
    together = float(spearmanr([r.evidence["features_per_dim"] for r in sound], [r.evidence["rise"] for r in sound])[0])
    models = len(sound)
    for metric, value in (("most vulnerable against densest", ratio), ("rank correlation with features", together)):
        reason = "models of one density resemble each other, and the largest was picked"
        estimates.append(
            Estimate(metric=metric, value=value, n=models, clusters=len(cells), reason=reason, headline=True)
        )
    lengths = [sound[0].evidence["length"], sound[-1].evidence["length"]]
    summary = (
        f"An attack harms the most superposed model {number(ratio, 2)} times as much as the densest; harm goes with "
        f"features a dimension by a rank correlation of {number(together, 2)}."
    )
    points = [
        Point(cells[name][0].evidence["density"], each.value or 0.0, each.low, each.high)
        for name, each in found.items()
    ]
    dots = [Dot(r.evidence["features_per_dim"], r.evidence["rise"], label=r.key) for r in sound]
    y = "rise of the loss over the attack's squared length"
    drawn = [
        curves(points, x="density", y=y, title="Harm of an attack by density", log_x=True, section="adversarial"),
        scatter(dots, x="features a dimension", y=y, title="Harm by features a dimension", section="adversarial"),
    ]
    note = f"attacks are {lengths[0]:.3f} long at the highest density and {lengths[1]:.3f} at the lowest"
    return Told(summary, estimates, drawn, notes=[note])
