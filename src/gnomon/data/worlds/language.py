"""What an artificial language is to those who train on it: words, and documents by number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["BOS", "Documents", "Language", "syllables"]

BOS = "<bos>"
"""The first word of every document; its id is 0."""

_CONSONANTS, _VOWELS = "bdfghjklmnprstvz", "aeiou"


class Documents(NamedTuple):
    """Documents of one length, shapes [N, T].

    Attributes:
        tokens: word ids; the first of each document is 0, `BOS`.
        is_copy: whether a token was copied from earlier in its document; all others are fresh.
        floor: nats that a fresh token costs a reader who knows the law it was drawn from, and that it is fresh; NaN for
            copies and for `BOS`.
    """

    tokens: NDArray[np.int64]
    is_copy: NDArray[np.bool_]
    floor: NDArray[np.float32]

    @property
    def is_fresh(self) -> NDArray[np.bool_]:
        """Whether a token is neither a copy nor `BOS`."""
        fresh: NDArray[np.bool_] = ~self.is_copy
        fresh[:, 0] = False
        return fresh

    def rows(self, which: slice) -> Documents:
        """Some of the documents."""
        return Documents(self.tokens[which], self.is_copy[which], self.floor[which])


class Language(Protocol):
    """A source of documents without end."""

    @property
    def words(self) -> Sequence[str]:
        """Every word in the order of ids, `BOS` first."""
        ...

    def documents(self, indices: Sequence[int], length: int) -> Documents:
        """The documents of these numbers, `length` tokens each; a number gives the same document in any company."""
        ...


def syllables(count: int) -> list[str]:
    """`count` different pronounceable words of one syllable, or of as many as are needed.

    >>> syllables(6)
    ['ba', 'be', 'bi', 'bo', 'bu', 'da']
    """
    ones = [c + v for c in _CONSONANTS for v in _VOWELS]
    words = ones
    while len(words) < count:
        words = [word + one for word in words for one in ones]
    return words[:count]
