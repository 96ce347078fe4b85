"""A language in which some text says again what stood above: which tokens do is known, and so is what the rest costs.

A document begins with `BOS`. A fresh token follows from one of two laws: the token before it decides, or the token
before that one. A law names a few successors of every word, likelier ones first (Zipf). Now and then a span is copied
from earlier in the document. With `copy_rate` 0 nothing is copied, and a head that looks for copies has no use.

    Copies().documents([0, 1, 2], length=128).tokens

The second law is there because a previous-token head has a use in it. Over text of the first law alone, two layers do
not come to copy in the time in which they do here.

Shapes: N documents, T tokens, V words with `BOS`, S successors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gnomon.core.errors import UsageError
from gnomon.core.seeds import Seed
from gnomon.data.worlds.language import BOS, Documents, syllables

__all__ = ["Copies"]

# Before this place a document has too little to copy.
_FIRST_COPY = 16


class _Draws(NamedTuple):
    """What chance decides, [N, T] each, before any token is known."""

    second: NDArray[np.int64]
    rank: NDArray[np.int64]
    begins: NDArray[np.bool_]
    span: NDArray[np.int64]
    source: NDArray[np.float64]
    noisy: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Copies:
    """The language and its law; a `Language`.

    Attributes:
        vocabulary: words beside `BOS`.
        successors: words that may follow a word, in each law.
        exponent: the successor of rank r has a weight of r to the power of minus this.
        second_order: share of fresh tokens that the token before last decides.
        copy_rate: chance, at each place outside a copy from the 17th on, that a copy begins.
        shortest, longest: tokens of a copy; its source lies at least `shortest` tokens back.
        noise: share of a copy's tokens that are fresh instead.
        seed: of the law and of every document.

    Raises:
        UsageError: a share outside [0, 1], more successors than words, or spans of no length.
    """

    vocabulary: int = 64
    successors: int = 16
    exponent: float = 1.0
    second_order: float = 0.5
    copy_rate: float = 0.12
    shortest: int = 8
    longest: int = 24
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("second_order", "copy_rate", "noise"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name)}", todo="give a share from 0 to 1")
        if not 1 <= self.successors <= self.vocabulary:
            what = f"{self.vocabulary} words cannot have {self.successors} successors each"
            raise UsageError(what, todo="give more words or fewer successors")
        if not 1 <= self.shortest <= self.longest:
            raise UsageError(f"copies are {self.shortest} to {self.longest} tokens long", todo="give 1 or more")

    @cached_property
    def words(self) -> tuple[str, ...]:
        """`BOS`, then syllables."""
        return (BOS, *syllables(self.vocabulary))

    def documents(self, indices: Sequence[int], length: int) -> Documents:
        """The documents of these numbers, each 0 or more and below 2**63, of `length` tokens."""
        draws = self._draws(indices, length)
        tokens, is_copy = self._written(draws)
        before = np.concatenate((tokens[:, :1], tokens[:, :-2]), axis=1)
        floor = np.full(tokens.shape, np.nan, dtype=np.float32)
        first, second = self._laws
        p = (1 - self.second_order) * first[tokens[:, :-1], tokens[:, 1:]]
        p += self.second_order * second[before, tokens[:, 1:]]
        fresh = ~is_copy[:, 1:]
        floor[:, 1:][fresh] = -np.log(p[fresh])
        return Documents(tokens, is_copy, floor)

    @cached_property
    def _shares(self) -> NDArray[np.float64]:
        """Probability [S] of each rank."""
        weights: NDArray[np.float64] = np.arange(1, self.successors + 1, dtype=np.float64) ** -self.exponent
        weights /= weights.sum()
        return weights

    @cached_property
    def _followers(self) -> NDArray[np.int64]:
        """Successors [2, V, S] by law and word, the likeliest first; `BOS` follows nothing."""
        rng = Seed(self.seed).child("copies", "law").numpy()
        scores = rng.random((2, self.vocabulary + 1, self.vocabulary))
        ranked: NDArray[np.int64] = scores.argsort(axis=-1)[..., : self.successors] + 1
        return ranked

    @cached_property
    def _laws(self) -> NDArray[np.float64]:
        """Probability [2, V, V] of each word after each, by law."""
        size = self.vocabulary + 1
        laws = np.zeros((2, size, size))
        np.put_along_axis(laws, self._followers, self._shares, axis=-1)
        return laws

    def _draws(self, indices: Sequence[int], length: int) -> _Draws:
        root = Seed(self.seed).child("copies", "documents").value
        uniform = np.stack(
            [np.random.Generator(np.random.Philox(key=[root, index])).random((6, length)) for index in indices], axis=1
        )
        first = max(_FIRST_COPY, self.shortest + 1)
        begins = uniform[2] < self.copy_rate
        begins[:, :first] = False
        return _Draws(
            second=(uniform[0] < self.second_order).astype(np.int64),
            rank=np.searchsorted(np.cumsum(self._shares)[:-1], uniform[1], side="right"),
            begins=begins,
            span=self.shortest + (uniform[3] * (self.longest - self.shortest + 1)).astype(np.int64),
            source=uniform[4],
            noisy=uniform[5] < self.noise,
        )

    def _written(self, draws: _Draws) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Tokens and which of them are copies, place by place in all documents at once."""
        count, length = draws.rank.shape
        tokens = np.zeros((count, length), dtype=np.int64)
        is_copy = np.zeros((count, length), dtype=np.bool_)
        left, source, rows = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64), np.arange(count)
        for place in range(1, length):
            begins = draws.begins[:, place] & (left == 0)
            left = np.where(begins, draws.span[:, place], left)
            source = np.where(begins, 1 + (draws.source[:, place] * (place - self.shortest)).astype(np.int64), source)
            second = draws.second[:, place]
            context = np.where(second == 1, tokens[:, max(0, place - 2)], tokens[:, place - 1])
            fresh = self._followers[second, context, draws.rank[:, place]]
            copies = (left > 0) & ~draws.noisy[:, place]
            tokens[:, place] = np.where(copies, tokens[rows, source], fresh)
            is_copy[:, place] = copies
            source, left = source + (left > 0), np.maximum(left - 1, 0)
        return tokens, is_copy
