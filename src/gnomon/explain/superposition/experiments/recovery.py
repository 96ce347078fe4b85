"""Does a sparse dictionary find the features of a model that packs them?

Ours, on toy models as Elhage et al. 2022 (arXiv 2209.10652) train them, whose features are known: a dictionary is
learned from hidden values h = W x alone and compared with the columns of W. Planted models, with random directions,
say what the method can do; it has to fail where there is nothing sparse to find: on dense features, and on normal draws
with the mean and covariance of a planted model's hidden values. Atoms at random directions are what agreement is read
against.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gnomon.core.record import Row
from gnomon.explain.superposition.dictionary import Agreement, agreement, learn_atoms
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.geometry import LEARNED
from gnomon.explain.superposition.toys import Kind, Training
from gnomon.explain.superposition.trainings import Cell, Kept, Told, by_cell, laid_out, trained
from gnomon.report.base import Estimate, Table
from gnomon.report.figures import forest
from gnomon.report.words import number
from gnomon.stats.intervals import clustered_mean

if TYPE_CHECKING:
    from gnomon.core.seeds import Seed

__all__ = ["made", "told"]

_PLANTED, _DENSE, _NORMAL = "planted", "planted, dense features", "planted, normal draws"
_RARE = 0.03
_FEATURES, _DIMS = 40, 12
_TRAINED: dict[str, tuple[Kind, float, float]] = {
    "trained ReLU, equal features": ("relu", 1.0, _RARE),
    "trained ReLU, falling importance": ("relu", 0.9, _RARE),
    "trained linear, falling importance": ("linear", 0.9, _RARE),
}
_EXAMPLES = 4096
_STARTS = {"small": 4, "paper": 20}
# What a planted model has to be found by.
_LEAST = 0.95


def made(scale: str, how: Training, seeds: int, seed: Seed) -> Kept:
    """Plants models and trains others, and learns a dictionary of each; at most `seeds` of a kind."""
    starts = min(seeds, _STARTS[scale])
    rows = [row for start in range(starts) for row in _planted_rows(start, seed.child("planted", start))]
    kept = Kept(rows, {})
    for name, (kind, ratio, density) in _TRAINED.items():
        importance = [ratio**i for i in range(_FEATURES)]
        cells = [Cell(name=name, density=density, importance=importance)]
        models = trained(laid_out(kind, Law(num_features=_FEATURES), _DIMS, cells, starts), cells, how, seed)
        sound = [row if row.error else _read(row, models.tensors[f"{row.key}/w"], density, seed) for row in models.rows]
        kept = kept.and_then(Kept(sound, models.tensors))
    return kept


def told(rows: Sequence[Row]) -> Told:
    """Mean maximal cosine, precision and recall, by kind of model, beside atoms at random."""
    cells = by_cell(rows)
    estimates = []
    for name, some in cells.items():
        for metric in Agreement._fields:
            found = clustered_mean([row.evidence["found"][metric] for row in some])
            chance = sum(row.evidence["chance"][metric] for row in some) / len(some)
            estimates.append(
                Estimate.of(
                    _METRICS[metric],
                    found,
                    group=name,
                    null=chance,
                    headline=metric == "mmcs",
                    expected=(_LEAST, 1.0) if (name, metric) == (_PLANTED, "mmcs") else None,
                )
            )
    cosines = [each for each in estimates if each.metric == _METRICS["mmcs"]]
    said = "; ".join(f"{each.group} {number(each.value, 2)} ({number(each.null, 2)})" for each in cosines)
    summary = f"Largest cosine of a feature to an atom of a dictionary, mean (and of atoms at random): {said}."
    title = "How near a dictionary comes to the features"
    drawn = [forest(cosines, x=_METRICS["mmcs"], title=title, section="recovery")]
    lines = [[name, row.evidence["features"], row.evidence["atoms"]] for name, some in cells.items() for row in some]
    columns = ("models", "features learned", "atoms in use")
    table = Table(title="Dictionaries", columns=columns, rows=lines, section="recovery")
    return Told(summary, estimates, drawn, [table])


_METRICS = {
    "mmcs": "mean of largest cosines",
    "precision": "atoms that are features",
    "recall": "features that are atoms",
}


def _planted_rows(start: int, seed: Seed) -> list[Row]:
    """A model of random directions, its dictionary, and what must not be found."""
    generator = torch.Generator().manual_seed(seed.value)
    w_MN = torch.nn.functional.normalize(torch.randn(_DIMS, _FEATURES, generator=generator), dim=0)
    rows = [
        _read(Row(key=f"{name}/{start}", cluster=name, evidence={}), w_MN, density, seed)
        for name, density in ((_PLANTED, _RARE), (_DENSE, 1.0))
    ]
    h_BM = _hidden(w_MN, _RARE, seed)
    factor_MM = torch.linalg.cholesky(torch.cov(h_BM.T) + 1e-6 * torch.eye(_DIMS))
    normal_BM = h_BM.mean(0) + torch.randn(h_BM.shape, generator=generator) @ factor_MM.T
    found = _agreed(normal_BM, w_MN, seed)
    return [*rows, Row(key=f"{_NORMAL}/{start}", cluster=_NORMAL, evidence=found)]


def _read(row: Row, w_MN: Tensor, density: float, seed: Seed) -> Row:
    """The row, with how a dictionary of the model's hidden values agrees with its features."""
    found = _agreed(_hidden(w_MN, density, seed), w_MN, seed.child(row.key))
    return Row(key=row.key, cluster=row.cluster, evidence={**row.evidence, **found})


def _hidden(w_MN: Tensor, density: float, seed: Seed) -> Tensor:
    """Hidden values [B, M] of examples with a feature in them."""
    x_BN = Law(num_features=w_MN.shape[1]).draws(_EXAMPLES, seed.child("examples"), 0).at(torch.tensor(density))
    return x_BN[(x_BN > 0).any(1)] @ w_MN.T


def _agreed(h_BM: Tensor, w_MN: Tensor, seed: Seed) -> dict[str, Any]:
    true_MN = w_MN[:, w_MN.norm(dim=0) >= LEARNED]
    atoms_Mk = learn_atoms(h_BM, w_MN.shape[1], seed)
    generator = torch.Generator().manual_seed(seed.child("random").value)
    random_Mk = torch.randn(atoms_Mk.shape, generator=generator)
    return {
        "found": agreement(atoms_Mk, true_MN)._asdict(),
        "chance": agreement(random_Mk, true_MN)._asdict(),
        "features": true_MN.shape[1],
        "atoms": atoms_Mk.shape[1],
    }
