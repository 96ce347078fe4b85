"""The rest of a model behind one of its layers, for several altered copies of the residual stream at once.

What lies before a layer is the same for everything that is altered in it, so it is computed once. Shapes: B rows, T
tokens, P places, C copies, N rows of all copies, H heads, K key-value heads, D width, d head width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from gnomon.models.attention import Context, Sight
from gnomon.models.products import product
from gnomon.models.transformer import Block, Transformer

__all__ = ["after", "chunks", "losses_of", "rest", "token_losses", "under"]

# Tokens that go through the rest of the model at once: measured, four times as many are a fifth slower and hold more.
_TOKENS = 4096
# Places whose logits are held at once: measured, more of them leave the processor's cache and cost a third more.
_LOGITS = 128


def losses_of(net: Transformer, said_BPD: Tensor, targets_BP: Tensor) -> Tensor:
    """Losses […, P] in nats of `targets_BP` where the unembedding reads `said_BPD`."""
    whole = (said_BPD.flatten(0, -2), targets_BP.flatten())
    pieces = zip(*(torch.split(each, _LOGITS) for each in whole), strict=True)
    parts = [F.cross_entropy(product(said, net.w_u).float(), targets, reduction="none") for said, targets in pieces]
    return torch.cat(parts).view_as(targets_BP)


def token_losses(logits_BTV: Tensor, tokens_BT: Tensor) -> Tensor:
    """Loss [B, T - 1] in nats of every token after the first."""
    flat = logits_BTV[:, :-1].float().flatten(0, 1)
    return F.cross_entropy(flat, tokens_BT[:, 1:].flatten(), reduction="none").view(len(tokens_BT), -1)


def under(pattern_BHPT: Tensor, v_NKTd: Tensor) -> Tensor:
    """Values mixed by patterns that are given for P queries, z [N, H, P, d]; N is B, or C * B for C copies of rows."""
    (rows, heads), (many, _, length, width) = pattern_BHPT.shape[:2], v_NKTd.shape
    v = v_NKTd.repeat_interleave(heads // v_NKTd.shape[1], dim=1).view(many // rows, rows, heads, length, width)
    # The copies of a row lie side by side as columns: its pattern is read once for all of them.
    z_BHPCd = pattern_BHPT @ v.permute(1, 2, 3, 0, 4).flatten(3)
    return z_BHPCd.view(rows, heads, -1, len(v), width).permute(3, 0, 1, 2, 4).flatten(0, 1)


def after(block: Block, x_BTD: Tensor, middle_BTD: Tensor) -> Tensor:
    """The residual stream behind the block, from that before it and that behind its attention (or several of those)."""
    if block.mlp is None or block.ln2 is None:
        return middle_BTD
    found: Tensor = middle_BTD + block.mlp(block.ln2(x_BTD if block.parallel else middle_BTD))
    return found


def rest(
    net: Transformer,
    layer: int,
    x_CBTD: Tensor,
    context: Context,
    patterns: Sequence[Tensor] = (),
    at: Tensor | None = None,
) -> Tensor:
    """The residual stream [C, B, P, D] behind the last block, from that before block `layer`, which there must be.

    Args:
        patterns: what every layer's patterns [B, H, T, T] are forced to; empty computes them.
        at: the P places that are wanted, whose neighbours the last block leaves out; None is all T.
    """
    count, rows = x_CBTD.shape[:2]
    x = x_CBTD.flatten(0, 1)
    for later in range(layer, net.config.num_layers):
        wanted = at if later == net.config.num_layers - 1 else None
        pattern = patterns[later] if patterns else None
        x = _through(cast(Block, net.blocks[later]), x, context, pattern, wanted)
    return x.view(count, rows, *x.shape[1:])


def _through(block: Block, x_NTD: Tensor, context: Context, pattern: Tensor | None, at: Tensor | None) -> Tensor:
    """The residual stream behind the block, at some places or at all."""
    if pattern is None and at is None:
        found: Tensor = block(x_NTD, context)
        return found
    attn, normed = block.attn, block.ln1(x_NTD)
    places = slice(None) if at is None else at
    if pattern is not None:
        z = under(pattern[:, :, places], attn.values(normed))
    else:
        q, k, v = attn.project(normed, context)
        z = attn.mix(q[:, :, places], k, v, _of_rows(context, places, x_NTD.shape[1]))
    x = x_NTD[:, places]
    return after(block, x, x + attn.merge(z))


def _of_rows(context: Context, places: Tensor | slice, length: int) -> Context:
    """What the queries at some places see."""

    def of(sight: Sight) -> Sight:
        mask = torch.ones(length, length, dtype=torch.bool).tril() if sight.is_causal else sight.mask
        return sight if mask is None else Sight(mask[..., places, :], False)

    return context._replace(sight=of(context.sight), window_sight=of(context.window_sight))


def chunks(count: int, tokens: int) -> Iterator[slice]:
    """Ranges of `count` copies of so many tokens each that go through the rest of a model at once."""
    size = max(1, _TOKENS // tokens)
    yield from (slice(begin, begin + size) for begin in range(0, count, size))
