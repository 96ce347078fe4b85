"""What heads are shown: a block of random tokens several times over, and windows of text.

Olsson et al. 2022 (arXiv 2209.11895), appendix "Head activation evaluators". Shapes: N sequences, T tokens of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

import torch
from torch import Tensor

from gnomon.core.errors import DataError
from gnomon.core.seeds import Seed
from gnomon.data.exercises import OPENS, open_exercises
from gnomon.models.tokenizer import Tokenizer

__all__ = ["LEAST_TOKENS", "Repeats", "Windows", "bands", "plain_tokens", "repeats", "shuffled", "texts", "windows"]

LEAST_TOKENS = 50
"""Fewer tokens to draw from than this make repeats by chance too likely."""

# Documents of Brook are a few sentences long; so many of them make one text.
_TOGETHER = 60


class Repeats(NamedTuple):
    """Random blocks said several times over.

    Attributes:
        tokens_NT: `offset` tokens that begin a text, then the block `times` times.
        period: tokens of the block; they differ.
        times: how often it stands there.
        offset: 1 where a text begins with a token of its own, else 0.
    """

    tokens_NT: Tensor
    period: int
    times: int
    offset: int

    @property
    def places(self) -> list[int]:
        """Positions of the second and later copies: what they say has been said before."""
        return list(range(self.offset + self.period, self.offset + self.period * self.times))


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Windows of text, tokens [N, T], and the document that each begins in."""

    tokens_NT: Tensor
    clusters: tuple[str, ...]


def plain_tokens(tokenizer: Tokenizer) -> list[int]:
    """Ids of tokens that stand for text: none that begins, ends or pads one, or is special in another way.

    Raises:
        DataError: there are fewer than 50.
    """
    special = {token for token, added in tokenizer.backend.get_added_tokens_decoder().items() if added.special}
    special |= {t for t in (tokenizer.bos_id, *tokenizer.eos_ids) if t is not None}
    found = [token for token in range(tokenizer.vocab_size) if token not in special]
    if len(found) < LEAST_TOKENS:
        what = f"the tokenizer has {len(found)} tokens of text, and random sequences need {LEAST_TOKENS}"
        raise DataError(what, todo="use a model with a larger vocabulary")
    return found


def repeats(
    tokens: Sequence[int], n: int, seed: Seed, *, bos: int | None = None, period: int = 25, times: int = 4
) -> Repeats:
    """`n` sequences of `period` different tokens, repeated `times` times."""
    rows = []
    for place in range(n):
        block = seed.child("repeats", place).random().sample(list(tokens), period)
        rows.append(([] if bos is None else [bos]) + block * times)
    return Repeats(torch.tensor(rows), period, times, int(bos is not None))


def shuffled(of: Repeats, seed: Seed) -> Repeats:
    """The same tokens in an order of its own in every copy: no place of a block foretells the next."""
    rows = of.tokens_NT.tolist()
    for place, row in enumerate(rows):
        rng = seed.child("shuffled", place).random()
        for copy in range(of.times):
            begin = of.offset + copy * of.period
            row[begin : begin + of.period] = rng.sample(row[begin : begin + of.period], of.period)
    return of._replace(tokens_NT=torch.tensor(rows))


def texts(data: Sequence[str], n: int, seed: Seed) -> list[tuple[str, str]]:
    """Documents by name: `n` of Brook, each as long as a window needs, or all that lie in files."""
    if tuple(data) == ("brook",):
        said = [e.text for e in open_exercises(("brook",), _TOGETHER * n, "text", seed).things]
        return [(f"brook-{i}", " ".join(said[i : i + _TOGETHER])) for i in range(0, len(said), _TOGETHER)]
    found: dict[str, list[str]] = {}
    for exercise in open_exercises(data, 0, "text", seed).things:
        found.setdefault(exercise.cluster, []).append(exercise.text.removeprefix(OPENS))
    return [(name, "".join(parts)) for name, parts in found.items()]


def bands(length: int, late: int = 0, early: int = 0) -> tuple[slice, slice]:
    """Places of losses in a window of `length` tokens that are late and early: at two token indices, or in two bands.

    The bands are the last quarter, and the tenth of a window around its first tenth: with less noise than two tokens
    have. The loss at place i is that of token i + 1.

    Raises:
        DataError: the window has no token at `late`.
    """
    if late >= length:
        what = f"a token at index {late} needs windows of {late + 1}, and they have {length} tokens"
        raise DataError(what, where="--late", todo=f"use --late {length - 1} --early {length // 10}")
    if late:
        return slice(late - 1, late), slice(early - 1, early)
    return slice(3 * length // 4, length - 1), slice(length // 20, 3 * length // 20)


def windows(texts: Sequence[tuple[str, str]], tokenizer: Tokenizer, n: int, length: int) -> Windows:
    """`n` windows of `length` tokens, or as many as there are: the first of each text, then the second of each.

    What is left of a text is not used.

    Args:
        texts: the name of a document, and its text.

    Raises:
        DataError: no text has so many tokens.
    """
    bos = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    body = length - len(bos)
    of_texts: list[list[tuple[str, list[int]]]] = []
    for name, text in texts:
        ids = tokenizer.encode(text, special=False)
        places = range(0, len(ids) - body + 1, body)
        of_texts += [[(name, [*bos, *ids[begin : begin + body]]) for begin in places]] if places else []
        if len(of_texts) == n:
            break
    if not of_texts:
        what = f"none of {len(texts)} texts has {length} tokens"
        raise DataError(what, where="--data", todo="give longer texts, or a shorter --window")
    in_turn = [window for turn in zip_longest(*of_texts) for window in turn if window is not None][:n]
    names, rows = zip(*in_turn, strict=True)
    return Windows(tokens_NT=torch.tensor(rows), clusters=names)
