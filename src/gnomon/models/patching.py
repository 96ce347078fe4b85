"""Activations of one text put into a run on another, a site at a time: what carries the difference between them?

Sites of one layer lie side by side in the batch, and what lies before the layer is computed once for all of them
(`gnomon.models.tails`). Shapes: T tokens, S sites, C sites at once, H heads, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor

from gnomon.core.errors import UsageError
from gnomon.models.attention import Context
from gnomon.models.tails import after, chunks, rest
from gnomon.models.transformer import Block, Transformer

__all__ = ["Site", "SiteKind", "patch"]

SiteKind = Literal["residual", "attention", "mlp", "head"]


class Site(NamedTuple):
    """Where an activation is put in.

    Attributes:
        kind: the residual stream before the layer, what its attention adds, what its MLP adds, or one head of it.
        layer: from 0.
        position: the token; None is all of them.
        head: of kind "head".
    """

    kind: SiteKind
    layer: int
    position: int | None = None
    head: int = 0


class _Layer(NamedTuple):
    """Both runs in one layer, the corrupt one first: [2, T, D]; heads [2, T, H, D]."""

    block: Block
    before: Tensor
    heads: Tensor
    middle: Tensor
    after: Tensor


@torch.no_grad()
def patch(net: Transformer, clean_T: Tensor, corrupt_T: Tensor, sites: Sequence[Site]) -> Tensor:
    """What the unembedding reads at the last token of the corrupt text, with each site as in the clean text: [S, D].

    Times `net.w_u` these are logits.

    Raises:
        UsageError: the texts differ in length, or a site is not in the model.
    """
    if clean_T.shape != corrupt_T.shape:
        what = f"the clean text has {len(clean_T)} tokens and the corrupt one {len(corrupt_T)}"
        raise UsageError(what, todo="give texts of the same number of tokens, so that positions match")
    both_BT = torch.stack((corrupt_T, clean_T))
    context, x_BTD = net.context(both_BT, {}), net.embedded(both_BT, None, 0)
    found = x_BTD.new_zeros(len(sites), net.config.d_model)
    entries = _entries(net, sites, len(clean_T))
    behind, last = None, torch.tensor([len(clean_T) - 1])
    for entry in range(net.config.num_layers + 1):
        for some in chunks(len(entries.get(entry, ())), len(clean_T)):
            places = entries[entry][some]
            altered_CTD = torch.stack([_altered(sites[place], x_BTD, behind) for place in places])
            if entry < net.config.num_layers:
                altered_CTD = rest(net, entry, altered_CTD[:, None], context, at=last)[:, 0]
            found[places] = net.ln_f(altered_CTD[:, -1])
        if entry < net.config.num_layers:
            behind = _through(cast(Block, net.blocks[entry]), x_BTD, context)
            x_BTD = behind.after
    return found


def _entries(net: Transformer, sites: Sequence[Site], length: int) -> Mapping[int, list[int]]:
    """Which sites (their places) alter the residual stream before which layer; L is behind the last."""
    found: dict[int, list[int]] = {}
    for place, site in enumerate(sites):
        inside = 0 <= site.layer < net.config.num_layers and 0 <= site.head < net.config.num_heads
        if not inside or not 0 <= (site.position or 0) < length or (site.kind == "mlp" and net.config.mlp == "none"):
            raise UsageError(f"there is no {site} in this model and text")
        found.setdefault(site.layer + (site.kind != "residual"), []).append(place)
    return found


def _through(block: Block, x_BTD: Tensor, context: Context) -> _Layer:
    attn = block.attn
    z = attn.mix(*attn.project(block.ln1(x_BTD), context), context)
    middle = x_BTD + attn.merge(z)
    return _Layer(block, x_BTD, attn.merge_apart(z), middle, after(block, x_BTD, middle))


def _altered(site: Site, x_BTD: Tensor, behind: _Layer | None) -> Tensor:
    """The corrupt residual stream [T, D] with the site as in the clean run."""
    at = slice(None) if site.position is None else slice(site.position, site.position + 1)

    def put(into: Tensor, difference_BTD: Tensor) -> Tensor:
        changed = into.clone()
        changed[at] += (difference_BTD[1] - difference_BTD[0])[at]
        return changed

    if site.kind == "residual":
        return put(x_BTD[0], x_BTD)
    assert behind is not None
    if site.kind == "mlp":
        return put(behind.after[0], behind.after - behind.middle)
    adds = behind.heads[:, :, site.head] if site.kind == "head" else behind.middle - behind.before
    return after(behind.block, behind.before[0], put(behind.middle[0], adds))
