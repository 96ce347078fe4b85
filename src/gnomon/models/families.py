"""Weights of every family between a Hugging Face folder and the one decoder, by tables of names.

A table maps our module to the stored ones: several stored tensors are joined along their first axis, GPT-2's are
transposed, GPT-NeoX's fused map is regrouped from head-major to query-key-value-major. Every step is invertible.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from gnomon.core.errors import ModelError
from gnomon.models.family_configs import FAMILIES, config_from_json, config_to_json
from gnomon.models.stored import INDEX, WEIGHTS, Stored, read_json
from gnomon.models.transformer import Transformer
from gnomon.models.transformer_config import TransformerConfig

if TYPE_CHECKING:
    from gnomon.models.tokenizer import Tokenizer

__all__ = ["FAMILIES", "load_folder", "read_config", "save_folder", "stored_rows", "supported"]

_LLAMA = {
    "embed": ["model.embed_tokens"],
    "pos_embed": ["model.embed_positions"],
    "unembed": ["lm_head"],
    "ln_f": ["model.norm"],
    "ln1": ["model.layers.{}.input_layernorm"],
    "ln2": ["model.layers.{}.post_attention_layernorm"],
    "attn.qkv": [f"model.layers.{{}}.self_attn.{part}_proj" for part in "qkv"],
    "attn.out": ["model.layers.{}.self_attn.o_proj"],
    "attn.q_norm": ["model.layers.{}.self_attn.q_norm"],
    "attn.k_norm": ["model.layers.{}.self_attn.k_norm"],
    "attn": ["model.layers.{}.self_attn"],
    "mlp.up": ["model.layers.{}.mlp.gate_proj", "model.layers.{}.mlp.up_proj"],
    "mlp.down": ["model.layers.{}.mlp.down_proj"],
}
_GPT2 = {
    "embed": ["transformer.wte"],
    "pos_embed": ["transformer.wpe"],
    "unembed": ["lm_head"],
    "ln_f": ["transformer.ln_f"],
    "ln1": ["transformer.h.{}.ln_1"],
    "ln2": ["transformer.h.{}.ln_2"],
    "attn.qkv": ["transformer.h.{}.attn.c_attn"],
    "attn.out": ["transformer.h.{}.attn.c_proj"],
    "mlp.up": ["transformer.h.{}.mlp.c_fc"],
    "mlp.down": ["transformer.h.{}.mlp.c_proj"],
}
_NEOX = {
    "embed": ["gpt_neox.embed_in"],
    "unembed": ["embed_out"],
    "ln_f": ["gpt_neox.final_layer_norm"],
    "ln1": ["gpt_neox.layers.{}.input_layernorm"],
    "ln2": ["gpt_neox.layers.{}.post_attention_layernorm"],
    "attn.qkv": ["gpt_neox.layers.{}.attention.query_key_value"],
    "attn.out": ["gpt_neox.layers.{}.attention.dense"],
    "mlp.up": ["gpt_neox.layers.{}.mlp.dense_h_to_4h"],
    "mlp.down": ["gpt_neox.layers.{}.mlp.dense_4h_to_h"],
}
_TABLES = {"gpt2": _GPT2, "gpt_neox": _NEOX}
_CONFIG = "config.json"


def supported(config_json: Mapping[str, Any]) -> bool:
    """Whether the decoder computes what this parsed `config.json` describes."""
    try:
        config_from_json(config_json)
    except ModelError:
        return False
    return True


def read_config(folder: Path | str) -> TransformerConfig:
    """The shape of the model stored in `folder`.

    Raises:
        ModelError: no folder, no readable `config.json`, or an architecture that is not ours.
    """
    path = Path(folder) / _CONFIG
    found = read_json(path)
    try:
        return config_from_json(found)
    except ModelError as error:
        what = error.what if error.where in ("", _CONFIG) else f"{error.where}: {error.what}"
        raise ModelError(what, where=str(path), todo=error.todo) from None


def load_folder(folder: Path | str, *, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Transformer:
    """The model stored in a Hugging Face folder: `config.json` and weights (`models/stored`).

    Raises:
        ModelError: a missing folder or file, a damaged file, an unknown architecture, a setting the decoder does not
            compute, and tensors that are missing, of a wrong shape or unknown; the file is named.
    """
    folder = Path(folder)
    config = read_config(folder)
    with torch.device("meta"):
        model = Transformer(config)
    stored = Stored(folder)
    weights: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        parts = [stored.read(part) for part in _names(config, name)]
        weights[name] = _joined(config, name, parts, parameter.shape, stored).to(device=device, dtype=dtype)
    stored.refuse_unknown(config)
    model.load_state_dict(weights, assign=True)
    return model


def save_folder(
    model: Transformer, folder: Path | str, *, tokenizer: Tokenizer | None = None, dtype: torch.dtype | None = None
) -> None:
    """Writes `model` as a Hugging Face folder; a reader never sees a half-written file.

    Args:
        model: the model.
        folder: where; files of other names that it holds stay.
        tokenizer: written beside the weights.
        dtype: of the stored weights; None keeps the model's.

    Raises:
        ModelError: the family's format cannot say what the model's config says.
    """
    folder = Path(folder)
    kind = dtype or model.embed.weight.dtype
    config_json = config_to_json(model.config) | {"torch_dtype": str(kind).removeprefix("torch.")}
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        weights = {name: t.to(kind).contiguous().cpu() for name, t in _stored_tensors(model)}
        save_file(weights, str(fresh / WEIGHTS), metadata={"format": "pt"})
        if tokenizer is not None:
            tokenizer.save(fresh)
        (fresh / _CONFIG).write_text(json.dumps(config_json, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        folder.mkdir(exist_ok=True)
        for file in sorted(fresh.iterdir(), key=lambda file: file.name == _CONFIG):
            os.replace(file, folder / file.name)
        (folder / INDEX).unlink(missing_ok=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def stored_rows(config: TransformerConfig, ours: str, whole: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The stored names of our parameter `ours`, each with its rows of `whole`, which has a row an output of the map."""
    if config.family == "gpt_neox" and ".attn.qkv." in ours:
        whole = whole.view(3, config.num_heads, config.d_head, *whole.shape[1:]).transpose(0, 1).reshape(whole.shape)
    parts = torch.split(whole, _part_sizes(config, ours, whole.shape))
    yield from zip(_names(config, ours), parts, strict=True)


