"""Trainings laid out in cells, a number of seeds each, and what is kept of them: rows, and weights to save.

Models of a cell differ in where they start; all of one call see the same draws, so intervals over seeds are about where
training starts and not about which examples it met.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gnomon.core.record import Row
from gnomon.core.seeds import Seed
from gnomon.explain.superposition.attacks import errors
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.geometry import LEARNED, groups, shape
from gnomon.explain.superposition.toys import BENT, Kind, Toys, Trained, Training, Watch, train
from gnomon.report.base import Estimate, Figure, Table

__all__ = [
    "COMPARED",
    "Cell",
    "Kept",
    "Setup",
    "Told",
    "best_rows",
    "by_cell",
    "compared",
    "laid_out",
    "learned",
    "median_loss",
    "over_densities",
    "share_of",
    "trained",
    "weights_of",
]


COMPARED = 200_000
"Examples that two models are compared on; fewer where they have so many features that these are too many numbers."
_COMPARED_FLOATS = 2**24
_AT_ONCE, _AT_ONCE_FLOATS = 50_000, 2**22


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What models of one cell share.

    Attributes:
        name: unique within the part; part of each row's key.
        density: of every feature, or one for each.
        importance: of every feature, or one for each.
        penalty, attack: as in `Toys`.
        facts: what the report sorts by, JSON values.
    """

    name: str
    density: float | Sequence[float]
    importance: float | Sequence[float] = 1.0
    penalty: float = 0.0
    attack: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)


class Kept(NamedTuple):
    """What a part leaves: rows, and tensors by the names they are saved under."""

    rows: list[Row]
    tensors: dict[str, Tensor]

    def and_then(self, more: Kept) -> Kept:
        """Both, these first."""
        return Kept([*self.rows, *more.rows], {**self.tensors, **more.tensors})


class Told(NamedTuple):
    """What a part's rows say."""

    summary: str
    estimates: Sequence[Estimate] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()


class Setup(NamedTuple):
    """A shape of model, trained at each of some densities; the importance of feature i is `ratio` to the power i."""

    name: str
    kind: Kind
    features: int
    dims: int
    ratio: float
    densities: Sequence[float]


def laid_out(kind: Kind, law: Law, num_dims: int, cells: Sequence[Cell], seeds: int) -> Toys:
    """The models of `cells`, cell by cell, `seeds` of each."""

    def by_model(values: Sequence[float | Sequence[float]]) -> Tensor:
        rows = [torch.as_tensor(value, dtype=torch.float).expand(law.num_features) for value in values]
        return torch.stack(rows).repeat_interleave(seeds, dim=0).contiguous()

    def sizes(values: Sequence[float]) -> Tensor | None:
        return torch.tensor(values).repeat_interleave(seeds) if any(values) else None

    return Toys(
        kind=kind,
        law=law,
        num_dims=num_dims,
        density_KN=by_model([cell.density for cell in cells]),
        importance_KN=by_model([cell.importance for cell in cells]),
        seeds=[*range(seeds)] * len(cells),
        penalty_K=sizes([cell.penalty for cell in cells]),
        attack_K=sizes([cell.attack for cell in cells]),
    )


