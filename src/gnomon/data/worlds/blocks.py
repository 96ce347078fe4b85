"""A language of bracketed, indented blocks of keys and values, some lines of which say earlier lines again.

    indent key is value next
    indent key open next
    indent indent key is value next
    indent close next

Its words are those of `Copies`, the last five of which are its marks, so that a model of that language can be read on
this one and trained further on it. A block's key decides which keys are likely in it, and a key which values. Now and
then up to four lines in a row say again what as many lines said before.

Shapes: N documents, T tokens.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from gnomon.core.errors import UsageError
from gnomon.core.seeds import Seed
from gnomon.data.worlds.language import BOS, Documents, syllables

__all__ = ["Blocks"]

_MARKS = 5
_DEEPEST = 3
_CLOSE, _OPEN = 0.3, 0.2
_MOST_LINES = 4


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """The language and its law; a `Language`.

    Attributes:
        vocabulary: words beside `BOS`; five of them are marks, the others keys and values.
        choices: keys likely in a block, and values likely of a key, the likelier first (weight 1 / rank).
        copy_rate: chance at each line that earlier lines are said again; 0 for a language without copies.
        seed: of the law and of every document.

    Raises:
        UsageError: a rate outside [0, 1], or more choices than words.
    """

    vocabulary: int = 64
    choices: int = 8
    copy_rate: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.copy_rate <= 1:
            raise UsageError(f"copy_rate is {self.copy_rate}", todo="give a share from 0 to 1")
        if not 1 <= self.choices <= self.vocabulary - _MARKS:
            what = f"{self.vocabulary} words of which {_MARKS} are marks do not give {self.choices} choices"
            raise UsageError(what, todo="give more words or fewer choices")

    @cached_property
    def words(self) -> tuple[str, ...]:
        """`BOS`, then syllables."""
        return (BOS, *syllables(self.vocabulary))

    def documents(self, indices: Sequence[int], length: int) -> Documents:
        """The documents of these numbers, each 0 or more, of `length` tokens."""
        made = [self._written(index, length) for index in indices]
        return Documents(
            np.array([page.tokens[:length] for page in made], dtype=np.int64),
            np.array([page.is_copy[:length] for page in made], dtype=np.bool_),
            np.array([page.floor[:length] for page in made], dtype=np.float32),
        )

    def _written(self, index: int, length: int) -> _Page:
        rng = Seed(self.seed).child("blocks", index).random()
        page = _Page(marks=range(self.vocabulary - _MARKS + 1, self.vocabulary + 1))
        inside = [0]
        while len(page.tokens) < length:
            if page.pairs and rng.random() < self.copy_rate:
                begin = rng.randrange(len(page.pairs))
                for key, value in page.pairs[begin : begin + rng.randint(1, _MOST_LINES)]:
                    page.say_again(len(inside), key, value)
            else:
                self._line(page, inside, rng)
        return page

    def _line(self, page: _Page, inside: list[int], rng: random.Random) -> None:
        """A fresh line; `inside` holds the keys of the blocks that it lies in."""
        depth = len(inside)
        closes = depth > 1 and rng.random() < _CLOSE
        page.indent(depth, closes, chance=_CLOSE if depth > 1 else 0.0)
        if closes:
            inside.pop()
            return
        rank = self._rank(rng)
        key = self._law[0][inside[-1]][rank]
        page.say(key, self._shares[rank])
        opens = _OPEN if depth < _DEEPEST else 0.0
        if rng.random() < opens:
            page.say(page.open, opens)
            inside.append(key)
        else:
            rank = self._rank(rng)
            value = self._law[1][key][rank]
            page.say(page.equals, 1 - opens)
            page.say(value, self._shares[rank])
            page.pairs.append((key, value))
        page.say(page.next, 1.0)

    def _rank(self, rng: random.Random) -> int:
        return rng.choices(range(self.choices), self._shares)[0]

    @cached_property
    def _shares(self) -> list[float]:
        weights = [1 / rank for rank in range(1, self.choices + 1)]
        return [weight / sum(weights) for weight in weights]

    @cached_property
    def _law(self) -> list[list[list[int]]]:
        """Likely keys of a block by its key, and likely values of a key."""
        rng = Seed(self.seed).child("blocks", "law").random()
        names = range(1, self.vocabulary - _MARKS + 1)
        return [[rng.sample(names, self.choices) for _ in range(self.vocabulary + 1)] for _ in range(2)]


@dataclass(kw_only=True)
class _Page:
    """A document being written: its tokens, which are copies, what each costs, and the lines said so far."""

    marks: range
    tokens: list[int] = field(default_factory=lambda: [0])
    is_copy: list[bool] = field(default_factory=lambda: [False])
    floor: list[float] = field(default_factory=lambda: [math.nan])
    pairs: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tab, self.equals, self.open, self.close, self.next = self.marks

    def say(self, token: int, chance: float) -> None:
        """A fresh token, which had this chance."""
        self.tokens.append(token)
        self.is_copy.append(False)
        self.floor.append(-math.log(chance))

    def indent(self, depth: int, closes: bool, chance: float) -> None:
        """How a line begins: as deep as its block, or a step less deep where it closes it."""
        for _ in range(depth - 1):
            self.say(self.tab, 1.0)
        if closes:
            self.say(self.close, chance)
            self.say(self.next, 1.0)
        else:
            self.say(self.tab, 1 - chance)

    def say_again(self, depth: int, key: int, value: int) -> None:
        """An earlier line, as deep as the block that it stands in now."""
        for token in (*[self.tab] * depth, key, self.equals, value, self.next):
            self.tokens.append(token)
            self.is_copy.append(True)
            self.floor.append(math.nan)
