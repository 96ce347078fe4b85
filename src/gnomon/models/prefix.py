"""Token sequences as a prefix tree: which tokens to push, once each, to read the distributions that are wanted.

Sequences are sorted, so that those sharing a beginning are neighbours. A long beginning shared by many becomes a
*header*, read once; what follows it is cut into *rows*, each a small tree laid out depth first. A token of a row sees
the header, its own ancestors and itself; its position is its depth. Tokens thus lie in a row once, however many
sequences pass through them: options of a question, truncations of a chain of thought, suffixes of an answer.

Nothing here computes; `gnomon.models.scoring` does.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Group", "Path", "Read", "Row", "Tokens", "forked", "packed", "plan", "shared_length"]

Tokens: TypeAlias = NDArray[np.int64]

# Tokens of a row at which attention costs as much as all else; measured on models of a few million parameters.
_DEAR = 512


class Path(NamedTuple):
    """A sequence to push through the model.

    Attributes:
        tokens: shape [t], t >= 1.
        first: the next-token distribution is wanted at positions first … t - 1.
    """

    tokens: Tokens
    first: int


class Read(NamedTuple):
    """Where in a row a path's wanted positions lie: `slots[i]` holds position `first + i` of path number `path`."""

    path: int
    slots: Tokens


@dataclass(frozen=True, slots=True)
class Row:
    """A small tree after a header, depth first.

    Attributes:
        tokens: shape [t].
        depth: position of each token in its sequence, header included, shape [t].
        end: one past the last slot below each token, shape [t]; slot i sees slot j when j <= i < end[j].
        reads: the wanted positions.
    """

    tokens: Tokens
    depth: Tokens
    end: Tokens
    reads: Sequence[Read]

    @property
    def is_chain(self) -> bool:
        """Whether every token follows the one before it, so that plain causal attention is right."""
        return bool((self.end == len(self.end)).all())


class Group(NamedTuple):
    """Rows that follow the same header; `header` has shape [h], h may be 0."""

    header: Tokens
    rows: list[Row]


def plan(
    paths: Sequence[Path],
    *,
    row_tokens: int = 512,
    header_tokens: int = 32,
    known: Callable[[Tokens], int] = lambda tokens: 0,
    tree: bool = True,
) -> list[Group]:
    """Groups of rows that together read every wanted position of `paths`.

    Args:
        paths: in any order; equal ones cost nothing.
        row_tokens: a subtree of at most so many tokens becomes one row. A single longer path is a row all the same.
        header_tokens: a shared beginning of fewer tokens is repeated in its rows rather than made a header.
        known: how many of the given tokens a header at hand already covers; 0 for none.
        tree: False gives every distinct path a row of its own and no header, for models that take no mask.
    """
    forest = _forest(paths, row_tokens, header_tokens, known)
    if not tree:
        return [Group(_NONE, list(forest.separate()))] if paths else []
    return list(forest.groups())


def packed(paths: Sequence[Path]) -> list[Row]:
    """Rows that read every wanted position of `paths`, without headers and as long as costs the least."""
    forest = _forest(paths, 4 * max(len(p.tokens) for p in paths))
    return list(forest.cut(0, len(paths), 0))


def forked(one: Path, other: Path, shared: int) -> Row:
    """A row of two paths that share their first `shared` tokens: those, the rest of the one, the rest of the other."""
    return _Forest((one, other), (0, 1), np.array([0, shared])).row(0, 2, 0)


def shared_length(a: Tokens, b: Tokens) -> int:
    """How many tokens `a` and `b` begin with in common."""
    size = min(len(a), len(b))
    differs = a[:size] != b[:size]
    at = int(differs.argmax()) if size else 0
    return at if size and differs[at] else size


_NONE: Tokens = np.zeros(0, dtype=np.int64)


def _forest(
    paths: Sequence[Path],
    row_tokens: int,
    header_tokens: int = 0,
    known: Callable[[Tokens], int] = lambda tokens: 0,
) -> _Forest:
    order = sorted(range(len(paths)), key=[p.tokens.astype(">i4").tobytes() for p in paths].__getitem__)
    ranked = [paths[i] for i in order]
    shared = [0] + [shared_length(a.tokens, b.tokens) for a, b in itertools.pairwise(ranked)]
    return _Forest(ranked, order, np.array(shared), row_tokens, header_tokens, known)


