"""What a toy model should do, worked out: losses of candidate solutions, and the energy of points on a sphere.

Elhage et al. 2022 (arXiv 2209.10652), "Superposition as a Phase Change" and "Mathematical Understanding". Losses here
are sums over features, not means, of ReLU models on independent features of density p with values uniform on [0, 1].

    python: best("n=2, m=1", density=0.1, importance=1.0)

Each candidate drops one feature, or puts two into one dimension, one the opposite of the other. A feature that is
dropped is guessed by its mean, p/2, and costs its variance, p/3 − p²/4; two opposite ones cost nothing alone, and when
both are there, each the expected square of the smaller value, 1/6. So all losses are polynomials of p and of the
importance I of the last feature, those of the others being 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor

__all__ = ["CANDIDATES", "Candidate", "Problem", "best", "crossing", "one_sparse", "thomson_energy", "where_open"]

Problem = Literal["n=2, m=1", "n=3, m=2"]


class Candidate(NamedTuple):
    """A solution: what it does with the last feature, W [M, N], bias [N] and loss, both of p (and I)."""

    last: Literal["ignored", "superposed", "dedicated"]
    weights: tuple[tuple[float, ...], ...]
    bias: Callable[[float], tuple[float, ...]]
    loss: Callable[[float, float], float]


def _dropped(p: float) -> float:
    return p / 3 - p * p / 4


CANDIDATES: Mapping[Problem, Mapping[str, Candidate]] = {
    "n=2, m=1": {
        "drop the last": Candidate("ignored", ((1, 0),), lambda p: (0, p / 2), lambda p, i: i * _dropped(p)),
        "drop the first": Candidate("dedicated", ((0, 1),), lambda p: (p / 2, 0), lambda p, i: _dropped(p)),
        "opposites": Candidate("superposed", ((1, -1),), lambda p: (0, 0), lambda p, i: (1 + i) * p * p / 6),
    },
    "n=3, m=2": {
        "drop the last": Candidate(
            "ignored", ((1, 0, 0), (0, 1, 0)), lambda p: (0, 0, p / 2), lambda p, i: i * _dropped(p)
        ),
        "drop the first": Candidate(
            "dedicated", ((0, 1, 0), (0, 0, 1)), lambda p: (p / 2, 0, 0), lambda p, i: _dropped(p)
        ),
        "last and another opposite": Candidate(
            "superposed", ((1, 0, 0), (0, 1, -1)), lambda p: (0, 0, 0), lambda p, i: (1 + i) * p * p / 6
        ),
        "the others opposite": Candidate(
            "dedicated", ((1, -1, 0), (0, 0, 1)), lambda p: (0, 0, 0), lambda p, i: p * p / 3
        ),
    },
}
"""For each problem its candidates by name."""


def best(problem: Problem, density: float, importance: float) -> tuple[str, float]:
    """The candidate of least loss, and by how much the second best costs more, as a share of it (0: they cross)."""
    order = sorted((each.loss(density, importance), name) for name, each in CANDIDATES[problem].items())
    (least, name), (second, _) = order[:2]
    return name, (second - least) / least


def crossing(importance: float, *, biased: bool) -> float:
    """The density below which two features of importances 1 and I share one dimension.

    Args:
        biased: whether the dropped feature may be guessed by its mean: 4a/(2b+3a) then, 2a/(a+b) where it is guessed
            by 0; a is the smaller importance and b the sum of both less a. With I ≤ 1 that is 4I/(2+5I) and 2I/(1+I).
    """
    less, both = min(1.0, importance), 1.0 + importance
    return 4 * less / (2 * both + 3 * less) if biased else 2 * less / both


def one_sparse(w_MN: Tensor, b_N: Tensor, importance_N: Tensor) -> Tensor:
    """The loss where exactly one feature is there, summed over which: L_1 of the paper, by exact integration.

    Values are uniform on [0, 1], so a diagonal term is the integral of (x − ReLU(a x + b))², another that of
    ReLU(a x + b)².
    """
    a_NN, b_1N = w_MN.T @ w_MN, b_N[None]
    first, last = where_open(a_NN, b_1N)

    def integral(power: int) -> Tensor:
        return (last ** (power + 1) - first ** (power + 1)) / (power + 1)

    squared = a_NN.square() * integral(2) + 2 * a_NN * b_1N * integral(1) + b_1N.square() * integral(0)
    crossed = a_NN * integral(2) + b_1N * integral(1)
    eye = torch.eye(len(b_N), dtype=w_MN.dtype)
    return ((squared + eye * (1 / 3 - 2 * crossed)) * importance_N).sum()


def thomson_energy(w: Tensor) -> Tensor:
    """The sum over i≠j of ReLU(W_i·W_j)², [...]: what equal features at length 1 with no bias cost one at a time."""
    gram = w.transpose(-2, -1) @ w
    return gram.relu().square().sum((-2, -1)) - gram.diagonal(dim1=-2, dim2=-1).relu().square().sum(-1)


def where_open(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Ends of the part of [0, 1] where a x + b is above 0; both the same where it is nowhere."""
    root = torch.where(a != 0, -b / torch.where(a != 0, a, 1.0), 0.0).clamp(0, 1)
    rising, falling = a > 0, a < 0
    first = torch.where(rising, root, 0.0)
    last = torch.where(falling, root, 1.0)
    flat = (a == 0) & (b <= 0)
    return first, torch.where(flat, first, last)
