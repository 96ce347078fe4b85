"""Where heads look: at what followed an earlier copy of a token, at the copy itself, one token back, at the beginning.

Olsson et al. 2022 (arXiv 2209.11895), appendix "Head activation evaluators". Patterns are reduced layer by layer to one
number a head, so that nothing of size T^2 is kept, and nothing after the last pattern is computed.

The copying score follows the appendix with its start token put back: the head's values, through the final norm's gain
and the unembedding, restricted to the tokens of the sample and less their mean, give each token a rise; the score is
the attended token's share of all rises, weighted by attention, from -1 (none of it) to 1 (all of it). In the paper the
share ends at a half, as it does here where what falls counts as well as what rises: they are as much, so both rescale
to the same score. Its 0 says nothing of a head's kind: values of width d tell tokens apart but so far, and 24 others
share what is raised by the way. So the same is read of a token that nothing foretells, the next one of the sample.

Shapes: N sequences, B of them at once, T tokens, L layers, H heads, K kinds of places, D width, d head width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from gnomon.explain.induction.sequences import Repeats
from gnomon.models.attention import Attention
from gnomon.models.hooks import Plan, keep
from gnomon.models.transformer import Block, Transformer

__all__ = ["KINDS", "copying", "looked_back", "looked_under", "looks"]

KINDS = ("prefix matching", "duplicate token", "first token", "current token")
_AT_ONCE = 4


@torch.no_grad()
def looks(net: Transformer, of: Repeats) -> dict[str, Tensor]:
    """Mean attention [N, L, H] of the second and later copies, by kind of place, between 0 and 1.

    prefix matching    the tokens that followed the earlier copies of the token
    duplicate token    the earlier copies themselves
    first token        the first of the sequence
    current token      the token itself

    NaN of heads whose window is too short for the nearest such place: it is out of their reach.
    """
    length = of.tokens_NT.shape[1]
    masks_KTT = torch.stack([_mask(of, kind, length) for kind in KINDS])
    found_NLHK = looked_under(net, of.tokens_NT, masks_KTT / len(of.places))
    window = net.config.window or length
    for kind, back in (("prefix matching", of.period - 1), ("duplicate token", of.period)):
        blind = [layer for layer in range(net.config.num_layers) if net.config.windowed(layer) and back >= window]
        found_NLHK[:, blind, :, KINDS.index(kind)] = torch.nan
    return {kind: found_NLHK[..., place] for place, kind in enumerate(KINDS)}


@torch.no_grad()
def looked_back(net: Transformer, tokens_NT: Tensor) -> Tensor:
    """Mean attention [N, L, H] to the token just before."""
    length = tokens_NT.shape[1]
    mask_TT = torch.diag(torch.ones(length - 1), -1)
    return looked_under(net, tokens_NT, mask_TT[None] / (length - 1))[..., 0]


@torch.no_grad()
def looked_under(net: Transformer, tokens_NT: Tensor, masks_KTT: Tensor) -> Tensor:
    """Sums [N, L, H, K] of every pattern under every mask."""
    # Few places count, and a product with whole patterns reads all of them.
    masks_KN = masks_KTT.flatten(1).to(net.w_u.dtype)
    places_E = masks_KN.any(0).nonzero().flatten()
    masks_EK = masks_KN[:, places_E].T

    def under(pattern_BHTT: Tensor) -> Tensor:
        return pattern_BHTT.flatten(2)[..., places_E] @ masks_EK

    readers: Mapping[str, Callable[[Tensor], Tensor]] = {f"{i}.pattern": under for i in range(net.config.num_layers)}
    parts = []
    for tokens_BT in torch.split(tokens_NT, _AT_ONCE):
        plan = Plan(read=readers, stop_at=_last(net))
        net(tokens_BT, plan=plan)
        parts.append(torch.stack([plan.results[name] for name in readers], dim=1))
    return torch.cat(parts)


@torch.no_grad()
def copying(net: Transformer, of: Repeats) -> dict[str, Tensor]:
    """Scores [N, L, H] of the first copy's tokens, between -1 and 1.

    copying          the attended token's share of what is raised
    copying, null    the share of the token behind it, which no head can know
    """
    tokens_NT = of.tokens_NT[:, : of.offset + of.period]
    parts = []
    for tokens_BT in torch.split(tokens_NT, _AT_ONCE):
        inputs: dict[int, Tensor] = {}
        plan = Plan(stop_at=_last(net))
        plan.read = {
            **{f"{layer}.ln1": partial(_into, inputs, layer) for layer in range(net.config.num_layers)},
            **{
                f"{layer}.pattern": partial(_copied, net, inputs, layer, tokens_BT, of.offset)
                for layer in range(net.config.num_layers)
            },
        }
        net(tokens_BT, plan=plan)
        parts.append(torch.stack([plan.results[f"{layer}.pattern"] for layer in range(net.config.num_layers)], dim=1))
    own_NLH, next_NLH = torch.cat(parts).unbind(-1)
    return {"copying": own_NLH, "copying, null": next_NLH}


def _into(inputs: dict[int, Tensor], layer: int, x_BTD: Tensor) -> None:
    inputs[layer] = keep(x_BTD)


def _copied(
    net: Transformer, inputs: dict[int, Tensor], layer: int, tokens_BT: Tensor, offset: int, pattern_BHTT: Tensor
) -> Tensor:
    """Copying scores [B, H, 2] of one layer: of the attended token, and of the one behind it."""
    attn = cast(Block, net.blocks[layer]).attn
    rises_BTHT = (_rises(net, attn, inputs.pop(layer), tokens_BT[:, offset:], offset)).clamp_min(0)
    seen_BHT = pattern_BHTT[:, :, offset:, offset:].sum(2)
    total_BH = torch.einsum("bhs,bshu->bh", seen_BHT, rises_BTHT).clamp_min(1e-12)
    raised = [rises_BTHT.roll(-further, dims=3).diagonal(dim1=1, dim2=3) for further in (0, 1)]
    return torch.stack([2 * (seen_BHT * of_BHT).sum(-1) / total_BH - 1 for of_BHT in raised], dim=-1)


def _rises(net: Transformer, attn: Attention, x_BTD: Tensor, sample_BT: Tensor, offset: int) -> Tensor:
    """What each token's value adds to the logit of each token of the sample, less the mean over them: [B, S, H, U]."""
    value_BSKd = torch.einsum("bsD,kdD->bskd", x_BTD[:, offset:], attn.w_v)
    value_BSHd = value_BSKd.repeat_interleave(attn.num_heads // attn.num_kv_heads, dim=2)
    gain_D = cast(Tensor, net.ln_f.weight)
    said_BUD = net.w_u[sample_BT] * gain_D
    if isinstance(net.ln_f, nn.LayerNorm):
        said_BUD = said_BUD - said_BUD.mean(-1, keepdim=True)
    out_BUHd = torch.einsum("buD,hDd->buhd", said_BUD, attn.w_o)
    rise_BSHU = torch.einsum("bshd,buhd->bshu", value_BSHd, out_BUHd)
    return rise_BSHU - rise_BSHU.mean(-1, keepdim=True)


def _last(net: Transformer) -> str:
    """The hook behind which no pattern comes."""
    return f"{net.config.num_layers - 1}.pattern"


def _mask(of: Repeats, kind: str, length: int) -> Tensor:
    """Which keys [T, T] count for each query of the second and later copies."""
    mask_TT = torch.zeros(length, length)
    for query in of.places:
        earlier = range(query - of.period, of.offset - 1, -of.period)
        keys = {
            "prefix matching": [key + 1 for key in earlier],
            "duplicate token": list(earlier),
            "first token": [0],
            "current token": [query],
        }[kind]
        mask_TT[query, keys] = 1.0
    return mask_TT
