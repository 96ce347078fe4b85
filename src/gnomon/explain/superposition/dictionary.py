"""A sparse dictionary of hidden values: directions whose few, positive amounts add up to what a model holds.

For toy models the directions are known, so a dictionary that finds them is right. Amounts are found by non-negative
sparse coding, min ½|h − D c|² + λ Σ c with c ≥ 0, by accelerated proximal steps (Beck and Teboulle 2009), in turn with
the directions by least squares, at length 1 (Engan et al. 1999). That amounts are positive is known of features here,
and tells two opposite ones apart.

Shapes: B examples, M dimensions, N true directions, k atoms.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from gnomon.core.seeds import Seed

__all__ = ["ROUNDS", "Agreement", "agreement", "learn_atoms"]

ROUNDS = 60
"How often amounts and directions are found in turn."
_STEPS = 30
# Atoms that stand for nothing are put where examples are rebuilt worst, but not in the last rounds.
_SETTLING = 10
_USED = 1e-3
_FOUND = 0.9


class Agreement(NamedTuple):
    """How a dictionary agrees with the truth.

    Attributes:
        mmcs: mean over true directions of the largest cosine to an atom.
        precision: share of atoms that have a true direction within a cosine of 0.9.
        recall: share of true directions that have an atom as near.
    """

    mmcs: float
    precision: float
    recall: float


def agreement(atoms_Mk: Tensor, true_MN: Tensor) -> Agreement:
    """How atoms agree with directions that are there; all 0 where there are no atoms or no directions."""
    if not atoms_Mk.shape[1] or not true_MN.shape[1]:
        return Agreement(0.0, 0.0, 0.0)
    normalize = torch.nn.functional.normalize
    cosine_Nk = normalize(true_MN, dim=0).T @ normalize(atoms_Mk, dim=0)
    nearest_N, nearest_k = cosine_Nk.max(1).values, cosine_Nk.max(0).values
    return Agreement(
        float(nearest_N.mean()),
        float((nearest_k >= _FOUND).float().mean()),
        float((nearest_N >= _FOUND).float().mean()),
    )


def learn_atoms(h_BM: Tensor, num_atoms: int, seed: Seed, *, sparsity: float = 0.1) -> Tensor:
    """Atoms [M, k] of length 1, those that no example uses left out.

    Args:
        h_BM: hidden values; examples where they are all 0 say nothing and may be left out.
        num_atoms: how many to start with, each at a random example.
        sparsity: λ, in units of the hidden values.
    """
    generator = torch.Generator().manual_seed(seed.child("atoms").value)
    chosen = torch.randperm(len(h_BM), generator=generator)[:num_atoms]
    atoms_Mk = torch.nn.functional.normalize(h_BM[chosen].T, dim=0)
    amounts_Bk = torch.zeros(len(h_BM), atoms_Mk.shape[1])
    for turn in range(ROUNDS):
        amounts_Bk = _coded(h_BM, atoms_Mk, sparsity, amounts_Bk)
        idle_k = (amounts_Bk <= _USED).all(0)
        gram_kk = amounts_Bk.T @ amounts_Bk + 1e-6 * torch.eye(len(idle_k))
        fitted_kM = torch.linalg.solve(gram_kk, amounts_Bk.T @ h_BM)
        atoms_Mk = torch.where(idle_k, atoms_Mk, torch.nn.functional.normalize(fitted_kM.T, dim=0))
        if bool(idle_k.any()) and turn < ROUNDS - _SETTLING:
            rest_BM = h_BM - amounts_Bk @ atoms_Mk.T
            worst = rest_BM.square().sum(1).topk(int(idle_k.sum())).indices
            atoms_Mk[:, idle_k] = torch.nn.functional.normalize(rest_BM[worst].T, dim=0)
    return atoms_Mk[:, (_coded(h_BM, atoms_Mk, sparsity, amounts_Bk) > _USED).any(0)]


def _coded(h_BM: Tensor, atoms_Mk: Tensor, sparsity: float, amounts_Bk: Tensor) -> Tensor:
    """Non-negative sparse amounts [B, k], from where `amounts_Bk` stands."""
    gram_kk, towards_Bk = atoms_Mk.T @ atoms_Mk, h_BM @ atoms_Mk - sparsity
    rate = 1 / float(torch.linalg.matrix_norm(gram_kk, 2))
    ahead_Bk, momentum = amounts_Bk, 1.0
    for _ in range(_STEPS):
        stepped_Bk = (ahead_Bk + rate * (towards_Bk - ahead_Bk @ gram_kk)).clamp_min(0)
        following = (1 + math.sqrt(1 + 4 * momentum * momentum)) / 2
        ahead_Bk = stepped_Bk + (momentum - 1) / following * (stepped_Bk - amounts_Bk)
        amounts_Bk, momentum = stepped_Bk, following
    return amounts_Bk
