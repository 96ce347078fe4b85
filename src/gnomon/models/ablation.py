"""Every head of a model left out once, with what lies before a head computed once for all heads of its layer.

    zero     what the head adds is left out, and the rest of the model sees that
    frozen   the same, but every later pattern is forced to what it was: only the head's values are missing, not its
             effect on where later heads look (Olsson et al. 2022, arXiv 2209.11895, "pattern-preserving ablation")
    mean     the head adds its mean over the batch and its positions

Layers before the head's run once; its layer's heads lie side by side in the batch for the rest. Frozen patterns need
neither queries, keys nor a softmax. Shapes: B rows, T tokens, P places, L layers, H heads, C of them at once, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor

from gnomon.models.attention import Context
from gnomon.models.hooks import Plan, keep
from gnomon.models.norms import bias_of, reading, scale_of
from gnomon.models.products import product
from gnomon.models.tails import after, chunks, losses_of, rest, under
from gnomon.models.transformer import Block, Transformer

__all__ = ["Ablated", "Kind", "ablated_losses"]

Kind = Literal["zero", "frozen", "mean"]


class Ablated(NamedTuple):
    """Losses in nats of tokens after the first, or of some: of the whole model [B, T - 1], without each head
    [L, H, B, T - 1]."""

    whole_BT: Tensor
    without_LHBT: Tensor


@torch.no_grad()
def ablated_losses(net: Transformer, tokens_BT: Tensor, kind: Kind, *, at: Sequence[int] | None = None) -> Ablated:
    """What every token costs the model, and costs it without each head in turn.

    Args:
        at: places in [0, T - 1) behind which losses are wanted; None is all of them.
    """
    context = net.context(tokens_BT, {})
    patterns = _patterns(net, tokens_BT) if kind == "frozen" else []
    places = torch.arange(tokens_BT.shape[1] - 1) if at is None else torch.tensor(at)
    targets_BP, x_BTD = tokens_BT[:, places + 1], net.embedded(tokens_BT, None, 0)
    found = []
    for layer, each in enumerate(net.blocks):
        block, is_last = cast(Block, each), layer == net.config.num_layers - 1
        z_BHTd = _mixed(block, x_BTD, context, patterns[layer] if patterns else None)
        middle_BTD = x_BTD + block.attn.merge(z_BHTd)
        gone_BHTd = z_BHTd - z_BHTd.mean((0, 2), keepdim=True) if kind == "mean" else z_BHTd
        kept = places if is_last else slice(None)
        without, heads = _behind(block, x_BTD[:, kept], middle_BTD[:, kept]), range(net.config.num_heads)
        parts = []
        for some in chunks(len(heads), tokens_BT.numel()):
            out_CBPD = torch.stack([without(head, gone_BHTd[:, head, kept]) for head in heads[some]])
            if not is_last:
                out_CBPD = rest(net, layer + 1, out_CBPD, context, patterns, places)
            parts.append(losses_of(net, net.ln_f(out_CBPD), targets_BP.expand(out_CBPD.shape[:-1])))
        found.append(torch.cat(parts))
        x_BTD = after(block, x_BTD, middle_BTD)
    return Ablated(losses_of(net, net.ln_f(x_BTD[:, places]), targets_BP), torch.stack(found))


def _patterns(net: Transformer, tokens_BT: Tensor) -> list[Tensor]:
    names = [f"{layer}.pattern" for layer in range(net.config.num_layers)]
    plan = Plan(read=dict.fromkeys(names, keep), stop_at=names[-1])
    net(tokens_BT, plan=plan)
    return [plan.results[name] for name in names]


def _mixed(block: Block, x_BTD: Tensor, context: Context, pattern: Tensor | None) -> Tensor:
    """What each head moves, z [B, H, T, d]."""
    if pattern is not None:
        return under(pattern, block.attn.values(block.ln1(x_BTD)))
    return block.attn.mix(*block.attn.project(block.ln1(x_BTD), context), context)


def _behind(block: Block, x_BPD: Tensor, middle_BPD: Tensor) -> Callable[[int, Tensor], Tensor]:
    """What gives the residual stream [B, P, D] behind the block without a head, from the head and what it moves.

    Until its scale a norm is linear, and what a head adds has the rank of the head. So the MLP's first map is applied
    once for all heads, and for each of them a map of the head's width.
    """
    w_o, mlp, norm = block.attn.w_o.contiguous(), block.mlp, block.ln2
    if mlp is None or norm is None or block.parallel:
        # No MLP sees the head.
        whole_BPD = after(block, x_BPD, middle_BPD)
        return lambda head, z_BPd: whole_BPD - product(z_BPd, w_o[head])
    up_FD = reading(norm, mlp.up.weight)
    of_heads_HFd, whole_BPF, bias_F = up_FD @ w_o, product(middle_BPD, up_FD), mlp.up(bias_of(norm))

    def without(head: int, z_BPd: Tensor) -> Tensor:
        left_BPD = middle_BPD - product(z_BPd, w_o[head])
        read_BPF = whole_BPF - product(z_BPd, of_heads_HFd[head])
        pre_BPF = torch.addcmul(bias_F, read_BPF, 1 / scale_of(norm, left_BPD))
        found: Tensor = left_BPD + mlp.down(mlp.act(pre_BPF))
        return found

    return without
