"""Does a head that finds what came before also find what is alike in kind? A made-up labelling task.

Olsson et al. 2022 (arXiv 2209.11895), argument 4: lines of two words and a label that stands for the kinds of the two:
place or colour, animal or food. Nothing of a line need have been said before; a head that matches kinds looks from its
colon to the labels of earlier lines of the same two kinds. Departure: their words are months and fruits; these are
places and foods, which the embedded world has too.

Shapes: N prompts, T tokens, L layers, H heads.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from gnomon.core.errors import DataError, UsageError
from gnomon.core.seeds import Seed
from gnomon.explain.induction.attention import looked_under
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Transformer

__all__ = ["Labelled", "labelled", "looks_at_labels"]

_FIRST = (
    ["barn", "mill", "cave", "tower", "inn", "ship", "tent", "fort", "hall", "lodge"],
    ["red", "blue", "green", "black", "white", "pink", "brown", "gray", "gold", "orange"],
)
_SECOND = (
    ["goat", "dog", "cat", "horse", "duck", "sheep", "wolf", "fox", "frog", "cow"],
    ["corn", "bread", "fish", "nuts", "soup", "rice", "eggs", "beans", "cheese", "honey"],
)
_LINES = 24
# Colons before this line have too few labels to look at.
_FROM = 8


class Labelled(NamedTuple):
    """A prompt.

    Attributes:
        tokens_1T: its tokens, as one row.
        right_TT: from each colon, the labels of earlier lines of the same kinds; a colon's row over their number.
        chance_TT: from each colon, every earlier label, by the share of them that is right.
    """

    tokens_1T: Tensor
    right_TT: Tensor
    chance_TT: Tensor


def labelled(tokenizer: Tokenizer, n: int, seed: Seed) -> list[Labelled]:
    """`n` prompts of 24 lines.

    Raises:
        DataError: the vocabulary lacks the words, or has a colon and a label in one token.
    """
    return [_prompt(tokenizer, seed.child("labels", place)) for place in range(n)]


@torch.no_grad()
def looks_at_labels(net: Transformer, prompts: list[Labelled]) -> dict[str, Tensor]:
    """Mean attention [N, L, H] from colons to matching labels, and how much of it is more than labels get by chance.

    Raises:
        UsageError: the model has fewer positions than a prompt has tokens.
    """
    longest, limit = max(p.tokens_1T.shape[1] for p in prompts), net.config.max_positions
    if longest > limit:
        what = f"a prompt of the labelling task has {longest} tokens, and the model has {limit} positions"
        raise UsageError(what, todo="leave labels out of --only")
    found = [looked_under(net, p.tokens_1T, torch.stack((p.right_TT, p.chance_TT))) for p in prompts]
    right_NLH, chance_NLH = torch.cat(found).unbind(-1)
    return {"matching labels": right_NLH, "matching labels above chance": right_NLH - chance_NLH}


def _prompt(tokenizer: Tokenizer, seed: Seed) -> Labelled:
    rng = seed.random()
    kinds = [kind for _ in range(_LINES // 4) for kind in range(4)]
    rng.shuffle(kinds)
    text, colons, labels = "", [], []
    for kind in kinds:
        text += f"{rng.choice(_FIRST[kind // 2])} {rng.choice(_SECOND[kind % 2])} :"
        colons.append(len(text) - 1)
        text += f" {kind}"
        labels.append(len(text) - 1)
        text += "\n"
    if lacking := tokenizer.unknown(text):
        what = f"the vocabulary lacks {lacking[0]!r}, a word of the labelling task"
        raise DataError(what, todo="leave labels out of --only")
    pieces = tokenizer.spelled(text, special=False)
    ends = list(accumulate(len(piece) for _, piece in pieces))
    bos = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    colons, labels = ([bisect_right(ends, letter) + len(bos) for letter in each] for each in (colons, labels))
    if set(colons) & set(labels):
        raise DataError("the tokenizer has a colon and a label in one token", todo="leave labels out of --only")
    tokens_1T = torch.tensor([[*bos, *(token for token, _ in pieces)]])
    return Labelled(tokens_1T, *_masks(kinds, colons, labels, tokens_1T.shape[1]))


def _masks(kinds: list[int], colons: list[int], labels: list[int], length: int) -> tuple[Tensor, Tensor]:
    right_TT, chance_TT = torch.zeros(2, length, length)
    counted = range(_FROM, _LINES)
    for line in counted:
        same = [before for before in range(line) if kinds[before] == kinds[line]]
        right_TT[colons[line], [labels[before] for before in same]] = 1 / len(counted)
        chance_TT[colons[line], labels[:line]] = len(same) / line / len(counted)
    return right_TT, chance_TT
