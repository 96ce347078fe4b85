"""Every head of a model left out once, with what lies before a head computed once for all heads of its layer.

    zero     what the head adds is left out, and the rest of the model sees that
    frozen   the same, but every later pattern is forced to what it was: only the head's values are missing, not its
             effect on where later heads look (Olsson et al. 2022, arXiv 2209.11895, "pattern-preserving ablation")
    mean     the head adds its mean over the batch and its positions

Layers before the head's run once; its layer's heads lie side by side in the batch for the rest. Frozen patterns need
neither queries, keys nor a softmax. Shapes: B rows, T tokens, P places, L layers, H heads, C of them at once, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor

from gnomon.models.attention import Context
from gnomon.models.hooks import Plan, keep
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
        added_BTHD, middle_BTD = _parts(block, x_BTD, context, patterns[layer] if patterns else None)
        gone_BTHD = added_BTHD - added_BTHD.mean((0, 1), keepdim=True) if kind == "mean" else added_BTHD
        kept = places if is_last else slice(None)
        parts = []
        for heads in chunks(added_BTHD.shape[2], tokens_BT.numel()):
            middle_CBTD = middle_BTD[:, kept] - gone_BTHD[:, kept, heads].permute(2, 0, 1, 3)
            out_CBPD = after(block, x_BTD[:, kept], middle_CBTD)
            if not is_last:
                out_CBPD = rest(net, layer + 1, out_CBPD, context, patterns, places)
            parts += [losses_of(net, net.ln_f(out_BPD), targets_BP) for out_BPD in out_CBPD]
        found.append(torch.stack(parts))
        x_BTD = after(block, x_BTD, middle_BTD)
    return Ablated(losses_of(net, net.ln_f(x_BTD[:, places]), targets_BP), torch.stack(found))


def _patterns(net: Transformer, tokens_BT: Tensor) -> list[Tensor]:
    names = [f"{layer}.pattern" for layer in range(net.config.num_layers)]
    plan = Plan(read=dict.fromkeys(names, keep), stop_at=names[-1])
    net(tokens_BT, plan=plan)
    return [plan.results[name] for name in names]


def _parts(block: Block, x_BTD: Tensor, context: Context, pattern: Tensor | None) -> tuple[Tensor, Tensor]:
    """What each head adds [B, T, H, D], and the residual stream behind the attention."""
    attn = block.attn
    q, k, v = attn.project(block.ln1(x_BTD), context)
    z = attn.mix(q, k, v, context) if pattern is None else under(pattern, v)
    return attn.merge_apart(z), x_BTD + attn.merge(z)
