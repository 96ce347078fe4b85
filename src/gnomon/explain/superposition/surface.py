"""The whole loss of two features in one dimension, worked out: its surface, its minima and its phases.

Elhage et al. 2022 (arXiv 2209.10652), "Superposition as a Phase Change", and the discussion of it. A ReLU model of two
independent features of density p and importances 1 and I has four numbers, W = [w_1, w_2] and b. Its expected loss is a
sum over which features are there; each term is a piecewise polynomial of values that are uniform on [0, 1], integrated
exactly: over x first, and over y by Gauss-Legendre between the places where the piece changes, which is exact there.
Losses are sums over features, as in `theory`.

Shapes: any that fit together; the last axis of `w` and `b` is the two features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gnomon.explain.superposition.theory import where_open

__all__ = ["STEPS", "Minima", "exact_loss", "in_pairs", "minima", "with_best_bias"]

_STARTS, _RATE = 12, 0.05
STEPS = 500
"Steps of a descent."
# Of three points, on [0, 1]; exact for polynomials up to degree 5.
_NODES = (0.5 - 0.5 * 0.6**0.5, 0.5, 0.5 + 0.5 * 0.6**0.5)
_SHARES = (5 / 18, 8 / 18, 5 / 18)
_BIASES, _ZOOMS = 21, 6


class Minima(NamedTuple):
    """The least losses [...] and where they are, w and b [..., 2]."""

    loss: Tensor
    w: Tensor
    b: Tensor


def exact_loss(w: Tensor, b: Tensor, density: Tensor, importance: Tensor) -> Tensor:
    """The expected loss [...] of weights [..., 2] and biases [..., 2]."""
    first, second = (_rebuilt(w, b[..., i], density, i) for i in (0, 1))
    return first + importance * second


def minima(density: Tensor, importance: Tensor, *, biased: bool = True) -> Minima:
    """The least loss of each pair of density and importance [K]: the best of 12 descents from a ring of starts.

    Args:
        biased: whether there are biases; they stay 0 where not.
    """
    angles = 2 * torch.pi * torch.arange(_STARTS) / _STARTS
    w = torch.stack([angles.cos(), angles.sin()], dim=-1).double().expand(len(density), -1, -1).clone()
    b = torch.zeros_like(w)
    p_K1, i_K1 = density.double()[:, None], importance.double()[:, None]
    moved = [w.requires_grad_(), b.requires_grad_()] if biased else [w.requires_grad_()]
    optimiser = torch.optim.Adam(moved, lr=_RATE)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        optimiser.zero_grad()
        (exact_loss(w, b, p_K1, i_K1) / p_K1).sum().backward()  # type: ignore[no-untyped-call]  # torch's
        optimiser.step()
        falling.step()
    loss = exact_loss(w, b, p_K1, i_K1).detach()
    least, at = loss.min(1)
    place = at[:, None, None].expand(-1, 1, 2)
    return Minima(least, w.detach().gather(1, place)[:, 0], b.detach().gather(1, place)[:, 0])


def in_pairs(densities: Sequence[float], features: int, dims: int) -> list[tuple[Tensor, Tensor]]:
    """For each density, W [dims, features] and b [features] of least loss that use each dimension apart, for two equal
    features at most: opposites where they are rare, else one of them. All others are guessed by their mean."""
    pairs = minima(torch.tensor(densities), torch.ones(len(densities)))
    found = []
    for density, w, b in zip(densities, pairs.w.float(), pairs.b.float(), strict=True):
        w_MN, b_N = torch.zeros(dims, features), torch.full((features,), density / 2)
        w_MN[:, : 2 * dims] = torch.block_diag(*[w[None]] * dims)  # type: ignore[no-untyped-call]  # torch's
        b_N[: 2 * dims] = b.repeat(dims)
        found.append((w_MN, b_N))
    return found


def with_best_bias(w: Tensor, density: float, importance: float) -> Minima:
    """The least loss [...] of weights [..., 2] over biases from -1 to 1, each found apart by a grid made finer."""
    p, found = torch.tensor(density), []
    for i in (0, 1):
        centre, reach = torch.zeros(w.shape[:-1]), 1.0
        for _ in range(_ZOOMS):
            tried = centre[..., None] + reach * torch.linspace(-1, 1, _BIASES)
            cost = _rebuilt(w[..., None, :], tried, p, i)
            centre = tried.gather(-1, cost.argmin(-1, keepdim=True))[..., 0]
            reach *= 0.2
        found.append(centre)
    b = torch.stack(found, dim=-1)
    return Minima(exact_loss(w, b, p, torch.tensor(importance)), w, b)


def _rebuilt(w: Tensor, b: Tensor, p: Tensor, i: int) -> Tensor:
    """The expected squared error of feature i with bias b, before its importance."""
    own, other = w[..., i].square(), w[..., 0] * w[..., 1]
    none = b.relu().square()
    alone, crossed = _missed(own, b), _switched_on(other, b)
    return (1 - p).square() * none + p * (1 - p) * (alone + crossed) + p.square() * _missed_together(own, other, b)


def _missed_together(a: Tensor, c: Tensor, b: Tensor) -> Tensor:
    """The integral of (x − ReLU(a x + c y + b))² over the unit square."""
    safe = torch.where(c == 0, 1.0, c)
    # Where the line a x + c y + b = 0 meets the sides x = 0 and x = 1 of the square.
    ends = torch.stack([-b / safe, -(a + b) / safe], dim=-1).clamp(0, 1)
    pieces = torch.nn.functional.pad(ends.sort(-1).values, (1, 0))
    lengths = torch.diff(torch.nn.functional.pad(pieces, (0, 1), value=1.0))
    y = pieces[..., None] + lengths[..., None] * torch.tensor(_NODES, dtype=a.dtype)
    a, c, b = (each[..., None, None] for each in (a, c, b))
    within = (_missed(a, c * y + b) * torch.tensor(_SHARES, dtype=y.dtype)).sum(-1)
    return (lengths * within).sum(-1)


def _missed(a: Tensor, d: Tensor) -> Tensor:
    """The integral of (x − ReLU(a x + d))² over [0, 1]."""
    one, two, three = _powers(a, d)
    return 1 / 3 - 2 * (a * three + d * two) + a.square() * three + 2 * a * d * two + d.square() * one


def _switched_on(a: Tensor, d: Tensor) -> Tensor:
    """The integral of ReLU(a x + d)² over [0, 1]."""
    one, two, three = _powers(a, d)
    return a.square() * three + 2 * a * d * two + d.square() * one


def _powers(a: Tensor, d: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Integrals of 1, x and x² over the part of [0, 1] where a x + d is above 0."""
    first, last = where_open(a, d)
    return last - first, (last.square() - first.square()) / 2, (last**3 - first**3) / 3
