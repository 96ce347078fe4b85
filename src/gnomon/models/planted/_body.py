"""A body without weights, whose hidden states come from a table; for planted models with activations."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import torch
from torch import Tensor, nn

__all__ = ["PlantedBody"]


class PlantedBody(nn.Module):
    """Offers `config.d_model` and `hidden` as `Transformer` does; token i has hidden state `table[i]`."""

    def __init__(self, table: Sequence[Sequence[float]]) -> None:
        super().__init__()
        self._table = table
        self.config = SimpleNamespace(d_model=len(table[0]))

    def __deepcopy__(self, memo: dict[int, object]) -> PlantedBody:
        # The table grows as prompts are read; a trained copy must see what came after it.
        return self

    def hidden(self, tokens_BT: Tensor, *, at: Tensor) -> Tensor:
        """Hidden states [N, D] at the (row, position) pairs `at` [N, 2]."""
        tokens = tokens_BT[at[:, 0], at[:, 1]].tolist()
        return torch.tensor([self._table[t] for t in tokens], dtype=torch.float32)
