"""Attention of every family: projections, rotation, smeared keys, and the two ways to mix values.

The fused way is torch's scaled dot-product attention; the explicit way spells scores and pattern out for those who
read or write them.

Shapes: B rows, T new tokens, S tokens to look at (held in the cache, then new), D model width, H query heads,
K key-value heads, d head width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gnomon.models.cache import KVCache
from gnomon.models.products import Map, product
from gnomon.models.rotary import Turn, turn
from gnomon.models.transformer_config import TransformerConfig

__all__ = ["Attention", "Context", "Sight", "norm"]


class Sight(NamedTuple):
    """Which keys a query sees: `mask` (True sees, broadcastable to [B, H, T, S]), or plainly causal, or all."""

    mask: Tensor | None
    is_causal: bool


class Context(NamedTuple):
    """What all layers of one forward share.

    Attributes:
        sight: for layers without a window.
        window_sight: for layers with one.
        turn: rotation of this call's tokens, with rotary positions.
        added_TD: what queries and keys see added, with shortformer positions: [T, D] or [B, T, D].
        first_BT: whether a token stands at position 0, with smeared keys: [T] or [B, T].
        cache: extended by every layer.
    """

    sight: Sight
    window_sight: Sight
    turn: Turn | None
    added_TD: Tensor | None
    first_BT: Tensor | None
    cache: KVCache | None


def norm(config: TransformerConfig, width: int) -> nn.Module:
    """A norm of the family's kind over the last `width` coordinates."""
    kind = nn.RMSNorm if config.norm == "rmsnorm" else nn.LayerNorm
    return kind(width, eps=config.norm_eps)


