"""The optimiser every trainer shares: AdamW with warm-up, linear decay and a clipped gradient.

The defaults are those of the embedded model, measured at 0.1 to 3 million parameters and 1,024 tokens a step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from gnomon.learn.parallel import whole

__all__ = ["Optim", "adamw", "learning_rate", "update"]


@dataclass(frozen=True, kw_only=True)
class Optim:
    """How weights move.

    Attributes:
        peak: highest learning rate, reached at the end of the warm-up.
        final: the last step's learning rate as a fraction of `peak`, in [0, 1].
        warmup_steps: steps of linear rise from 0.
        halve_every: steps after which the rate is halved, again and again; it may be a fraction, and 0 is never.
        betas: decay of the first and second moment.
        weight_decay: on matrices only; gains and biases do not decay.
        clip: largest norm of the whole gradient.
    """

    peak: float = 2e-3
    final: float = 0.04
    warmup_steps: int = 100
    halve_every: float = 0.0
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.05
    clip: float = 1.0


def learning_rate(step: int, num_steps: int, optim: Optim) -> float:
    """The rate of step `step` (0-based) of `num_steps`.

    >>> [round(learning_rate(s, 10, Optim(peak=1.0, final=0.0, warmup_steps=2)), 3) for s in (0, 1, 2, 9)]
    [0.5, 1.0, 1.0, 0.125]
    """
    peak = optim.peak * 0.5 ** (step // optim.halve_every) if optim.halve_every else optim.peak
    if step < optim.warmup_steps:
        return peak * (step + 1) / optim.warmup_steps
    left = (num_steps - step) / max(1, num_steps - optim.warmup_steps)
    return peak * (optim.final + (1 - optim.final) * left)


def adamw(parameters: Iterable[nn.Parameter], optim: Optim) -> torch.optim.AdamW:
    """AdamW over `parameters`, in two groups: matrices decay, vectors do not."""
    learnt = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": [p for p in learnt if p.dim() >= 2], "weight_decay": optim.weight_decay},
        {"params": [p for p in learnt if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=optim.peak, betas=optim.betas, fused=True)


def update(optimizer: torch.optim.Optimizer, *, rate: float, clip: float) -> float:
    """One step down the gradient that lies in the parameters; returns its norm before clipping."""
    learnt = [p for group in optimizer.param_groups for p in group["params"]]
    norm = whole(nn.utils.clip_grad_norm_(learnt, clip))
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    return float(norm)
