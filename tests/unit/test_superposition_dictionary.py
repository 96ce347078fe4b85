"""A dictionary finds directions that were set by hand, and none where there are none to find."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gnomon.core.seeds import Seed
from gnomon.explain.superposition.dictionary import agreement, learn_atoms
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.geometry import polytopes


def hidden(w: Tensor, density: float) -> Tensor:
    x = Law(num_features=w.shape[1]).draws(3000, Seed(1), 0).at(torch.tensor(density))
    return x[(x > 0).any(1)] @ w.T


def directions(dims: int, features: int) -> Tensor:
    w = torch.randn(dims, features, generator=torch.Generator().manual_seed(3))
    return torch.nn.functional.normalize(w, dim=0)


def test_planted_directions_are_found_and_dense_ones_are_not() -> None:
    w = directions(10, 20)
    rare = agreement(learn_atoms(hidden(w, 0.05), 20, Seed(0)), w)
    assert rare.mmcs >= 0.95 and rare.precision >= 0.9 and rare.recall >= 0.9
    dense = agreement(learn_atoms(hidden(w, 1.0), 20, Seed(0)), w)
    # Atoms at random come to 0.6 here.
    assert dense.recall == 0 and dense.mmcs < 0.75


def test_opposite_features_are_two_atoms() -> None:
    w = torch.block_diag(*[polytopes()["digon"]] * 3)
    atoms = learn_atoms(hidden(w, 0.1), 6, Seed(0))
    assert atoms.shape[1] == 6 and agreement(atoms, w).mmcs == pytest.approx(1, abs=1e-3)


def test_agreement_counts_what_is_near() -> None:
    true = torch.eye(3)
    atoms = torch.tensor([[1.0, 0, 0.6], [0, -1, 0], [0, 0, 0.8]])
    found = agreement(atoms, true)
    # The first is found, the second only turned round, the third at a cosine of 0.8.
    assert found.mmcs == pytest.approx((1 + 0 + 0.8) / 3)
    assert found.precision == pytest.approx(1 / 3) and found.recall == pytest.approx(1 / 3)
    assert agreement(torch.zeros(3, 0), true) == (0, 0, 0)