class Attention(nn.Module):
    """Multi-head attention with one fused map for queries, keys and values, in that order.

    `w_q`, `w_k`, `w_v` and `w_o` are views of the stored weights, a head on the first axis.
    """

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.windowed = config.windowed(layer)
        self.num_heads, self.num_kv_heads, self.d_head = config.num_heads, config.num_kv_heads, config.d_head
        self.grouped = self.num_heads != self.num_kv_heads
        heads = self.num_heads + 2 * self.num_kv_heads
        self.qkv = Map(config.d_model, heads * self.d_head, bias=config.qkv_bias)
        self.out = Map(self.num_heads * self.d_head, config.d_model, bias=config.out_bias)
        self.q_norm = nn.RMSNorm(self.d_head, eps=config.norm_eps) if config.qk_norm else None
        self.k_norm = nn.RMSNorm(self.d_head, eps=config.norm_eps) if config.qk_norm else None
        self.smear = nn.Parameter(torch.zeros(self.num_kv_heads)) if config.smear_keys else None

    @property
    def w_q(self) -> Tensor:
        """Query maps, [H, d, D]: a head's query is `w_q[h] @ x`."""
        return self._maps[: self.num_heads]

    @property
    def w_k(self) -> Tensor:
        """Key maps, [K, d, D]."""
        return self._maps[self.num_heads : self.num_heads + self.num_kv_heads]

    @property
    def w_v(self) -> Tensor:
        """Value maps, [K, d, D]."""
        return self._maps[self.num_heads + self.num_kv_heads :]

    @property
    def w_o(self) -> Tensor:
        """Output maps, [H, D, d]: a head adds `w_o[h] @ z` to the residual stream."""
        return self.out.weight.view(-1, self.num_heads, self.d_head).transpose(0, 1)

    @property
    def _maps(self) -> Tensor:
        return self.qkv.weight.view(-1, self.d_head, self.qkv.in_features)

    def forward(self, x_BTD: Tensor, context: Context) -> Tensor:
        """The attention output for normed residuals `x_BTD`, by the fused way."""
        return self.merge(self.mix(*self.project(x_BTD, context), context))

    def project(self, x_BTD: Tensor, context: Context) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [B, H, T, d], keys and values [B, K, T, d] as the dot product sees them: normed, smeared, turned."""
        turned = self.num_heads + self.num_kv_heads
        if context.added_TD is None:
            qkv = self._heads(self.qkv(x_BTD))
            qk, v = torch.split(qkv, [turned, self.num_kv_heads], dim=-2)
        else:
            qk, v = self._project_apart(x_BTD, x_BTD + context.added_TD)
        if self.q_norm is not None and self.k_norm is not None:
            qk = torch.cat((self.q_norm(qk[..., : self.num_heads, :]), self.k_norm(qk[..., self.num_heads :, :])), -2)
        if self.smear is not None:
            q, k = torch.split(qk, [self.num_heads, self.num_kv_heads], dim=-2)
            qk = torch.cat((q, self._smeared(k, self.smear, context)), -2)
        if context.turn is not None:
            qk = turn(qk, context.turn)
        q, k = torch.split(qk, [self.num_heads, self.num_kv_heads], dim=-2)
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)

    def values(self, x_BTD: Tensor) -> Tensor:
        """Values [B, K, T, d] alone, for patterns that are given."""
        cut = (self.num_heads + self.num_kv_heads) * self.d_head
        bias = None if self.qkv.bias is None else self.qkv.bias[cut:]
        return self._heads(product(x_BTD, self.qkv.weight[cut:], bias)).transpose(1, 2)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, context: Context) -> Tensor:
        """Values mixed by the fused kernel, z [B, H, T, d]; appends keys and values to the cache."""
        if context.cache is not None:
            k, v = context.cache.append(self.layer, k, v)
        mask, is_causal = self._sight(context)
        return F.scaled_dot_product_attention(q, k, v, mask, is_causal=is_causal, enable_gqa=self.grouped)

    def mix_explicitly(
        self, q: Tensor, k: Tensor, v: Tensor, context: Context, tap: Callable[[str, Tensor], Tensor]
    ) -> Tensor:
        """As `mix`, with `tap("scores", …)` and `tap("pattern", …)` called on [B, H, T, S] and their answers used.

        Scores are scaled and -inf where not seen; a query that sees nothing has a pattern of zeros.
        """
        if context.cache is not None:
            k, v = context.cache.append(self.layer, k, v)
        if self.grouped:
            k, v = (t.repeat_interleave(self.num_heads // self.num_kv_heads, dim=1) for t in (k, v))
        # Passes over all scores are most of what this costs beside the fused way: queries are the smaller to divide,
        # what was just made may be written over, and a softmax of bfloat16 is computed in float32 as it is. Keys that
        # lie apart are turned number by number, and a future is added faster than filled in.
        scores = (q / math.sqrt(self.d_head)) @ k.contiguous().transpose(-1, -2)
        mask, is_causal = self._sight(context)
        if is_causal:
            scores += torch.full(scores.shape[-2:], -math.inf, dtype=q.dtype, device=q.device).triu(1)
        elif mask is not None:
            scores = scores.masked_fill_(~mask, -math.inf)
        pattern = torch.softmax(tap("scores", scores), dim=-1)
        if mask is not None:  # a softmax over nothing is NaN
            pattern = pattern.masked_fill(~mask.any(-1, keepdim=True), 0.0)
        return tap("pattern", pattern) @ v

    def merge(self, z_BHTd: Tensor) -> Tensor:
        """What the heads together add to the residual stream, [B, T, D]."""
        merged: Tensor = self.out(z_BHTd.transpose(1, 2).flatten(2))
        return merged

    def merge_apart(self, z_BHTd: Tensor) -> Tensor:
        """What each head adds, [B, T, H, D]; the bias, if any, is not part of it."""
        return torch.einsum("bhtd,hDd->bthD", z_BHTd, self.w_o)

    def _sight(self, context: Context) -> Sight:
        return context.window_sight if self.windowed else context.sight

    def _project_apart(self, x_BTD: Tensor, placed_BTD: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys from `placed_BTD`, which knows positions; values from `x_BTD`, which does not."""
        cut = (self.num_heads + self.num_kv_heads) * self.d_head
        weight, bias = self.qkv.weight, self.qkv.bias
        qk = product(placed_BTD, weight[:cut], None if bias is None else bias[:cut])
        v = product(x_BTD, weight[cut:], None if bias is None else bias[cut:])
        return self._heads(qk), self._heads(v)

    def _heads(self, flat: Tensor) -> Tensor:
        return flat.view(*flat.shape[:-1], -1, self.d_head)

    def _smeared(self, k_BTKd: Tensor, smear_K: Tensor, context: Context) -> Tensor:
        """Keys mixed with their predecessors'; a key at position 0 has none."""
        tail = None
        if context.cache is not None:
            tail = context.cache.tails[self.layer]
            context.cache.tails[self.layer] = k_BTKd[:, -1:]
        before = torch.cat((k_BTKd[:, :1] if tail is None else tail, k_BTKd[:, :-1]), dim=1)
        share = torch.sigmoid(smear_K)[:, None]
        mixed = torch.lerp(before, k_BTKd, share)
        assert context.first_BT is not None
        return torch.where(context.first_BT[..., None, None], k_BTKd, mixed)
