"""What may stand at a toy model's output beside ReLU and nothing, with slopes.

Elhage et al. 2022 (arXiv 2209.10652) have ReLU; a comment on it says that phase diagrams differ by activation. Ours:
GELU, softplus, the square and the absolute value ("modulus", for "absolute" is a kind of model).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["OUTPUTS", "Activation"]


class Activation(NamedTuple):
    """A function of each number of a tensor, and its derivative."""

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]


def _gelu_slope(z: Tensor) -> Tensor:
    below = 0.5 * (1 + torch.erf(z / math.sqrt(2)))
    return below + z * torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)


OUTPUTS: Mapping[str, Activation] = {
    "gelu": Activation(torch.nn.functional.gelu, _gelu_slope),
    "softplus": Activation(torch.nn.functional.softplus, torch.sigmoid),
    "square": Activation(torch.square, lambda z: 2 * z),
    "modulus": Activation(torch.abs, torch.sign),
}
"""Activations by the kind of model that has them."""
