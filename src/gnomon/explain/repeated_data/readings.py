"""What a model does with text that says itself again: losses by copy, attention to what came before, words by heart.

Shapes: N texts, T tokens, P paragraphs, C copies, L layers, H heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gnomon.core.seeds import Seed
from gnomon.explain.induction.attention import looks
from gnomon.explain.induction.sequences import Repeats, repeats
from gnomon.models.tails import token_losses
from gnomon.models.transformer import Transformer

__all__ = ["COPIES", "Copied", "by_heart", "losses", "losses_by_copy", "prefix_scores", "said_again"]

COPIES = 11
"""How often a paragraph stands there, as in the paper."""
_AT_ONCE = 32
_TIMES, _PERIOD, _SHORTEST = 4, 25, 5


class Copied(NamedTuple):
    """Paragraphs said again and again, tokens [P, T]: `offset` tokens that begin a text, then copies of `period`."""

    tokens_PT: Tensor
    offset: int
    period: int
    copies: int


@torch.no_grad()
def losses(net: Transformer, tokens_NT: Tensor) -> Tensor:
    """Nats [N, T - 1] of every token after the first."""
    return torch.cat([token_losses(net(tokens_BT), tokens_BT) for tokens_BT in torch.split(tokens_NT, _AT_ONCE)])


def said_again(
    paragraphs: Sequence[Sequence[int]], context: int, bos: int | None, *, times: int = COPIES
) -> Copied | None:
    """Each paragraph, cut to a common length, as often as the context holds, up to `times` times.

    The length is the shortest paragraph's, less where the context does not hold it `times` times. None where it does
    not even hold two copies of five tokens.
    """
    offset = int(bos is not None)
    period = min(min(len(p) for p in paragraphs), max(_SHORTEST, (context - offset) // times))
    copies = min(times, (context - offset) // period)
    if period < _SHORTEST or copies < 2:
        return None
    begin = [] if bos is None else [bos]
    rows = [[*begin, *list(p[:period]) * copies] for p in paragraphs]
    return Copied(torch.tensor(rows), offset, period, copies)


def losses_by_copy(net: Transformer, of: Copied) -> Tensor:
    """Mean nats a token [P, C] of each copy, the first token of the first copy left out where no token precedes it."""
    each_PT = losses(net, of.tokens_PT)
    first = of.period - 1 + of.offset
    rest_PC = each_PT[:, first:].reshape(len(each_PT), of.copies - 1, of.period).mean(2)
    return torch.cat((each_PT[:, :first].mean(1, keepdim=True), rest_PC), dim=1)


def prefix_scores(net: Transformer, tokens: Sequence[int], n: int, bos: int | None, seed: Seed) -> Tensor | None:
    """Prefix matching [N, L, H] over random blocks said four times, within reach of every head; None where the context
    or a head's window holds none.

    Args:
        tokens: ids to draw from.
    """
    offset = int(bos is not None)
    period = min(_PERIOD, (net.config.max_positions - offset) // _TIMES, net.config.window or _PERIOD)
    if period < _SHORTEST:
        return None
    of: Repeats = repeats(tokens, n, seed, bos=bos, period=period, times=_TIMES)
    return looks(net, of)["prefix matching"]


@torch.no_grad()
def by_heart(net: Transformer, tokens_NT: Tensor) -> Tensor:
    """Whether each text [N] is continued exactly from its first half on, over 16 tokens or the rest.

    Every likeliest token is the text's, which is the same as that greedy decoding says the text.
    """
    half = tokens_NT.shape[1] // 2
    end = min(tokens_NT.shape[1], half + 16)
    said = torch.cat([net(b[:, : end - 1])[:, half - 1 :].argmax(-1) for b in torch.split(tokens_NT, _AT_ONCE)])
    return (said == tokens_NT[:, half:end]).all(1)
