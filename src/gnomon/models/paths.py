"""An attention-only model as a sum over paths: through no head, through one, through one that reads another.

With every pattern and every norm's scale kept as it was, such a model is linear (Elhage et al. 2021, "A Mathematical
Framework for Transformer Circuits", path expansion). What passed through n heads is its term of order n: the embedding
alone is order 0, which knows pairs of tokens; order 2 holds the "virtual heads". Biases of norms and values count as
read by their head; an output bias and the final norm's are of order 0.

Departure: there norms are left out; here their scales are those of the whole run, for every order alike.

Shapes: B rows, T tokens, L layers, H heads, O orders (L + 1 of them), C heads at once, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from gnomon.core.errors import UsageError
from gnomon.models.ablation import Ablated
from gnomon.models.hooks import Plan, keep
from gnomon.models.norms import bias_of, normed_at, scale_of
from gnomon.models.tails import chunks, losses_of, under
from gnomon.models.transformer import Block, Transformer

__all__ = ["order_losses", "pathless_losses", "terms"]


class _Run(NamedTuple):
    """What is kept of the whole run: scales [B, T, 1] of each layer's norm and of the last, patterns, heads' z, and
    what the unembedding reads."""

    scales: list[Tensor]
    patterns: list[Tensor]
    z: list[Tensor]
    said_BTD: Tensor


@torch.no_grad()
def terms(net: Transformer, tokens_BT: Tensor) -> Tensor:
    """What the unembedding reads, by order: [O, B, T, D]; times `net.w_u` they sum to the logits.

    Raises:
        UsageError: the model has MLPs, which are not linear.
    """
    return _terms(net, tokens_BT, _run(net, tokens_BT))


@torch.no_grad()
def order_losses(net: Transformer, tokens_BT: Tensor) -> Tensor:
    """Losses [O, B, T - 1] of the terms up to each order, the last those of the whole model; errors as in `terms`."""
    so_far = terms(net, tokens_BT).cumsum(0)
    return torch.stack([losses_of(net, said_BTD[:, :-1], tokens_BT[:, 1:]) for said_BTD in so_far])


@torch.no_grad()
def pathless_losses(net: Transformer, tokens_BT: Tensor, *, at: Sequence[int] | None = None) -> Ablated:
    """Losses of the whole model, and without all paths through each head; `at` as in `ablated_losses`, errors as in
    `terms`.

    It is the ablation whose later patterns are as they were (`ablated_losses`, "frozen"), with norms' scales as they
    were too.
    """
    run = _run(net, tokens_BT)
    places = torch.arange(tokens_BT.shape[1] - 1) if at is None else torch.tensor(at)
    targets_BP, found = tokens_BT[:, places + 1], []
    for layer, block in enumerate(net.blocks):
        added_BTHD = cast(Block, block).attn.merge_apart(run.z[layer])
        parts = []
        for heads in chunks(added_BTHD.shape[2], tokens_BT.numel()):
            paths_CBTD = added_BTHD[:, :, heads].permute(2, 0, 1, 3)
            for later in range(layer + 1, net.config.num_layers):
                paths_CBTD = paths_CBTD + _moved(net, run, later, paths_CBTD)
            kept_CBTD = run.said_BTD - normed_at(net.ln_f, paths_CBTD, run.scales[-1])
            parts += [losses_of(net, kept_BTD[:, places], targets_BP) for kept_BTD in kept_CBTD]
        found.append(torch.stack(parts))
    return Ablated(losses_of(net, run.said_BTD[:, places], targets_BP), torch.stack(found))


def _terms(net: Transformer, tokens_BT: Tensor, run: _Run) -> Tensor:
    x_BTD = net.embedded(tokens_BT, None, 0)
    terms_OBTD = x_BTD.new_zeros(net.config.num_layers + 1, *x_BTD.shape)
    terms_OBTD[0] = x_BTD
    for layer, block in enumerate(net.blocks):
        attn = cast(Block, block).attn
        moved = _moved(net, run, layer, terms_OBTD[: layer + 1])
        moved[0] += _moved_bias(net, layer)
        if attn.out.bias is not None:
            terms_OBTD[0] += attn.out.bias
        terms_OBTD[1 : layer + 2] += moved
    found = normed_at(net.ln_f, terms_OBTD, run.scales[-1])
    found[0] += bias_of(net.ln_f)
    return found


def _run(net: Transformer, tokens_BT: Tensor) -> _Run:
    if net.config.mlp != "none":
        what = f"the model has MLPs ({net.config.mlp}), so its logits are no sum over paths through heads"
        raise UsageError(what, todo="name an attention-only model, or leave terms out")
    layers = range(net.config.num_layers)
    last = f"{layers[-1]}.resid_post"
    read = {f"{i}.{site}": keep for i in layers for site in ("pattern", "z")}
    scales = {f"{i}.resid_pre": partial(scale_of, cast(Block, net.blocks[i]).ln1) for i in layers}
    plan = Plan(read={**read, **scales, last: partial(scale_of, net.ln_f)}, stop_at="ln_f")
    said_BTD = net(tokens_BT, plan=plan)
    got = plan.results
    return _Run(
        [*(got[f"{i}.resid_pre"] for i in layers), got[last]],
        [got[f"{i}.pattern"] for i in layers],
        [got[f"{i}.z"] for i in layers],
        said_BTD,
    )


def _moved(net: Transformer, run: _Run, layer: int, x_CBTD: Tensor) -> Tensor:
    """What all heads of `layer` together make of each residual [C, B, T, D], without constants."""
    block = cast(Block, net.blocks[layer])
    x = normed_at(block.ln1, x_CBTD, run.scales[layer]).flatten(0, 1)
    v = block.attn.values(x) - block.attn.values(torch.zeros_like(x[:1, :1]))
    z = under(run.patterns[layer], v)
    return F.linear(z.transpose(1, 2).flatten(2), block.attn.out.weight).view_as(x_CBTD)


def _moved_bias(net: Transformer, layer: int) -> Tensor:
    """What heads add of their norm's and their values' biases, [D]: the rows of a pattern sum to one."""
    block = cast(Block, net.blocks[layer])
    v = block.attn.values(bias_of(block.ln1)[None, None])
    z = v.repeat_interleave(block.attn.num_heads // v.shape[1], dim=1)
    return F.linear(z.transpose(1, 2).flatten(2), block.attn.out.weight)[0, 0]
