"""Small changes of an example that make a ReLU model rebuild it worse.

Elhage et al. 2022 (arXiv 2209.10652), "Relationship to Adversarial Robustness". The analytic attack goes along ±(W'W)_i
for whichever feature i does most harm: it knows that superposed features are read through each other. The gradient
attack climbs the loss and knows nothing; where all outputs of an example are shut it has no slope to climb.

Shapes: B examples, N features, M dimensions.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Climbed", "analytic", "by_gradient", "errors"]

_CLIMBS = 10
# Steps together may go further than the attack is long; each ends on the ball.
_REACH = 2.5


class Climbed(NamedTuple):
    """Summed squared errors [B] under a gradient attack, and the share of examples that it found no slope at."""

    errors_B: Tensor
    stuck: float


def errors(w_MN: Tensor, b_N: Tensor, x_BN: Tensor, shown_BN: Tensor | None = None) -> Tensor:
    """The summed squared error [B] of rebuilding `x_BN` from what is shown; None shows the examples themselves."""
    y_BN = ((x_BN if shown_BN is None else shown_BN) @ w_MN.T @ w_MN + b_N).relu()
    return (y_BN - x_BN).square().sum(-1)


def analytic(w_MN: Tensor, b_N: Tensor, x_BN: Tensor, length: float) -> Tensor:
    """The errors [B] of each example under its most harmful attack of `length` along ±(W'W)_i."""
    directions_NN = torch.nn.functional.normalize(w_MN.T @ w_MN, dim=1)
    worst_B = torch.full((len(x_BN),), -torch.inf)
    for along_N in torch.cat([directions_NN, -directions_NN]):
        worst_B = torch.maximum(worst_B, errors(w_MN, b_N, x_BN, x_BN + length * along_N))
    return worst_B


def by_gradient(w_MN: Tensor, b_N: Tensor, x_BN: Tensor, length: float) -> Climbed:
    """Ten steps up the gradient of each example's error, kept within `length` of it."""
    gram_NN, moved_BN = w_MN.T @ w_MN, x_BN.clone()
    for _ in range(_CLIMBS):
        z_BN = moved_BN @ gram_NN + b_N
        slope_BN = torch.where(z_BN > 0, z_BN - x_BN, 0.0) @ gram_NN
        moved_BN += _REACH * length / _CLIMBS * torch.nn.functional.normalize(slope_BN, dim=1)
        away_BN = moved_BN - x_BN
        far_B1 = away_BN.norm(dim=1, keepdim=True)
        moved_BN = x_BN + away_BN * (length / far_B1.clamp_min(length))
    stuck_B = (moved_BN == x_BN).all(1)
    return Climbed(errors(w_MN, b_N, x_BN, moved_BN), float(stuck_B.float().mean()))
