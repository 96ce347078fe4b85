"""Rows of a prefix tree as the arrays of one forward.

Shapes: B rows, T slots of the longest row, H header tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gnomon.models.prefix import Row, Tokens

__all__ = ["filled", "sight"]


def filled(rows: Sequence[Sequence[int] | Tokens]) -> Tensor:
    """Whole numbers [B, T], each row filled up with 0 on the right."""
    filled_BT = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    for row, numbers in zip(filled_BT, rows, strict=True):
        row[: len(numbers)] = numbers
    return torch.from_numpy(filled_BT)


def sight(rows: Sequence[Row], header: int = 0) -> Tensor:
    """Who sees whom, [B, 1, T, H + T]: header, ancestors, itself; a slot without a token sees the header and itself."""
    end_BT = filled([row.end for row in rows])
    size = end_BT.shape[1]
    slots = torch.arange(size)
    sees_BTT = (slots[None, :, None] >= slots[None, None, :]) & (slots[None, :, None] < end_BT[:, None, :])
    sees_BTT |= torch.eye(size, dtype=torch.bool)
    mask = torch.ones(len(rows), 1, size, header + size, dtype=torch.bool)
    mask[:, 0, :, header:] = sees_BTT
    return mask
