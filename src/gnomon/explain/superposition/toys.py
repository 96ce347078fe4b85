"""Hundreds of toy models trained in one optimisation, with gradients written out.

Elhage et al. 2022 (arXiv 2209.10652), "Demonstrating Superposition", "Superposition in a Privileged Basis", "Computing
in Superposition":

    linear      x' = W'W x + b                            one matrix W, used twice
    relu        x' = ReLU(W'W x + b)                      the same; gelu, softplus, square and modulus likewise
    hidden      h = ReLU(W x), x' = ReLU(W'h + b)         the same; no bias inside, which would undo the ReLU
    absolute    h = ReLU(U x), x' = ReLU(W'h + b)         two matrices; to be rebuilt is |x|, of signed x

The loss is importance times squared error, its mean over examples and features. Training is AdamW with weight decay
0.01 on fresh examples each step, from weights drawn normally with Xavier's deviation, as in the paper. A departure: the
batch is 256 for 1,024, which keeps every buffer in the cache, and the learning rate falls from `lr` to 0 along a cosine
unless `constant`; both reach the same solutions in a fraction of the steps (`experiments/batch`).

Two additions to the loss, each with a size for every model. A penalty adds the size of the hidden values, |h|_1, to
the sum of squared errors. An attack moves what a model is shown, not what it is to rebuild, along (W'W)_i or against
it, for one feature i a step and a sign drawn for each example; no gradient flows through the direction. The paper takes
the more harmful of the signs, which costs another pass.

All models of a call see the same draws (see `features`), so what a second seed changes is where the weights start.

Shapes: K models, B examples, N features, M dimensions; a tile is as many models as keep a buffer in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from gnomon.core.errors import UsageError
from gnomon.core.seeds import Seed
from gnomon.explain.superposition.activations import OUTPUTS
from gnomon.explain.superposition.features import Draws, Law

__all__ = ["BENT", "Kind", "Toys", "Trained", "Training", "Watch", "forward", "losses", "train"]

Kind = Literal["linear", "relu", "gelu", "softplus", "square", "modulus", "hidden", "absolute"]
BENT: tuple[Kind, ...] = ("hidden", "absolute")
"Kinds with a ReLU inside, whose W'W says nothing."
_TILE_FLOATS = 2**18
_TESTED = 16384


@dataclass(frozen=True, kw_only=True)
class Toys:
    """K models of one shape.

    Attributes:
        kind: how they compute.
        law: what they see.
        num_dims: M; with as many as there are features, each has a dimension and nothing is packed.
        density_KN: share of examples in which a feature (for sets: its set) is there; above 0, at most 1.
        importance_KN: weight of each feature's squared error, 0 or more.
        seeds: for each model, which start; the same number is the same start in any company.
        penalty_K: weight of |h|_1 beside the sum of squared errors, 0 or more; None is 0.
        attack_K: length of the attack on each example that is trained on, 0 or more, for "relu"; None is no attack.
    """

    kind: Kind
    law: Law
    num_dims: int
    density_KN: Tensor
    importance_KN: Tensor
    seeds: Sequence[int]
    penalty_K: Tensor | None = None
    attack_K: Tensor | None = None

    def __post_init__(self) -> None:
        shape = (len(self.seeds), self.law.num_features)
        if self.num_dims < 1:
            raise UsageError(f"a toy model has {self.num_dims} dimensions", todo="give 1 or more")
        if self.density_KN.shape != shape or self.importance_KN.shape != shape:
            found = f"densities {tuple(self.density_KN.shape)}, importances {tuple(self.importance_KN.shape)}"
            raise UsageError(found, todo=f"give {shape[0]} models by {shape[1]} features")
        if not bool(((self.density_KN > 0) & (self.density_KN <= 1)).all()):
            raise UsageError("a density is not above 0 and at most 1", todo="give densities in (0, 1]")
        if not bool((self.importance_KN >= 0).all()):
            raise UsageError("an importance is below 0", todo="give importances of 0 or more")
        for name, sizes_K in (("penalties", self.penalty_K), ("attacks", self.attack_K)):
            if sizes_K is not None and not (len(sizes_K) == len(self.seeds) and bool((sizes_K >= 0).all())):
                found = f"{name} are {sizes_K.tolist()}"
                raise UsageError(found, todo=f"give {len(self.seeds)} of 0 or more, one a model")
        if self.attack_K is not None and self.kind != "relu":
            raise UsageError(f"an attack on {self.kind} models", todo="attack relu models")


@dataclass(frozen=True, kw_only=True)
class Training:
    """How long, how fast, on how many examples a step; `constant` keeps the learning rate as it is."""

    steps: int
    lr: float = 0.01
    batch: int = 256
    constant: bool = False


class Trained(NamedTuple):
    """Models after training: matrices in and out [K, M, N] (one and the same but for "absolute"), biases [K, N], and
    losses [K] on examples that were not trained on."""

    w_in_KMN: Tensor
    w_out_KMN: Tensor
    b_KN: Tensor
    loss_K: Tensor


Watch = Callable[[int, Tensor, Tensor], None]
"What is called with a step, and weights [K, M, N] and biases [K, N] before it."


def train(toys: Toys, how: Training, seed: Seed, watch: Watch | None = None) -> Trained:
    """Trains the models; `watch(step, w_out_KMN, b_KN)` sees them before each step and at the end.

    A model whose weights stop being finite stays so alone; its loss is then not finite.
    """
    weights = [_started(toys, seed, "in")]
    if toys.kind == "absolute":
        weights.append(_started(toys, seed, "out"))
    b_KN = torch.zeros(len(toys.seeds), toys.law.num_features)
    optimiser = torch.optim.AdamW([*weights, b_KN], lr=how.lr, fused=True)
    step = _Step(toys, weights, b_KN, how.batch)
    for t in range(how.steps):
        if watch:
            watch(t, weights[-1], b_KN)
        if not how.constant:
            optimiser.param_groups[0]["lr"] = how.lr * 0.5 * (1 + math.cos(math.pi * t / how.steps))
        step.gradients(toys.law.draws(how.batch, seed, t), seed.child("attack", t))
        optimiser.step()
    if watch:
        watch(how.steps, weights[-1], b_KN)
    tested = toys.law.draws(_TESTED, seed.child("tested"), 0)
    return Trained(weights[0], weights[-1], b_KN, losses(toys, weights[0], weights[-1], b_KN, tested))


def forward(kind: Kind, w_in_KMN: Tensor, w_out_KMN: Tensor, b_KN: Tensor, x_KBN: Tensor) -> Tensor:
    """What models make of examples, [K, B, N]."""
    h_KBM = x_KBN @ w_in_KMN.transpose(1, 2)
    if kind in BENT:
        h_KBM = h_KBM.relu()
    y_KBN = h_KBM @ w_out_KMN + b_KN[:, None]
    if kind in OUTPUTS:
        return OUTPUTS[kind].value(y_KBN)
    return y_KBN if kind == "linear" else y_KBN.relu()


@torch.no_grad()
def losses(toys: Toys, w_in_KMN: Tensor, w_out_KMN: Tensor, b_KN: Tensor, draws: Draws) -> Tensor:
    """The loss [K] of each model on examples, without penalty or attack."""
    found = []
    for k in range(len(toys.seeds)):
        x_1BN = draws.at(toys.density_KN[k])[None]
        y_1BN = forward(toys.kind, w_in_KMN[k : k + 1], w_out_KMN[k : k + 1], b_KN[k : k + 1], x_1BN)
        target = x_1BN.abs() if toys.kind == "absolute" else x_1BN
        found.append(((y_1BN - target).square() * toys.importance_KN[k]).mean())
    return torch.stack(found)


def _started(toys: Toys, seed: Seed, which: str) -> Tensor:
    """Starting weights [K, M, N], each model's by its own number."""
    shape = (toys.num_dims, toys.law.num_features)
    deviation = math.sqrt(2 / sum(shape))
    drawn = {
        start: torch.randn(shape, generator=torch.Generator().manual_seed(seed.child("start", which, start).value))
        for start in set(toys.seeds)
    }
    return torch.stack([drawn[start] for start in toys.seeds]) * deviation


