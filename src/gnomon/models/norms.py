"""A norm taken apart: centring, scale, gain and bias; with a scale that is given it is linear.

Shapes: D width, the last axis; "…" any before it.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

__all__ = ["bias_of", "centred", "gain_of", "normed_at", "reading", "scale_of"]


def centred(norm: nn.Module, x: Tensor) -> Tensor:
    """`x` less its mean where the norm takes that off, as LayerNorm does and RMSNorm does not."""
    return x - x.mean(-1, keepdim=True) if isinstance(norm, nn.LayerNorm) else x


def gain_of(norm: nn.Module) -> Tensor:
    """What the norm multiplies by, [D]."""
    return cast(Tensor, norm.weight)


def bias_of(norm: nn.Module) -> Tensor:
    """What the norm adds, [D]; zeros where it has no bias."""
    bias = getattr(norm, "bias", None)
    return torch.zeros_like(gain_of(norm)) if bias is None else cast(Tensor, bias)


def scale_of(norm: nn.Module, x: Tensor) -> Tensor:
    """What the norm divides `x` […, D] by, […, 1]."""
    return (centred(norm, x).square().mean(-1, keepdim=True) + cast(float, norm.eps)).sqrt()


def normed_at(norm: nn.Module, x: Tensor, scale: Tensor) -> Tensor:
    """The norm of `x` without its bias, at a scale that is given."""
    return centred(norm, x) / scale * gain_of(norm)


def reading(norm: nn.Module, map_ED: Tensor) -> Tensor:
    """A map […, D] of what the norm gives out as one of what goes in: with gain and centring, without the scale."""
    return centred(norm, map_ED * gain_of(norm))
