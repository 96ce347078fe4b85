"""Sparse features as a law of data: what a toy model is shown.

Elhage et al. 2022 (arXiv 2209.10652), "Demonstrating Superposition" and "The Geometry of Superposition". A feature is 0
but for a share of examples, its density p, where it is uniform on [0, 1], or on [-1, 1] where signed.

One draw serves every model trained at once: a value and a threshold for each example and feature; a model of density p
sees the value where the threshold is at most p. Models of different densities are so compared on the same numbers, and
a draw depends on seed and step alone, not on how many models there are.

Shapes: B examples, N features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from gnomon.core.errors import UsageError
from gnomon.core.seeds import Seed

__all__ = ["Draws", "Law", "Together"]

Together = Literal["independent", "correlated", "anticorrelated"]
# Above every density, so a feature with this threshold is never there.
_NEVER = 2.0


class Draws(NamedTuple):
    """Examples before a density is chosen: values [B, N], and thresholds [B, N] at or above 0."""

    values_BN: Tensor
    thresholds_BN: Tensor

    def at(self, density: Tensor) -> Tensor:
        """The examples [..., B, N] that models of `density` [..., 1 or B, 1 or N] see."""
        return self.values_BN * (self.thresholds_BN <= density)


@dataclass(frozen=True, kw_only=True)
class Law:
    """How features of one set go together; sets are runs of `size` neighbours.

    Attributes:
        num_features: N; a whole number of sets.
        together: correlated members are there or not there all at once, with values of their own; of anticorrelated
            ones exactly one, each as often, is there with the set's density.
        size: members of a set; 1 for independent features.
        signed: values from -1 to 1 instead of 0 to 1.
    """

    num_features: int
    together: Together = "independent"
    size: int = 1
    signed: bool = False

    def __post_init__(self) -> None:
        if self.num_features < 1 or self.size < 1 or self.num_features % self.size:
            found = f"{self.num_features} features cannot be put into sets of {self.size}"
            raise UsageError(found, todo="give 1 or more features, and a size that divides them")
        if (self.together == "independent") != (self.size == 1):
            raise UsageError(
                f"{self.together} features in sets of {self.size}", todo="independent features have size 1"
            )

    def draws(self, batch: int, seed: Seed, step: int) -> Draws:
        """The examples of one step."""
        generator = torch.Generator().manual_seed(seed.child("draws", step).value)
        values_BN = torch.rand(batch, self.num_features, generator=generator)
        if self.signed:
            values_BN.mul_(2).sub_(1)
        thresholds = torch.rand(batch, self.num_features // self.size, generator=generator)
        if self.size == 1:
            return Draws(values_BN, thresholds)
        thresholds = thresholds.repeat_interleave(self.size, dim=1)
        if self.together == "anticorrelated":
            sets = self.num_features // self.size
            chosen = torch.randint(self.size, (batch, sets, 1), generator=generator)
            others = (torch.arange(self.size) != chosen).flatten(1)
            thresholds = thresholds.masked_fill(others, _NEVER)
        return Draws(values_BN, thresholds)
