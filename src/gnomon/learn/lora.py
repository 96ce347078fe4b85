"""Low-rank updates: a large model learns through thin pairs of matrices while its own weights stay (Hu et al. 2021).

Every linear map W of every block becomes W + up · down, with `up` zero at the start, so that training begins at the
very model it was given; `merge_low_rank` adds the product to W. Beside the merged model, `save_adapter` writes the
pairs alone in the layout of the `peft` library, and `adapted` reads them back over the model's own weights. The model
that training started from is the same network inside of `without_update`: no second copy of its weights is needed.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gnomon.core.errors import ModelError
from gnomon.models.families import stored_rows
from gnomon.models.transformer import Transformer

__all__ = ["LowRank", "adapted", "add_low_rank", "merge_low_rank", "merged", "save_adapter", "twin", "without_update"]

_WEIGHTS, _CONFIG, _PREFIX = "adapter_model.safetensors", "adapter_config.json", "base_model.model."
# What PEFT can do beside a sum of two maps.
_OTHER = ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "modules_to_save")


class LowRank(nn.Module):
    """A frozen linear map plus one of low rank.

    Attributes:
        base: the map, [out, in].
        down, up: [rank, in] and [out, rank].
        is_on: whether the second map counts.
    """

    def __init__(self, base: nn.Linear, down: Tensor, up: Tensor) -> None:
        super().__init__()
        self.base = base
        self.down, self.up = nn.Parameter(down), nn.Parameter(up)
        self.is_on = True

    @classmethod
    def drawn(cls, base: nn.Linear, rank: int) -> LowRank:
        """Draws `down` with deviation 1 / sqrt(in) from torch's generator; `up` is zero."""
        down = torch.randn(rank, base.in_features) / base.in_features**0.5
        return cls(base, down, torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both maps' outputs."""
        out: Tensor = self.base(x)
        return out + F.linear(F.linear(x, self.down), self.up) if self.is_on else out

    @property
    def weight(self) -> Tensor:
        """The sum of both maps, [out, in], for those who cut the map in pieces."""
        return self.base.weight + self.up @ self.down if self.is_on else self.base.weight

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
                setattr(parent, name, LowRank.drawn(child, rank))


def merge_low_rank(body: Transformer) -> None:
    """Undoes `add_low_rank`, with what was learnt in the weights."""
    for parent in list(body.blocks.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LowRank):
                setattr(parent, name, child.merged())
    body.requires_grad_(True)


@contextmanager
def without_update(body: Transformer) -> Iterator[Transformer]:
    """Inside, `body` is the model that its low-rank updates were added to."""
    pairs = [module for module in body.modules() if isinstance(module, LowRank)]
    for pair in pairs:
        pair.is_on = False
    try:
        yield body
    finally:
        for pair in pairs:
            pair.is_on = True


def twin(body: Transformer) -> Transformer:
    """A copy of `body` for what learns; parameters that do not are those of `body` itself."""
    return copy.deepcopy(body, {id(p): p for p in body.parameters() if not p.requires_grad})


def merged(body: Transformer) -> Transformer:
    """A copy of `body` with what its updates have learnt in its weights; `body` itself where it has none."""
    if not any(isinstance(module, LowRank) for module in body.modules()):
        return body
    found = copy.deepcopy(body)
    merge_low_rank(found)
    return found


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
            place = f"{_PREFIX}{stored.removesuffix('.weight')}"
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
    save_file(tensors, folder / _WEIGHTS, metadata={"format": "pt"})
    (folder / _CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def adapted(body: Transformer, folder: Path) -> Transformer:
    """`body` with the PEFT adapter in `folder` over its linear maps; its weights are shared, and it stays as it is.

    Raises:
        ModelError: no adapter is there, it is damaged, or it changes more than linear maps of blocks by a sum.
    """
    parts, scale = _read(folder)
    found = copy.deepcopy(body, {id(p): p for p in body.parameters()})
    for name, module in list(found.named_modules()):
        if name.startswith("blocks.") and isinstance(module, nn.Linear):
            pair = _pair(module, name, found, parts, scale, folder)
            if pair is not None:
                above, _, leaf = name.rpartition(".")
                setattr(found.get_submodule(above), leaf, pair)
    if parts:
        what = f"the adapter changes {min(parts)}, which is no linear map of a block of this model"
        raise ModelError(what, where=str(folder), todo="use the model that it was trained over")
    return found.requires_grad_(False)


def _read(folder: Path) -> tuple[dict[str, Tensor], float]:
    """Tensors of an adapter by the stored map's name with `.lora_A` or `.lora_B`, and what multiplies the update."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        tensors = load_file(folder / _WEIGHTS)
        scale = float(config["lora_alpha"]) / int(config["r"])
    except (OSError, ValueError, TypeError, LookupError, ZeroDivisionError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"no PEFT adapter can be read ({reason})", where=str(folder)) from None
    more = [name for name in _OTHER if config.get(name)] + (["bias"] if config.get("bias", "none") != "none" else [])
    if more or config.get("peft_type") != "LORA":
        what = f"the adapter is of type {config.get('peft_type')}" + (f" with {', '.join(more)}" if more else "")
        raise ModelError(what, where=str(folder), todo="give one of plain low-rank updates")
    return {name.removeprefix(_PREFIX).removesuffix(".weight"): value for name, value in tensors.items()}, scale


def _pair(
    base: nn.Linear, name: str, body: Transformer, parts: dict[str, Tensor], scale: float, folder: Path
) -> LowRank | None:
    """The map `name` with its updates, taken out of `parts`; None where there are none.

    A map that the folder stores as several has an update of each, one below the other in `down`, apart in `up`.
    """
    downs, ups = [], []
    places = torch.arange(base.out_features)[:, None]
    for stored, rows in stored_rows(body.config, f"{name}.weight", places):
        a, b = (parts.pop(f"{stored.removesuffix('.weight')}.lora_{side}", None) for side in "AB")
        if a is None and b is None:
            continue
        if a is None or b is None or a.shape[1] != base.in_features or b.shape != (len(rows), len(a)):
            raise ModelError(f"the update of {stored} does not fit the model", where=str(folder))
        downs.append(a)
        ups.append(torch.zeros(base.out_features, len(a)).index_copy(0, rows[:, 0], scale * b.float()))
    return LowRank(base, torch.cat(downs).float(), torch.cat(ups, dim=1)) if downs else None