class _Aim(NamedTuple):
    """The feature that a step's attack is aimed at, and the sign for each example, [B, 1]."""

    feature: int
    signs_B1: Tensor


class _Step:
    """The gradient of one step, tile by tile, in buffers that are made once."""

    def __init__(self, toys: Toys, weights: list[Tensor], b_KN: Tensor, batch: int) -> None:
        models, features, dims = len(toys.seeds), toys.law.num_features, toys.num_dims
        tile = max(1, min(models, _TILE_FLOATS // (batch * features)))
        self._toys, self._weights, self._b_KN = toys, weights, b_KN
        self._tiles = [slice(start, min(start + tile, models)) for start in range(0, models, tile)]
        self._density_K1N = toys.density_KN[:, None]
        # The factor of a mean of squares; it is put on weights and gradients, which are smaller than examples.
        self._scale_K1N = toys.importance_KN[:, None] * (2 / (batch * features))
        wide, narrow = (tile, batch, features), (tile, batch, dims)
        self._zero = torch.zeros(())
        self._buffers = (
            torch.empty(wide, dtype=torch.bool),
            *(torch.empty(size) for size in (wide, wide, wide, narrow, narrow)),
        )
        for each in (*weights, b_KN):
            each.grad = torch.zeros_like(each)
        self._penalty_K11: Tensor | None = None
        if toys.penalty_K is not None:
            self._penalty_K11 = toys.penalty_K[:, None, None] / (batch * features)

    @torch.no_grad()
    def gradients(self, draws: Draws, seed: Seed) -> None:
        """Leaves every model's gradient in its parameters; the seed draws what an attack is aimed at."""
        aim = None
        if self._toys.attack_K is not None:
            generator = torch.Generator().manual_seed(seed.value)
            signs_B1 = 1.0 - 2.0 * torch.randint(2, (len(draws.values_BN), 1), generator=generator)
            aim = _Aim(int(torch.randint(self._toys.law.num_features, (), generator=generator)), signs_B1)
        for tile in self._tiles:
            self._gradient(tile, draws, aim)

    def _gradient(self, tile: slice, draws: Draws, aim: _Aim | None) -> None:
        kind, size = self._toys.kind, tile.stop - tile.start
        there, x, y, miss, h, back = (each[:size] for each in self._buffers)
        w_in, w_out = self._weights[0][tile], self._weights[-1][tile]
        torch.le(draws.thresholds_BN, self._density_K1N[tile], out=there)
        torch.where(there, draws.values_BN, self._zero, out=x)
        shown = x if aim is None else self._moved(tile, x, aim)
        torch.bmm(shown, w_in.transpose(1, 2), out=h)
        if kind in BENT:
            h.relu_()
        torch.baddbmm(self._b_KN[tile, None], h, w_out, out=y)
        _miss(kind, x, y, miss)
        scale = self._scale_K1N[tile]
        torch.bmm(miss, (w_out * scale).transpose(1, 2), out=back)
        if self._penalty_K11 is not None:
            back.addcmul_(h.sign(), self._penalty_K11[tile])
        if kind in BENT:
            _where_open(back, h)
        self._write(tile, shown, miss, h, back, scale)

    def _moved(self, tile: slice, x: Tensor, aim: _Aim) -> Tensor:
        """Examples under attack."""
        assert self._toys.attack_K is not None
        w_KMN = self._weights[0][tile]
        along_KN = torch.nn.functional.normalize((w_KMN[:, :, aim.feature, None] * w_KMN).sum(1), dim=1)
        return x + aim.signs_B1 * (self._toys.attack_K[tile, None] * along_KN)[:, None]

    def _write(self, tile: slice, x: Tensor, miss: Tensor, h: Tensor, back: Tensor, scale: Tensor) -> None:
        first, last, b = self._weights[0].grad, self._weights[-1].grad, self._b_KN.grad
        assert first is not None and last is not None and b is not None
        torch.mul(miss.sum(1), scale[:, 0], out=b[tile])
        torch.mul(torch.bmm(h.transpose(1, 2), miss), scale, out=last[tile])
        if len(self._weights) == 1:
            last[tile].baddbmm_(back.transpose(1, 2), x)
        else:
            torch.bmm(back.transpose(1, 2), x, out=first[tile])


def _miss(kind: Kind, x: Tensor, y: Tensor, miss: Tensor) -> None:
    """Leaves in `miss` half the derivative of each squared error by what stands before the output's activation, `y`."""
    target = torch.abs(x, out=miss) if kind == "absolute" else x
    if kind == "linear":
        torch.sub(y, target, out=miss)
    elif kind in OUTPUTS:
        torch.sub(OUTPUTS[kind].value(y), target, out=miss).mul_(OUTPUTS[kind].slope(y))
    else:
        torch.sub(y.relu_(), target, out=miss)
        _where_open(miss, y)


def _where_open(gradient: Tensor, out: Tensor) -> None:
    """Puts 0 into a gradient, in place, where the ReLU that made `out` is shut."""
    torch.ops.aten.threshold_backward.grad_input(gradient, out, 0, grad_input=gradient)
