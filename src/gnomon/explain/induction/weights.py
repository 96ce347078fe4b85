"""What a head's weights say by themselves: whether it copies, what it matches, and what it reads from earlier heads.

Elhage et al. 2021 ("A Mathematical Framework for Transformer Circuits") and Olsson et al. 2022 (arXiv 2209.11895). A
head's OV circuit W_U W_O W_V W_E and QK circuit W_E^T W_Q^T W_K W_E are vocabulary by vocabulary; their non-zero
eigenvalues are those of matrices of head width, and nothing larger than D by D is formed. The gain of the norm before
the head is folded into its maps, that of the final norm into the unembedding; LayerNorm's centring into both. Biases,
positions and the scale of norms are left out, so a circuit is read along the direct path.

Shapes: L layers, H heads, D width, d head width.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor

from gnomon.models.norms import reading
from gnomon.models.transformer import Block, Transformer

__all__ = ["Composition", "compositions", "ov_copying", "qk_trace"]


class Composition(NamedTuple):
    """How much of each head's output each later head reads, by what it enters.

    ||W_2 W_1|| / (||W_2|| ||W_1||) in Frobenius norms [L, H, L, H], first the later head, less what random maps of the
    same shape have; NaN where the second pair is not earlier.
    """

    q: Tensor
    k: Tensor
    v: Tensor


class _Maps(NamedTuple):
    """The maps of all heads with gains folded in, a head on axes 0 and 1: q, k, v [L, H, d, D], o [L, H, D, d]."""

    q: Tensor
    k: Tensor
    v: Tensor
    o: Tensor


@torch.no_grad()
def ov_copying(net: Transformer) -> Tensor:
    """Sum of real parts over sum of sizes of the OV circuit's eigenvalues [L, H]; 1 copies, -1 suppresses."""
    maps = _maps(net)
    met_DD = _embedding(net).T @ _unembedding(net)
    return _positive(maps.v @ met_DD @ maps.o)


@torch.no_grad()
def qk_trace(net: Transformer, back_LH: Tensor, length: int) -> Tensor:
    """How much a head prefers keys whose previous token is the query's, by its eigenvalues [L, H]; NaN in layer 0, and
    in layers whose window the texts exceed, for no window shows in weights.

    Earlier heads move the previous token to the key as much as they look one back.

    Args:
        back_LH: mean attention one token back.
        length: tokens of the texts that it is of.

    Source: Olsson et al. 2022, model analysis table, row 7; there the trace itself, whose sign is that of this.
    """
    maps = _maps(net)
    embed_VD = _embedding(net)
    gram_DD = embed_VD.T @ embed_VD
    found = torch.full(back_LH.shape, torch.nan)
    moved_DD = torch.zeros_like(gram_DD)
    narrow = net.config.window is not None and net.config.window < length
    for layer in range(net.config.num_layers):
        if layer and not (narrow and net.config.windowed(layer)):
            found[layer] = _positive(maps.k[layer] @ moved_DD @ gram_DD @ maps.q[layer].transpose(-1, -2))
        moved_DD = moved_DD + torch.einsum("h,hDd,hdE->DE", back_LH[layer].to(gram_DD), maps.o[layer], maps.v[layer])
    return found


@torch.no_grad()
def compositions(net: Transformer, *, seed: int = 0) -> Composition:
    """Q-, K- and V-composition of every head with every earlier one."""
    maps = _maps(net)
    num_layers, num_heads = maps.q.shape[:2]
    # ||A M B|| is ||R_a M R_b^T|| with A^T and B in QR form, so that only head-width matrices meet.
    small = {name: torch.linalg.qr(getattr(maps, name).transpose(-1, -2)).R for name in ("q", "k", "v")}
    out = torch.linalg.qr(maps.o).R
    ov = torch.linalg.matrix_norm(out @ small["v"].transpose(-1, -2))
    qk = torch.linalg.matrix_norm(small["q"] @ small["k"].transpose(-1, -2))
    found = {}
    for name in ("q", "k", "v"):
        reads = getattr(maps, name)
        # The side that does not meet the earlier head: keys for queries, queries for keys, the output for values.
        other = {"q": small["k"], "k": small["q"], "v": out}[name]
        scale = ov if name == "v" else qk
        cell = torch.full((num_layers, num_heads, num_layers, num_heads), torch.nan)
        for later in range(1, num_layers):
            met = torch.einsum("gdD,lhDe->glhde", reads[later], maps.o[:later])
            whole = torch.einsum("gad,glhde,lhce->glhac", other[later], met, small["v"][:later])
            norms = torch.linalg.matrix_norm(whole)
            cell[later, :, :later] = norms / (scale[later][:, None, None] * ov[None, :later])
        found[name] = cell - _by_chance(maps, seed)
    return Composition(**found)


def _by_chance(maps: _Maps, seed: int) -> float:
    """The score of two random circuits of these shapes."""
    d, width = maps.q.shape[-2:]
    rng = torch.Generator().manual_seed(seed)
    one, two, three, four = (torch.randn(16, width, d, generator=rng) for _ in range(4))
    first, second = one @ two.transpose(-1, -2), three @ four.transpose(-1, -2)
    norm = torch.linalg.matrix_norm
    return float((norm(second @ first) / (norm(second) * norm(first))).mean())


def _positive(small: Tensor) -> Tensor:
    """Sum of the real parts of the eigenvalues over the sum of their sizes; 0 where all are 0."""
    found = torch.linalg.eigvals(small.float())
    share: Tensor = found.real.sum(-1) / found.abs().sum(-1).clamp_min(1e-12)
    return share


def _maps(net: Transformer) -> _Maps:
    parts: dict[str, list[Tensor]] = {"q": [], "k": [], "v": [], "o": []}
    for block in net.blocks:
        ln1, attn = cast(Block, block).ln1, cast(Block, block).attn
        share = attn.num_heads // attn.num_kv_heads
        parts["q"].append(reading(ln1, attn.w_q))
        parts["k"].append(reading(ln1, attn.w_k).repeat_interleave(share, dim=0))
        parts["v"].append(reading(ln1, attn.w_v).repeat_interleave(share, dim=0))
        parts["o"].append(attn.w_o)
    return _Maps(*(torch.stack(parts[name]).float() for name in _Maps._fields))


def _embedding(net: Transformer) -> Tensor:
    return net.embed.weight.float()


def _unembedding(net: Transformer) -> Tensor:
    """[V, D], the final norm in it."""
    return reading(net.ln_f, net.w_u.float())