@dataclass(frozen=True, slots=True)
class _Forest:
    """Sorted paths; `shared[k]` is what path k begins with in common with path k - 1."""

    paths: Sequence[Path]
    order: Sequence[int]
    shared: Tokens
    row_tokens: int = 0
    header_tokens: int = 0
    known: Callable[[Tokens], int] = lambda tokens: 0

    def groups(self) -> Iterator[Group]:
        """Every group of the whole forest."""
        bare: list[Row] = []
        for begin, end in self._children(0, len(self.paths), 0):
            stem = self._stem(begin, end)
            depth = self.known(self.paths[begin].tokens[:stem])
            if self._size(begin, end, 0) > self.row_tokens and stem >= self.header_tokens and end - begin > 1:
                depth = stem
            if depth:
                yield from self._below(begin, end, depth)
            else:
                bare.extend(self.cut(begin, end, 0))
        if bare:
            yield Group(_NONE, bare)

    def separate(self) -> Iterator[Row]:
        """One row for each distinct path."""
        begin = 0
        for k in range(1, len(self.paths) + 1):
            if k == len(self.paths) or not self.shared[k] == len(self.paths[k].tokens) == len(self.paths[begin].tokens):
                yield self.row(begin, k, 0)
                begin = k

    def _below(self, begin: int, end: int, depth: int) -> Iterator[Group]:
        """Groups of the paths begin … end - 1, which share `depth` tokens: that header's rows, then deeper headers."""
        rows: list[Row] = []
        for a, b in self._children(begin, end, depth):
            stem = self._stem(a, b)
            if self._size(a, b, depth) <= self.row_tokens or b - a == 1:
                rows.append(self.row(a, b, depth))
            elif stem - depth >= self.header_tokens:
                yield from self._below(a, b, stem)
            else:
                rows.extend(self.cut(a, b, depth))
        if rows:
            yield Group(self.paths[begin].tokens[:depth], rows)

    def cut(self, begin: int, end: int, depth: int) -> Iterator[Row]:
        """Rows of neighbouring paths, each within the limit; what two rows share is repeated.

        The longer rows are, the less is repeated, and the more a token has to look at: they are as long as costs the
        least. Behind a header they are few, for each has a copy of its keys and values.
        """
        longest = max(len(p.tokens) for p in self.paths[begin:end])
        shorter = () if depth else (longest * halves // 2 for halves in (2, 3, 4, 6))
        limits = [self.row_tokens, *(limit for limit in shorter if limit < self.row_tokens)]
        cuts = [self._edges(begin, end, depth, limit) for limit in limits]
        cheapest = min(cuts, key=lambda edges: self._cost(edges, depth))
        for a, b in itertools.pairwise(cheapest):
            yield self.row(a, b, depth)

    def _edges(self, begin: int, end: int, depth: int, limit: int) -> list[int]:
        """Where rows of neighbouring paths begin, and where the last one ends: no more rows than the limit takes.

        They are of like length: a row that is nearly empty would be filled with padding.
        """
        whole = [len(p.tokens) - depth for p in self.paths[begin:end]]
        shared = self.shared[begin:end].tolist()
        fresh = [size + min(0, depth - same) for size, same in zip(whole, shared, strict=True)]
        num = len(_full(whole, fresh, limit))
        even = bisect_left(range(limit), True, key=lambda size: len(_full(whole, fresh, size)) <= num)
        return [begin + place for place in _full(whole, fresh, even)] + [end]

    def _cost(self, edges: Sequence[int], depth: int) -> float:
        """What a forward of the rows between `edges` costs, in tokens of short rows."""
        longest = max(self._size(a, b, depth) for a, b in itertools.pairwise(edges))
        return (len(edges) - 1) * longest * (1 + longest / _DEAR)

    def _children(self, begin: int, end: int, depth: int) -> Iterator[tuple[int, int]]:
        """Ranges of the paths begin … end - 1 that share more than `depth` tokens."""
        breaks = np.flatnonzero(self.shared[begin + 1 : end] <= depth) + begin + 1
        edges = [begin, *breaks.tolist(), end]
        yield from itertools.pairwise(edges)

    def _stem(self, begin: int, end: int) -> int:
        """How many tokens the paths share before anything is read."""
        common = int(self.shared[begin + 1 : end].min()) if end - begin > 1 else len(self.paths[begin].tokens)
        return min(common, min(p.first for p in self.paths[begin:end]))

    def _size(self, begin: int, end: int, depth: int) -> int:
        """Tokens of the tree below `depth`."""
        lengths = sum(len(p.tokens) for p in self.paths[begin:end])
        return lengths - depth - int(self.shared[begin + 1 : end].sum())

    def row(self, begin: int, end: int, depth: int) -> Row:
        """Lays out the tree of the paths begin … end - 1 below `depth`."""
        size = self._size(begin, end, depth)
        tokens, depths, ends = (np.empty(size, dtype=np.int64) for _ in range(3))
        slots = np.empty(max(len(p.tokens) for p in self.paths[begin:end]) - depth, dtype=np.int64)
        reads, used, last = [], 0, depth
        for k in range(begin, end):
            path = self.paths[k]
            keep, length = (int(self.shared[k]) if k > begin else depth), len(path.tokens)
            ends[slots[keep - depth : last - depth]] = used
            fresh = used + length - keep
            slots[keep - depth : length - depth] = np.arange(used, fresh)
            tokens[used:fresh] = path.tokens[keep:]
            depths[used:fresh] = np.arange(keep, length)
            reads.append(Read(self.order[k], slots[path.first - depth : length - depth].copy()))
            used, last = fresh, length
        ends[slots[: last - depth]] = used
        return Row(tokens, depths, ends, reads)


def _full(whole: Sequence[int], fresh: Sequence[int], limit: int) -> list[int]:
    """The paths at which rows begin that are filled up to the limit.

    Args:
        whole: tokens that each path has in a row that begins with it.
        fresh: those that it adds behind the path before it.
    """
    begins, size = [0], whole[0]
    for k in range(1, len(whole)):
        size += fresh[k]
        if size > limit:
            begins.append(k)
            size = whole[k]
    return begins
