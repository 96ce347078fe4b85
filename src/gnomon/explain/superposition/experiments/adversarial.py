"""Does packing features together make a model easier to fool, and does training against attacks unpack them?

Elhage et al. 2022 (arXiv 2209.10652), "Relationship to Adversarial Robustness". An attack moves an example by a tenth
of the mean length of examples of its density. What it does is read twice, both over its squared length: the loss under
attack, and by how much that is above the loss without. Attacks scale with examples, biases do not: where an example
holds less than one feature, most are empty and an attack is shorter than what the biases let pass. So how harm goes
with features a dimension is read over all models, and over those whose examples hold a feature or more.

Models of one density are then trained under attacks of several lengths.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from scipy.stats import spearmanr

from gnomon.core.record import Row
from gnomon.explain.superposition.attacks import analytic, by_gradient, errors
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.toys import Toys, Training
from gnomon.explain.superposition.trainings import Cell, Kept, Told, by_cell, laid_out, trained
from gnomon.report.base import Estimate, Figure
from gnomon.report.figures import Dot, Point, curves, scatter
from gnomon.report.words import number
from gnomon.stats.intervals import clustered_mean

if TYPE_CHECKING:
    from gnomon.core.seeds import Seed

__all__ = ["made", "told"]

_SIZES = {"small": (100, 10, 10, 3), "paper": (400, 30, 15, 10)}
_RAREST = 10**-2.6
_STRENGTH = 0.1
_EXAMPLES = 512
_HARDENED_AT = 0.03
_STRENGTHS = (0.0, 0.1, 0.2, 0.4, 0.8)
_DENSITIES, _HARDENED = "densities", "hardened"


def made(scale: str, how: Training, seeds: int, seed: Seed) -> Kept:
    """Trains equal features at each density, and at one density under each attack; at most `seeds` starts."""
    features, dims, densities, starts = _SIZES[scale]
    law = Law(num_features=features)
    plain = [
        Cell(name=f"density {p:.3g}", density=p, facts={"kind": _DENSITIES})
        for p in torch.logspace(0, float(torch.tensor(_RAREST).log10()), densities).tolist()
    ]
    length = _mean_length(law, _HARDENED_AT, seed)
    hardened = [
        Cell(
            name=f"attacks of {s:g}", density=_HARDENED_AT, attack=s * length, facts={"kind": _HARDENED, "strength": s}
        )
        for s in _STRENGTHS
    ]
    kept = Kept([], {})
    for cells in (plain, hardened):
        toys = laid_out("relu", law, dims, cells, min(seeds, starts))
        models = trained(toys, cells, how, seed)
        rows = [row if row.error else _attacked(toys, k, row, models, seed) for k, row in enumerate(models.rows)]
        kept = kept.and_then(Kept(rows, models.tensors))
    return kept


def _mean_length(law: Law, density: float, seed: Seed) -> float:
    examples_BN = law.draws(_EXAMPLES, seed.child("attacked"), 0).at(torch.tensor(density))
    return float(examples_BN.norm(dim=1).mean())


def _attacked(toys: Toys, k: int, row: Row, models: Kept, seed: Seed) -> Row:
    """The row, with what attacks do."""
    w_MN, b_N = models.tensors[f"{row.key}/w"], models.tensors[f"{row.key}/b"]
    x_BN = toys.law.draws(_EXAMPLES, seed.child("attacked"), 0).at(toys.density_KN[k])
    length = _STRENGTH * float(x_BN.norm(dim=1).mean())
    clean, under = errors(w_MN, b_N, x_BN).mean(), analytic(w_MN, b_N, x_BN, length).mean()
    climbed = by_gradient(w_MN, b_N, x_BN, length)
    evidence = {
        "length": length,
        "held": float(toys.density_KN[k].sum()),
        "rise": float(under - clean) / length**2,
        "loss_under": float(under) / length**2,
        "rise_by_gradient": float(climbed.errors_B.mean() - clean) / length**2,
        "stuck": climbed.stuck,
        "per_dim": float(w_MN.square().sum()) / toys.num_dims,
    }
    return Row(key=row.key, cluster=row.cluster, evidence={**row.evidence, **evidence})


_READ: Mapping[str, str] = {
    "rise": "rise of the loss by an attack",
    "loss_under": "loss under an attack",
    "rise_by_gradient": "rise of the loss by a gradient attack",
    "stuck": "examples without a gradient",
}


def told(rows: Sequence[Row]) -> Told:
    """Harm by density and by features a dimension, and what training against attacks leaves."""
    cells = by_cell([row for row in rows if row.evidence["kind"] == _DENSITIES])
    sound = [row for some in cells.values() for row in some]
    estimates = _means(cells, _READ)
    ratios = {
        key: max(_mean(some, key) for some in cells.values()) / _mean(next(iter(cells.values())), key)
        for key in ("rise", "loss_under")
    }
    holding = [row for row in sound if row.evidence["held"] >= 1]
    together, full = (_rank_correlation(some) for some in (sound, holding))
    for metric, value, models in (
        ("most vulnerable against densest, rise", ratios["rise"], sound),
        ("most vulnerable against densest, loss under attack", ratios["loss_under"], sound),
        ("rank correlation with features", together, sound),
        ("rank correlation with features, one an example or more", full, holding),
    ):
        reason = "models of one density resemble each other, and the largest was picked"
        clusters = len({row.cluster for row in models})
        estimates.append(
            Estimate(metric=metric, value=value, n=len(models), clusters=clusters, reason=reason, headline=True)
        )
    summary = (
        f"An attack raises the loss of the most superposed models {number(ratios['rise'], 2)} times as much as that of "
        f"the densest, and the loss under attack is {number(ratios['loss_under'], 2)} times as large; harm goes with "
        f"features a dimension by a rank correlation of {number(together, 2)}, and of {number(full, 2)} where an "
        f"example holds a feature or more. {_of_gradients(cells)} "
    )
    trained_on = by_cell([row for row in rows if row.evidence["kind"] == _HARDENED])
    said, more = _hardened(trained_on)
    lengths = [sound[0].evidence["length"], sound[-1].evidence["length"]]
    note = f"attacks are {lengths[0]:.3f} long at the highest density and {lengths[1]:.3f} at the lowest"
    return Told(summary + said, [*estimates, *more], [*_figures(cells), _unpacked(trained_on)], notes=[note])


def _mean(rows: Sequence[Row], key: str) -> float:
    return statistics.fmean(row.evidence[key] for row in rows)


def _means(cells: Mapping[str, Sequence[Row]], read: Mapping[str, str]) -> list[Estimate]:
    return [
        Estimate.of(metric, clustered_mean([row.evidence[key] for row in some]), group=name)
        for key, metric in read.items()
        for name, some in cells.items()
    ]


def _rank_correlation(rows: Sequence[Row]) -> float:
    return float(spearmanr([row.evidence["per_dim"] for row in rows], [row.evidence["rise"] for row in rows])[0])


def _of_gradients(cells: Mapping[str, Sequence[Row]]) -> str:
    names = list(cells)
    stuck = " and ".join(f"{number(_mean(cells[name], 'stuck'), 2)} at {name}" for name in (names[0], names[-1]))
    return f"The share of examples where a gradient attack finds no slope is {stuck}."


def _hardened(cells: Mapping[str, Sequence[Row]]) -> tuple[str, list[Estimate]]:
    """Features a dimension, and harm, after training under attacks."""
    read = {"per_dim": "features a dimension after attacks", "rise": "rise of the loss after attacks"}
    estimates = _means(cells, read)
    said = ", ".join(f"{number(_mean(some, 'per_dim'), 2)} under {name}" for name, some in cells.items())
    return f"Training leaves {said} of the mean length of examples, in features a dimension.", estimates


def _figures(cells: Mapping[str, Sequence[Row]]) -> list[Figure]:
    points = []
    for key, series in (("rise", "analytic attack"), ("rise_by_gradient", "gradient attack")):
        for some in cells.values():
            found = clustered_mean([row.evidence[key] for row in some])
            density = some[0].evidence["toy"]["density"][0]
            points.append(Point(density, found.value or 0.0, found.low, found.high, series))
    y = "rise of the loss over the attack's squared length"
    held = {True: "a feature an example or more", False: "fewer"}
    dots = [
        Dot(row.evidence["per_dim"], row.evidence["rise"], held[row.evidence["held"] >= 1], row.key)
        for some in cells.values()
        for row in some
    ]
    return [
        curves(points, x="density", y=y, title="Harm of an attack by density", log_x=True, section="adversarial"),
        scatter(dots, x="features a dimension", y=y, title="Harm by features a dimension", section="adversarial"),
    ]


def _unpacked(cells: Mapping[str, Sequence[Row]]) -> Figure:
    points = []
    for some in cells.values():
        found = clustered_mean([row.evidence["per_dim"] for row in some])
        points.append(Point(some[0].evidence["strength"], found.value or 0.0, found.low, found.high))
    return curves(
        points,
        x="length of attacks in training, over the mean length of examples",
        y="features a dimension",
        title="Training against attacks unpacks features",
        reference=1.0,
        section="adversarial",
    )
