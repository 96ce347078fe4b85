"""Values of a leaf kept in pools, and whole values put together from them without Hypothesis in between.

A pool grows as it is used, and never moves what it has, so that an index means the same value in every process. Pools
belong to the `Draws` of one search: searches beside it, or before it, change nothing.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from time import process_time
from typing import Any, NamedTuple

from hypothesis import Phase, currently_in_test_context, find, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException
from hypothesis.strategies import SearchStrategy

from gnomon.fuzz.values.nodes import SIZE, Leaf

__all__ = [
    "Assembled",
    "Draws",
    "EmptyPool",
    "Pool",
    "Simplest",
    "as_json",
    "build_value",
    "drawn",
    "rebuild_value",
]

MOST = 1024
"Values of a pool; each batch waits for more uses than the one before, so that few pools come to have so many."

FIRST, BATCH = 10, 32
"Values that the first round of Hypothesis adds, so that a search soon begins, and every other."

TOGETHER = 5
"Values that an example of Hypothesis has, or more; lists that have to be longer are rejected whole too often."

MOST_SECONDS = 1.0
"Processor time after which a batch ends; a pattern that is matched this slowly is one for attacks."

MOST_SIZE = 2**19
"Characters, as JSON, from which a pool grows no more."

LARGE = 2000
"Length, as JSON, from which a border value is not for every day."

USES = 4
"Times that every value is used, on average, before a pool grows."


class Assembled(NamedTuple):
    """A value, and the choices that make it again."""

    value: Any
    trail: list[int]


class Pool:
    """Values of a leaf, simplest first within each batch; indices stay what they are as it grows.

    Args:
        number: with the leaf's own it says what is drawn.

    Attributes:
        values: what is there; never empty, unless nothing can be drawn.
    """

    def __init__(self, leaf: Leaf, number: int) -> None:
        self._leaf, self._number = leaf, number
        self._seen: set[str] = set()
        self._rounds = 0
        self._uses = self._size = 0
        self.values: list[Any] = []
        first = [] if leaf.whole else self._drawn()
        self._add([*first, *(value for value, keyword in leaf.edges if keyword != "format" and _usual(leaf, value))])

    def grow(self) -> bool:
        """Adds a batch; False where the pool is full, or a round has brought nothing new."""
        before = len(self.values)
        if self._leaf.whole or before >= MOST or self._size > MOST_SIZE or self._rounds > 2 * MOST // BATCH:
            return False
        self._rounds += 1
        self._add(self._drawn())
        if len(self.values) == before:
            self._rounds = MOST
        return len(self.values) > before

    def used(self) -> None:
        """Counts a use, and grows where the values have been used often."""
        self._uses += 1
        if self._uses > USES * len(self.values):
            self._uses = 0
            self.grow()

    def at(self, index: int) -> Any:
        """The value at an index, drawn now where the pool has not grown so far yet, and the last one beyond its end.

        Raises:
            EmptyPool: nothing can be drawn.
        """
        while index >= len(self.values) and self.grow():
            pass
        if not self.values:
            raise EmptyPool
        return self.values[min(index, len(self.values) - 1)]

    def _drawn(self) -> list[Any]:
        """A batch by Hypothesis."""
        count = BATCH if self._rounds else FIRST
        return drawn(self._leaf.strategy, self._leaf.seed + self._rounds + (self._number << 40), count)

    def _add(self, values: Sequence[Any]) -> None:
        for value in sorted(values, key=_simplicity):
            key = as_json(value)
            if key not in self._seen and len(self.values) < MOST:
                self._seen.add(key)
                self._size += len(key)
                self.values.append(value)


class Draws(random.Random):
    """The choices of one search, and its pools; the same seed gives the same ones.

    Args:
        seed: any integer.
        pooled: whether values are put together from pools; else Hypothesis draws each one anew.
        swarm: whether a value first draws how much of what it may leave out is there (none, some or all); else each by
            a coin.
    """

    def __init__(self, seed: int, *, pooled: bool = True, swarm: bool = True) -> None:
        super().__init__(seed)
        self.pooled, self.swarm = pooled, swarm
        self._number, self._pools = seed, dict[Leaf, Pool]()

    def pool(self, leaf: Leaf) -> Pool:
        """The pool of a leaf, filled on its first use."""
        found = self._pools.get(leaf)
        if found is None:
            found = self._pools[leaf] = Pool(leaf, self._number)
        return found


def drawn(strategy: SearchStrategy[Any], number: int, count: int) -> list[Any]:
    """About `count` values of a strategy, the same for the same number; fewer where it has fewer, or rejects most."""
    found: list[Any] = []
    _apart(partial(_draw, st.lists(strategy, min_size=1, max_size=BATCH), number, count, found))
    return found


def _apart(work: Callable[[], None]) -> None:
    """Does it; in a thread inside a test of Hypothesis, which may assemble values too, and bears no other within it."""
    if currently_in_test_context():
        _beside(os.getpid()).submit(work).result()
    else:
        work()


@cache
def _beside(process: int) -> ThreadPoolExecutor:
    """The one thread of a process in which values are drawn; a fork has no threads of its parent."""
    return ThreadPoolExecutor(1, f"values-{process}")


def _draw(lists: SearchStrategy[list[Any]], number: int, count: int, found: list[Any]) -> None:
    """Adds the values of some lists to `found`.

    They are what Hypothesis looks at to find one that will do, and none does: a test of `@given` costs half as much
    again, since its source is read first.
    """

    def wanted(values: list[Any]) -> bool:
        found.extend(values)
        if process_time() > end:
            raise _Slow
        return False

    end = process_time() + MOST_SECONDS
    # That nothing more could be drawn shows in what was.
    with suppress(HypothesisException, _Slow):
        find(lists, wanted, settings=_settings(count), random=random.Random(number), database_key=b"")


@cache
def _settings(count: int) -> settings:
    return settings(max_examples=max(1, count // TOGETHER), phases=[Phase.generate], database=None, deadline=None)


class _Slow(Exception):
    """Drawing takes longer than a pool is worth."""


class EmptyPool(Exception):
    """A leaf for which nothing can be drawn."""


class _Picked:
    """Choices of a plain generator over pools, written down."""

    def __init__(self, draws: Draws) -> None:
        self._random, self._pool, self.swarm = draws.random, draws.pool, draws.swarm
        self.left = SIZE
        self.trail: list[int] = []

    def index(self, n: int) -> int:
        """One of 0 … n-1."""
        found = int(self._random() * n)
        self.trail.append(found)
        return found

    def leaf(self, leaf: Leaf, at: str) -> Any:
        """A value of the pool."""
        pool = self._pool(leaf)
        pool.used()
        if not pool.values:
            raise EmptyPool
        place = int(self._random() * len(pool.values))
        self.trail.append(place)
        return pool.values[place]


class Simplest:
    """The simplest choice always; of a leaf that is asked at the same place again, the next value."""

    swarm = True

    def __init__(self, draws: Draws) -> None:
        self._pool = draws.pool
        self._asked: Counter[str] = Counter()
        self.left = SIZE

    def index(self, n: int) -> int:
        """0."""
        return 0

    def leaf(self, leaf: Leaf, at: str) -> Any:
        """The first value that was not given here.

        Raises:
            EmptyPool: nothing can be drawn.
        """
        self._asked[at] += 1
        return self._pool(leaf).at(self._asked[at] - 1)


class _Replayed:
    """Choices that were written down; where they end, the simplest."""

    def __init__(self, trail: Sequence[int], draws: Draws) -> None:
        self._next, self._pool, self.swarm = iter(trail), draws.pool, draws.swarm
        self.left = SIZE
        self.trail: list[int] = []

    def index(self, n: int) -> int:
        """The next choice, brought into range."""
        found = max(0, min(next(self._next, 0), n - 1))
        self.trail.append(found)
        return found

    def leaf(self, leaf: Leaf, at: str) -> Any:
        """The value at the next index."""
        place = next(self._next, 0)
        self.trail.append(max(0, place))
        return self._pool(leaf).at(max(0, place))


def build_value(
    make: Callable[[Any], Any],
    fits: Callable[[Any], bool] | None,
    draws: Draws,
    tries: int,
) -> Assembled | None:
    """The first value out of `tries` that fits, made with choices of `draws`; None where none does."""
    for _ in range(tries):
        source = _Picked(draws)
        with suppress(EmptyPool, RecursionError):
            value = make(source)
            if fits is None or fits(value):
                return Assembled(value, source.trail)
    return None


def rebuild_value(make: Callable[[Any], Any], trail: Sequence[int], draws: Draws) -> Assembled:
    """What `make` makes of choices that were written down, and the choices it really took."""
    source = _Replayed(trail, draws)
    return Assembled(make(source), source.trail)


def _usual(leaf: Leaf, value: Any) -> bool:
    """Whether a border value is valid and small; odd values of formats, which many servers refuse, stay borders."""
    try:
        return leaf.accepts(value) and (leaf.whole or len(as_json(value)) < LARGE)
    except ValueError:
        return False


def as_json(value: Any) -> str:
    """The value as JSON, which tells 1 from 1.0 and 0.0 from -0.0 where servers may."""
    return json.dumps(value)


def _simplicity(value: Any) -> tuple[int, str]:
    text = as_json(value)
    # "true" is shorter than "false", and is not simpler.
    return len(text) + 2 * (value is True), text
