"""Does a head that finds what came before also find what is alike in kind? Prompts that say where it would look.

Olsson et al. 2022 (arXiv 2209.11895), argument 4: lines of two words and a label that stands for the kinds of the two:
place or colour, animal or food. Nothing of a line need have been said before; a head that matches kinds looks from its
colon to the labels of earlier lines of the same two kinds. Departure: their words are months and fruits; these are
places and foods, which the embedded world has too. The other task, `translation`, is made of the same parts.

Shapes: N prompts, T tokens, L layers, H heads.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from gnomon.core.errors import DataError, UsageError
from gnomon.core.seeds import Seed
from gnomon.explain.induction.attention import looked_under
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Transformer

__all__ = ["Look", "Sought", "labelled", "looks_at", "sought"]

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


class Look(NamedTuple):
    """A place of a text that is looked from, the places that are right to look at, and all that come into question."""

    begin: int
    right: Sequence[int]
    among: Sequence[int]


class Sought(NamedTuple):
    """A prompt.

    Attributes:
        tokens_1T: its tokens, as one row.
        right_TT: from each token that is looked from, those that are right; a row sums to the number of these over
            that of rows.
        chance_TT: from each of them, all that come into question, by the share of them that is right.
    """

    tokens_1T: Tensor
    right_TT: Tensor
    chance_TT: Tensor


def sought(tokenizer: Tokenizer, text: str, looks: Sequence[Look], task: str) -> Sought:
    """The prompt of `text` whose tokens at some letters should look at those at others.

    Args:
        task: what the words belong to, for a refusal: a part of `--only`.

    Raises:
        DataError: the vocabulary lacks the words, or has two of them in one token.
    """
    todo = f"leave {task} out of --only"
    if lacking := tokenizer.unknown(text):
        raise DataError(f"the vocabulary lacks {lacking[0]!r}, a word of the task of {task}", todo=todo)
    pieces = tokenizer.spelled(text, special=False)
    ends = list(accumulate(len(piece) for _, piece in pieces))
    bos = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    tokens_1T = torch.tensor([[*bos, *(token for token, _ in pieces)]])
    right_TT, chance_TT = torch.zeros(2, tokens_1T.shape[1], tokens_1T.shape[1])
    for begin, *keys in looks:
        query, right, among = ([bisect_right(ends, letter) + len(bos) for letter in each] for each in ([begin], *keys))
        if not set(among).isdisjoint(query):
            raise DataError(f"the tokenizer has two words of the task of {task} in one token", todo=todo)
        right_TT[query, right] = 1 / len(looks)
        chance_TT[query, among] = len(right) / len(among) / len(looks)
    return Sought(tokens_1T, right_TT, chance_TT)


@torch.no_grad()
def looks_at(net: Transformer, prompts: Sequence[Sought], task: str) -> dict[str, Tensor]:
    """Mean attention [N, L, H] to what is right, and how much of it is more than all in question get by chance.

    Raises:
        UsageError: the model has fewer positions than a prompt has tokens.
    """
    longest, limit = max(p.tokens_1T.shape[1] for p in prompts), net.config.max_positions
    if longest > limit:
        what = f"a prompt of the task of {task} has {longest} tokens, and the model has {limit} positions"
        raise UsageError(what, todo=f"leave {task} out of --only")
    found = [looked_under(net, p.tokens_1T, torch.stack((p.right_TT, p.chance_TT))) for p in prompts]
    right_NLH, chance_NLH = torch.cat(found).unbind(-1)
    return {f"matching {task}": right_NLH, f"matching {task} above chance": right_NLH - chance_NLH}


def labelled(tokenizer: Tokenizer, n: int, seed: Seed) -> list[Sought]:
    """`n` prompts of 24 lines; errors as in `sought`."""
    return [_lines(tokenizer, seed.child("labels", place)) for place in range(n)]


def _lines(tokenizer: Tokenizer, seed: Seed) -> Sought:
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
    looks = []
    for line in range(_FROM, _LINES):
        same = [labels[before] for before in range(line) if kinds[before] == kinds[line]]
        looks.append(Look(colons[line], same, labels[:line]))
    return sought(tokenizer, text, looks, "labels")
