"""Low-rank updates: a large model learns through thin pairs of matrices while its own weights stay (Hu et al. 2021).

Every linear map W of every block becomes W + up · down, with `up` zero at the start, so that training begins at the
very model it was given; `merge_low_rank` adds the product to W. Beside the merged model, `save_adapter` writes the
pairs alone in the layout of the `peft` library.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gnomon.models.families import stored_rows
from gnomon.models.transformer import Transformer

__all__ = ["LowRank", "add_low_rank", "merge_low_rank", "save_adapter"]


class LowRank(nn.Module):
    """A frozen linear map plus a trained one of low rank.

    Attributes:
        base: the map, [out, in].
        down, up: [rank, in] and [out, rank].
    """

    def __init__(self, base: nn.Linear, rank: int) -> None:
        """Draws `down` with deviation 1 / sqrt(in) from torch's generator; `up` is zero."""
        super().__init__()
        self.base = base
        self.down = nn.Parameter(torch.randn(rank, base.in_features) / base.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both maps' outputs."""
        out: Tensor = self.base(x) + F.linear(F.linear(x, self.down), self.up)
        return out

    @property
    def weight(self) -> Tensor:
        """The sum of both maps, [out, in], for those who cut the map in pieces."""
        return self.base.weight + self.up @ self.down

    @property
    def bias(self) -> Tensor | None:
        """The frozen map's bias."""
        return self.base.bias

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The frozen map with the other one added to it."""
        self.base.weight += self.up @ self.down
        return self.base


def add_low_rank(body: Transformer, rank: int) -> None:
    """Freezes `body` and gives every linear map of its blocks an update of rank `rank`, which alone learns."""
    body.requires_grad_(False)
    for parent in list(body.blocks.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear):
                setattr(parent, name, LowRank(child, rank))


def merge_low_rank(body: Transformer) -> None:
    """Undoes `add_low_rank`, with what was learnt in the weights."""
    for parent in list(body.blocks.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LowRank):
                setattr(parent, name, child.merged())
    body.requires_grad_(True)


def save_adapter(body: Transformer, folder: Path, *, base: str) -> None:
    """Writes the low-rank updates of `body` as a PEFT adapter: `adapter_config.json` and `adapter_model.safetensors`.

    Args:
        body: with updates; a fused map's becomes one of each stored map, which share their `lora_A`.
        folder: made where it is missing.
        base: name of the model that the adapter belongs to.
    """
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    pairs = {name: module for name, module in body.named_modules() if isinstance(module, LowRank)}
    for name, pair in pairs.items():
        for stored, rows in stored_rows(body.config, f"{name}.weight", pair.up.detach()):
            place = f"base_model.model.{stored.removesuffix('.weight')}"
            tensors[f"{place}.lora_A.weight"] = pair.down.detach().clone()
            tensors[f"{place}.lora_B.weight"] = rows.clone()
    rank = len(next(iter(pairs.values())).down)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        # PEFT multiplies the update by lora_alpha / r.
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": body.config.family == "gpt2",
        "target_modules": sorted({name.split(".")[-3] for name in tensors}),
        "inference_mode": True,
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
