"""The rest of a model behind one of its layers, for several altered copies of the residual stream at once.

What lies before a layer is the same for everything that is altered in it, so it is computed once. Shapes: B rows, T
tokens, C copies, H heads, K key-value heads, D width, d head width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from torch import Tensor
from torch.nn import functional as F

from gnomon.models.attention import Context
from gnomon.models.transformer import Block, Transformer

__all__ = ["after", "chunks", "rest", "token_losses", "under"]

# Rows that go through the rest of the model at once: more do not make it faster, and hold more memory.
_ROWS = 64


def token_losses(logits_BTV: Tensor, tokens_BT: Tensor) -> Tensor:
    """Loss [B, T - 1] in nats of every token after the first."""
    flat = logits_BTV[:, :-1].float().flatten(0, 1)
    return F.cross_entropy(flat, tokens_BT[:, 1:].flatten(), reduction="none").view(len(tokens_BT), -1)


def under(pattern_BHTT: Tensor, v_BKTd: Tensor) -> Tensor:
    """Values mixed by patterns that are given, z [B, H, T, d]."""
    return pattern_BHTT @ v_BKTd.repeat_interleave(pattern_BHTT.shape[1] // v_BKTd.shape[1], dim=1)


def after(block: Block, x_BTD: Tensor, middle_BTD: Tensor) -> Tensor:
    """The residual stream behind the block, from that before it and that behind its attention (or several of those)."""
    if block.mlp is None or block.ln2 is None:
        return middle_BTD
    found: Tensor = middle_BTD + block.mlp(block.ln2(x_BTD if block.parallel else middle_BTD))
    return found


def rest(net: Transformer, layer: int, x_CBTD: Tensor, context: Context, patterns: Sequence[Tensor] = ()) -> Tensor:
    """The residual stream [C, B, T, D] behind the last block, from that before block `layer`.

    Args:
        patterns: what every layer's patterns [B, H, T, T] are forced to; empty computes them.
    """
    count, rows = x_CBTD.shape[:2]
    x = x_CBTD.flatten(0, 1)
    for later in range(layer, net.config.num_layers):
        block = cast(Block, net.blocks[later])
        if patterns:
            v = block.attn.values(block.ln1(x))
            x = after(block, x, x + block.attn.merge(under(patterns[later].repeat(count, 1, 1, 1), v)))
        else:
            x = block(x, context)
    return x.view(count, rows, *x.shape[1:])


def chunks(count: int, rows: int) -> Iterator[slice]:
    """Ranges of `count` copies of `rows` rows each that go through the rest of a model at once."""
    size = max(1, _ROWS // rows)
    yield from (slice(begin, begin + size) for begin in range(0, count, size))
