"""A neuron that serves two features unevenly, and the neurons that hold back what it gets wrong.

Elhage et al. 2022 (arXiv 2209.10652), "Computing in Superposition". In models of absolute values a neuron may read one
feature strongly and write it weakly, and another the other way round: reading [2, −½] and writing [½, 2], it rebuilds
both. The first then switches the second on four times over, where the second hardly touches the first; this asymmetry
pays where other neurons that the first feature drives write the second with a minus.

Shapes: M neurons, N features.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

__all__ = ["Motif", "motifs"]

_UNEVEN = 2.0
# What a neuron must rebuild of a feature, and what must be held back of its harm, to count.
_REBUILT, _HELD = 0.5, 0.5


class Motif(NamedTuple):
    """Asymmetric superposition with inhibition.

    Attributes:
        neuron: the one that serves two features.
        strong: the feature that it reads strongly and writes weakly.
        weak: the one that it reads weakly and writes strongly.
        inhibitors: neurons that the strong feature drives at the same time and that write the weak one with a minus.
        harm: what the weak feature's output rises by, at a strong feature of size 1, without inhibitors.
        held: the share of it that they take off.
    """

    neuron: int
    strong: int
    weak: int
    inhibitors: tuple[int, ...]
    harm: float
    held: float


def motifs(w_in_MN: Tensor, w_out_MN: Tensor) -> list[Motif]:
    """Every motif of a model of absolute values, by neuron.

    A neuron counts where both features are rebuilt by half or more, both are written with a plus, both ratios are 2 or
    more, and half of the harm or more is held back.
    """
    found = []
    for neuron in range(w_in_MN.shape[0]):
        rebuilt_N = w_in_MN[neuron].abs() * w_out_MN[neuron]
        served = (rebuilt_N >= _REBUILT).nonzero().flatten().tolist()
        for strong in served:
            for weak in served:
                each = _motif(w_in_MN, w_out_MN, neuron, strong, weak)
                if strong != weak and each is not None:
                    found.append(each)
    return found


def _motif(w_in_MN: Tensor, w_out_MN: Tensor, neuron: int, strong: int, weak: int) -> Motif | None:
    reads, writes = w_in_MN[neuron].abs(), w_out_MN[neuron]
    if float(reads[strong]) < _UNEVEN * float(reads[weak]) or float(writes[weak]) < _UNEVEN * float(writes[strong]):
        return None
    harm = float(reads[strong] * writes[weak])
    driven_M = (w_in_MN[:, strong] * w_in_MN[neuron, strong].sign()).relu()
    taken_M = driven_M * (-w_out_MN[:, weak]).relu()
    held = float(taken_M.sum()) / harm
    if held < _HELD:
        return None
    inhibitors = tuple((taken_M > 0.1 * harm).nonzero().flatten().tolist())
    return Motif(neuron, strong, weak, inhibitors, harm, held)
