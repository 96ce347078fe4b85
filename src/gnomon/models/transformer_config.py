"""What can vary between the decoders of the supported families, as one frozen record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gnomon.core.errors import ModelError

__all__ = ["TransformerConfig"]


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """The shape of a decoder; every family is a setting of these fields.

    Attributes:
        vocab_size: rows of the embedding.
        d_model: width of the residual stream.
        num_layers: number of blocks.
        num_heads: query heads a block.
        num_kv_heads: key and value heads a block, a divisor of `num_heads`; 0 means `num_heads`.
        d_head: width of a head; 0 means `d_model // num_heads`.
        d_mlp: hidden width of the MLP; unused with mlp "none".
        max_positions: longest context; a hard limit for learned and shortformer positions.
        norm: kind of every norm; "layernorm" has a bias.
        norm_eps: added to the variance.
        parallel_block: attention and MLP read the same residual, each through its own norm (GPT-NeoX).
        positions: "learned" adds a table to the residual stream; "shortformer" adds it, after the norm, to what queries
            and keys are computed from and nowhere else (Press et al. 2020); "rotary" turns queries and keys.
        rotary_theta: base of the rotary wavelengths.
        rotary_fraction: part of a head's width that is turned, in (0, 1].
        rotary_scaling: the Hugging Face `rope_scaling` mapping, with "rope_type"; None is unscaled.
        qkv_bias: queries, keys and values have a bias.
        out_bias: the attention output has a bias.
        qk_norm: RMS norm over each head of queries and keys, before the rotation (Qwen 3).
        smear_keys: key j becomes s·k_j + (1 - s)·k_{j-1} with one trainable s in (0, 1) a head, before the rotation;
            the key at position 0 is left alone (Olsson et al. 2022, "smeared keys").
        window: keys at this distance or further are not seen; None sees everything.
        window_layers: layers that have the window; None is all of them.
        mlp: "swiglu" has a gate; "gelu_tanh" is GPT-2's approximation.
        mlp_bias: the MLP's maps have a bias.
        tie_embeddings: the unembedding is the embedding.
        family: name of the weights' layout on disk, see `gnomon.models.families`.
        bos_token_id, eos_token_ids, pad_token_id: carried for the folder's config; the model does not read them.

    Raises:
        ModelError: fields that contradict each other.
    """

    vocab_size: int
    d_model: int
    num_layers: int
    num_heads: int
    num_kv_heads: int = 0
    d_head: int = 0
    d_mlp: int = 0
    max_positions: int = 1024
    norm: Literal["layernorm", "rmsnorm"] = "rmsnorm"
    norm_eps: float = 1e-5
    parallel_block: bool = False
    positions: Literal["learned", "shortformer", "rotary", "none"] = "rotary"
    rotary_theta: float = 10_000.0
    rotary_fraction: float = 1.0
    rotary_scaling: Mapping[str, Any] | None = field(default=None, hash=False)
    qkv_bias: bool = False
    out_bias: bool = False
    qk_norm: bool = False
    smear_keys: bool = False
    window: int | None = None
    window_layers: tuple[int, ...] | None = None
    mlp: Literal["none", "gelu", "gelu_tanh", "swiglu"] = "swiglu"
    mlp_bias: bool = False
    tie_embeddings: bool = True
    family: str = "llama"
    bos_token_id: int | None = None
    eos_token_ids: tuple[int, ...] = ()
    pad_token_id: int | None = None

    def __post_init__(self) -> None:
        for name in ("vocab_size", "d_model", "num_layers", "num_heads", "max_positions"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ModelError(f"{name} must be a positive whole number, and is {value!r}")
        object.__setattr__(self, "num_kv_heads", self.num_kv_heads or self.num_heads)
        object.__setattr__(self, "d_head", self.d_head or self.d_model // self.num_heads)
        if self.num_heads % self.num_kv_heads:
            raise ModelError(f"{self.num_heads} heads cannot share {self.num_kv_heads} key-value heads evenly")
        if self.positions == "rotary" and self.d_rotary % 2:
            raise ModelError(f"rotary positions turn pairs, and {self.d_rotary} of a head's widths are to be turned")
        if self.mlp != "none" and self.d_mlp <= 0:
            raise ModelError(f"mlp {self.mlp!r} needs d_mlp, which is {self.d_mlp}")

    @property
    def d_rotary(self) -> int:
        """How many of a head's coordinates are turned."""
        return int(self.d_head * self.rotary_fraction)

    def windowed(self, layer: int) -> bool:
        """Whether `layer` sees only the keys of its window."""
        return self.window is not None and (self.window_layers is None or layer in self.window_layers)
