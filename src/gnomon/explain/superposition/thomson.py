"""Points on a sphere that are as little in each other's way as can be: the geometry of equal features.

Elhage et al. 2022 (arXiv 2209.10652), "The Geometry of Superposition": with equal importance, length 1 and no bias, a
ReLU model of very sparse features minimises the energy of `theory.thomson_energy`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gnomon.core.seeds import Seed
from gnomon.explain.superposition.theory import thomson_energy

__all__ = ["STEPS", "Solved", "solved"]

STEPS = 600
"Steps of a descent."


class Solved(NamedTuple):
    """Points [M, k] of least energy, that energy, and the share of starts that came as low (within 1e-3)."""

    points_Mk: Tensor
    energy: float
    share: float


def solved(points: int, dims: int, seed: Seed, *, starts: int = 64) -> Solved:
    """`points` points in `dims` dimensions, the best of `starts` descents with momentum."""
    generator = torch.Generator().manual_seed(seed.child("thomson", points, dims).value)
    w = torch.randn(starts, dims, points, generator=generator).requires_grad_()
    optimiser = torch.optim.Adam([w], lr=0.05)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        optimiser.zero_grad()
        thomson_energy(torch.nn.functional.normalize(w, dim=1)).sum().backward()  # type: ignore[no-untyped-call]  # torch's
        optimiser.step()
        falling.step()
    at = torch.nn.functional.normalize(w.detach(), dim=1)
    energy = thomson_energy(at)
    least = energy.min()
    return Solved(at[int(energy.argmin())], float(least), float((energy < least + 1e-3).float().mean()))
