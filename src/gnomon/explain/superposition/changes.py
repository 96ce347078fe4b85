"""When, in training, a loss falls in a step, and when a feature's share of a dimension jumps.

Elhage et al. 2022 (arXiv 2209.10652), "Superposition and Learning Dynamics": features move between "energy levels" of
their dimensionality, and the loss drops where they do. A drop is where the loss falls faster than before and after: a
peak in its fall that stands out by over five standard errors. A jump is such a peak in the change of a share. What
falls or moves at an even pace, or ever more slowly, has none.

Shapes: T looks at even distances, N features, B examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from scipy.signal import find_peaks
from torch import Tensor

__all__ = ["SPAN", "Fall", "Matched", "drops", "fall", "jumps", "matched"]

_REACH = 3
SPAN = 2 * _REACH
"Looks that a change is measured over."
# Fewer have no bend.
_FEWEST = 3
_ERRORS = 5.0
_LEAST_JUMP = 0.02


class Fall(NamedTuple):
    """By how much a mean error fell over a span, and the standard error of that."""

    size: float
    error: float


class Matched(NamedTuple):
    """Which drops have a jump near them.

    Attributes:
        near: for each drop, whether a jump is within the tolerance.
        chance: the share of all looks that are as near to a jump: what drops at random times would have.
    """

    near: list[bool]
    chance: float


def fall(before_B: Tensor, after_B: Tensor) -> Fall:
    """By how much errors of the same examples fell from one look to one `SPAN` looks later."""
    change_B = before_B - after_B
    return Fall(float(change_B.mean()), float(change_B.std()) / len(change_B) ** 0.5)


def drops(falls: Sequence[Fall]) -> list[int]:
    """Looks, in the middle of a span, at which the loss drops; `falls` are those of every span, in order.

    A fall's error has two parts, of the examples that the loss is measured on, and of the steps of training, which move
    it up and down from look to look.
    """
    if len(falls) < _FEWEST:
        return []
    size_T1 = torch.tensor([[each.size] for each in falls])
    drawn_T = torch.tensor([each.error for each in falls])
    # What stands out is a difference of two falls.
    error_T = (drawn_T.square() + _noise(size_T1).square()).sqrt() * 2**0.5
    return _peaks(size_T1[:, 0], _ERRORS * error_T)


def jumps(shares_TN: Tensor) -> list[list[int]]:
    """For each feature, looks at which its share of a dimension jumps.

    A change counts from 0.02 on, and from five times what the change varies from look to look for no reason.
    """
    if len(shares_TN) < SPAN + _FEWEST:
        return [[] for _ in range(shares_TN.shape[1])]
    changes_TN = shares_TN[SPAN:] - shares_TN[:-SPAN]
    least_N = (_ERRORS * 2**0.5 * _noise(changes_TN)).clamp_min(_LEAST_JUMP)
    return [
        _peaks(change_T.abs(), least.expand(len(change_T)))
        for change_T, least in zip(changes_TN.T, least_N, strict=True)
    ]


def _noise(series_TN: Tensor) -> Tensor:
    """The deviation [N] of each series about its course, from the median size of its bends."""
    bends_TN = (series_TN[2:] - 2 * series_TN[1:-1] + series_TN[:-2]).abs()
    # A bend of independent values has six times their variance; the median size of a normal draw is 0.6745 deviations.
    return bends_TN.median(0).values / (0.6745 * 6**0.5)


def matched(dropped: list[int], jumped: list[list[int]], num_looks: int, tolerance: int) -> Matched:
    """Which of the drops have a jump of any feature within `tolerance` looks."""
    near = torch.zeros(num_looks, dtype=torch.bool)
    for at in {at for each in jumped for at in each}:
        near[max(0, at - tolerance) : at + tolerance + 1] = True
    return Matched([bool(near[at]) for at in dropped], float(near.float().mean()))


def _peaks(change_T: Tensor, least_T: Tensor) -> list[int]:
    """Looks of peaks that stand out by as much as is asked there."""
    found, facts = find_peaks(change_T.numpy(), prominence=0)
    return [
        int(at) + _REACH
        for at, stands_out in zip(found, facts["prominences"], strict=True)
        if stands_out > float(least_T[at])
    ]