def trained(toys: Toys, cells: Sequence[Cell], how: Training, seed: Seed, watch: Watch | None = None) -> Kept:
    """Trains the models of `laid_out`; a row a model, named CELL/SEED, an error where weights are not finite, or where
    a feature is so rare that it is expected in less than one example of the whole training.

    `watch` is as in `train`.

    A row's evidence holds the cell's facts, `toy` (what was trained, see `saved`), `w` [M][N] (of the matrix out) and
    `b`, five digits each, the mean loss, and for tied models with a linear hidden layer the name of their geometry.
    """
    found, seeds = train(toys, how, seed, watch), len(toys.seeds) // len(cells)
    rows: list[Row] = []
    tensors: dict[str, Tensor] = {}
    for k in range(len(toys.seeds)):
        cell = cells[k // seeds]
        key = f"{cell.name}/{toys.seeds[k]}"
        tensors |= {f"{key}/w": found.w_out_KMN[k].clone(), f"{key}/b": found.b_KN[k].clone()}
        if toys.kind == "absolute":
            tensors[f"{key}/u"] = found.w_in_KMN[k].clone()
        rows.append(_row(key, cell, toys, found, k, how))
    return Kept(rows, tensors)


def over_densities(setups: Sequence[Setup], how: Training, seeds: int, seed: Seed) -> Kept:
    """Trains every setup at each of its densities; a cell has the facts `setup` and `density`."""
    kept = Kept([], {})
    for setup in setups:
        cells = [
            Cell(
                name=f"{setup.name}, density {density:.3g}",
                density=density,
                importance=[setup.ratio**i for i in range(setup.features)],
                facts={"setup": setup.name, "density": density},
            )
            for density in setup.densities
        ]
        toys = laid_out(setup.kind, Law(num_features=setup.features), setup.dims, cells, seeds)
        kept = kept.and_then(trained(toys, cells, how, seed.child(setup.name)))
    return kept


def weights_of(row: Row, name: str = "w") -> Tensor:
    """The weights of a row of `trained`."""
    return torch.tensor(row.evidence[name])


def learned(row: Row) -> int:
    """Features of a row's model that are long enough to count."""
    return int((weights_of(row).norm(dim=0) >= LEARNED).sum())


def by_cell(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Sound rows by the name of their cell, in order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row.error is None:
            found.setdefault(row.cluster, []).append(row)
    return found


def best_rows(rows: Sequence[Row]) -> dict[str, Row]:
    """The row of least loss of each cell."""
    return {name: min(some, key=lambda row: row.evidence["loss"]) for name, some in by_cell(rows).items()}


def median_loss(rows: Sequence[Row]) -> float:
    """The median loss of some rows."""
    return statistics.median(float(row.evidence["loss"]) for row in rows)


def compared(
    first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], law: Law, density: Tensor, seed: Seed
) -> dict[str, float]:
    """By how much one tied ReLU model costs more than another on the same new examples.

    Args:
        first, second: W [M, N] and b [N] of each.
        density: of every feature, or one for each [N].

    Returns:
        `value`, the mean difference as a share of the second's loss, its standard error `se`, and the examples, `n`.
    """
    differences, losses = [], []
    whole = min(COMPARED, _COMPARED_FLOATS // law.num_features)
    at_once = min(whole, _AT_ONCE, _AT_ONCE_FLOATS // law.num_features)
    for step in range(whole // at_once):
        x_BN = law.draws(at_once, seed.child("compared"), step).at(density)
        first_B, second_B = errors(*first, x_BN), errors(*second, x_BN)
        differences.append(first_B - second_B)
        losses.append(second_B.mean())
    difference, loss = torch.cat(differences), float(torch.stack(losses).mean())
    n = len(difference)
    return {"value": float(difference.mean()) / loss, "se": float(difference.std()) / n**0.5 / loss, "n": n}


def share_of(rows: Sequence[Row], name: str) -> list[float]:
    """1 for each row whose geometry is `name`, else 0."""
    return [float(row.evidence["shape"] == name) for row in rows]


def _row(key: str, cell: Cell, toys: Toys, found: Trained, k: int, how: Training) -> Row:
    loss, met = float(found.loss_K[k]), _met(toys, k, how)
    toy = {
        "kind": toys.kind,
        "features": toys.law.num_features,
        "dims": toys.num_dims,
        "together": toys.law.together,
        "density": _digits(toys.density_KN[k]),
        "importance": _digits(toys.importance_KN[k]),
        "penalty": cell.penalty,
        "attack": cell.attack,
        "seed": toys.seeds[k],
        "steps": how.steps,
        "met": met,
    }
    evidence = {**cell.facts, "toy": toy}
    if not (math.isfinite(loss) and bool(torch.isfinite(found.w_out_KMN[k]).all())):
        return Row(key=key, cluster=cell.name, evidence=evidence, error="weights stopped being finite")
    if met < 1:
        return Row(key=key, cluster=cell.name, evidence=evidence, error="training was too short to meet every feature")
    evidence |= {"loss": loss, "w": _digits(found.w_out_KMN[k]), "b": _digits(found.b_KN[k])}
    if toys.kind == "absolute":
        evidence["u"] = _digits(found.w_in_KMN[k])
    if toys.kind not in BENT:
        evidence["shape"] = shape(groups(found.w_out_KMN[k]))
    return Row(key=key, cluster=cell.name, evidence=evidence)


def _met(toys: Toys, k: int, how: Training) -> float:
    """In how many examples of the training of a model its rarest feature is, as expected."""
    share = float(toys.density_KN[k].min())
    if toys.law.together == "anticorrelated":
        share /= toys.law.size
    return share * how.batch * how.steps


def _digits(values: Tensor) -> Any:
    return torch.round(values.double(), decimals=5).tolist()