def _names(config: TransformerConfig, ours: str) -> list[str]:
    """Stored names of one of our parameters, in the order they are joined."""
    module, _, leaf = ours.rpartition(".")
    layer, table = "", _TABLES.get(config.family, _LLAMA)
    if module.startswith("blocks."):
        _, layer, module = module.split(".", 2)
    stored = table[module]
    if module == "mlp.up" and config.mlp != "swiglu":
        stored = stored[-1:]
    return [f"{name.format(layer)}.{leaf}" for name in stored]


def _joined(config: TransformerConfig, ours: str, parts: list[Tensor], shape: torch.Size, stored: Stored) -> Tensor:
    """One of our parameters from its stored parts."""
    names = _names(config, ours)
    if _transposed(config, ours):
        parts = [part.t() for part in parts]
    for name, part, size in zip(names, parts, _part_sizes(config, ours, shape), strict=True):
        if tuple(part.shape) != (size, *shape[1:]):
            expected = (*shape[1:], size) if _transposed(config, ours) else (size, *shape[1:])
            found = tuple(part.t().shape) if _transposed(config, ours) else tuple(part.shape)
            raise ModelError(
                f"tensor {name!r} has shape {found}, and config.json implies {expected}", where=stored.where(name)
            )
    joined = parts[0] if len(parts) == 1 else torch.cat(parts)
    if config.family == "gpt_neox" and ".attn.qkv." in ours:
        joined = joined.view(config.num_heads, 3, config.d_head, *shape[1:]).transpose(0, 1).reshape(shape)
    return joined.contiguous()


def _stored_tensors(model: Transformer) -> Iterator[tuple[str, Tensor]]:
    """The inverse of `_joined`: stored names and tensors."""
    for ours, parameter in model.named_parameters():
        for name, part in stored_rows(model.config, ours, parameter.detach()):
            yield name, part.t() if _transposed(model.config, ours) else part


def _part_sizes(config: TransformerConfig, ours: str, shape: torch.Size) -> list[int]:
    """Lengths of the stored parts along the first axis."""
    if len(_names(config, ours)) == 1:
        return [shape[0]]
    if ".mlp.up." in ours:
        return [config.d_mlp, config.d_mlp]
    keys = config.num_kv_heads * config.d_head
    return [config.num_heads * config.d_head, keys, keys]


def _transposed(config: TransformerConfig, ours: str) -> bool:
    return config.family == "gpt2" and ours.endswith(".weight") and (".attn." in ours or ".mlp." in ours)
