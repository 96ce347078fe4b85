"""Keys and values of tokens already read, so that decoding a token costs one token.

Storage is only ever written beyond what any holder of it can see, so caches share it freely: `expand` and `prefix` copy
nothing until the new cache is appended to.

Shapes: B rows, K key-value heads, S tokens held, d coordinates of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypedDict

import torch
from torch import Tensor
from torch.nn import functional as F

from gnomon.core.errors import UsageError

__all__ = ["KVCache", "Reading"]

_ROOM = 64


class KVCache:
    """One decoder's keys and values.

    Attributes:
        length: tokens held, the same for every row (left padding included).
        positions_BS: positions of the tokens held, kept for models with a window only.
        tails: each layer's last key before smearing, for models with smeared keys only.
    """

    def __init__(self, num_layers: int, *, room: int = _ROOM) -> None:
        """An empty cache.

        Args:
            num_layers: layers of the decoder.
            room: tokens to allocate for at first; half as much again is added whenever it is used up.
        """
        self.length = 0
        self.positions_BS: Tensor | None = None
        self.tails: list[Tensor | None] = [None] * num_layers
        self._room = room
        # Each layer's, of this cache's rows: views of the storage, or of another cache's.
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        # Keys and values of all layers with room for more rows and tokens; None while another cache's is used.
        self._storage: Tensor | None = None
        self._is_shared = False
        self._num_layers = num_layers

    @property
    def batch(self) -> int:
        """Rows; 0 while empty."""
        return self._keys[0].shape[0] if self._keys else 0

    def append(self, layer: int, k_BKTd: Tensor, v_BKTd: Tensor) -> tuple[Tensor, Tensor]:
        """Stores one layer's new keys and values; returns all of that layer's, [B, K, S + T, d].

        The length moves on with `advance`, after every layer has appended.

        Raises:
            UsageError: the number of rows is not the cache's.
        """
        end = self.length + k_BKTd.shape[2]
        if layer == 0:
            self._make_room(end, k_BKTd)
        keys, values = self._keys[layer], self._values[layer]
        keys[:, :, self.length : end] = k_BKTd
        values[:, :, self.length : end] = v_BKTd
        return keys[:, :, :end], values[:, :, :end]

    def slots(self, count: int) -> list[tuple[Tensor, Tensor]]:
        """Each layer's keys and values [B, K, S + count, d], the last `count` yet to be filled; then comes `advance`.

        Raises:
            UsageError: the cache is empty, so that nothing is known of its shape.
        """
        if not self._keys:
            raise UsageError("an empty cache has no slots", todo="read a token first")
        end = self.length + count
        self._make_room(end, self._keys[0])
        return [(k[:, :, :end], v[:, :, :end]) for k, v in zip(self._keys, self._values, strict=True)]

    def advance(self, count: int) -> None:
        """Counts `count` appended tokens as held."""
        self.length += count

    def expand(self, batch: int) -> KVCache:
        """A cache of `batch` rows that all begin with this cache's only row; shares its storage until appended to.

        Raises:
            UsageError: this cache has several rows.
        """
        if self.batch > 1:
            raise UsageError(f"only a cache of one row can be expanded, and this one has {self.batch}")
        return self._derived(self.length, lambda t: t.expand(batch, *t.shape[1:]))

    def prefix(self, length: int) -> KVCache:
        """A cache of the first `length` tokens; shares this cache's storage until appended to."""
        if not 0 <= length <= self.length:
            raise UsageError(f"a cache of {self.length} tokens has no prefix of {length}")
        if length < self.length and any(tail is not None for tail in self.tails):
            raise UsageError("a model with smeared keys needs the last unsmeared key, which a shorter prefix lacks")
        return self._derived(length, lambda t: t)

    def select(self, rows: Sequence[int]) -> KVCache:
        """A cache of the given rows, in that order; rows may repeat or be left out."""
        new = self._derived(self.length, lambda t: t)
        new.reorder(rows)
        return new

    def reorder(self, rows: Sequence[int]) -> None:
        """Puts row `rows[i]` in place i; rows may repeat or be left out. Where it can be, only what moves is copied."""
        storage, batch = self._storage, self.batch
        index = torch.tensor(rows, device=self._keys[0].device)
        if storage is None or self._is_shared or len(rows) > storage.shape[2]:
            grown = 0 if storage is None else 2 * storage.shape[2]
            self._move(max(len(rows), grown), self.length + self._room, index)
        else:
            moves = [place for place, row in enumerate(rows) if row != place]
            if moves:
                to = torch.tensor(moves, device=index.device)
                storage[:, :, to, :, : self.length] = storage[:, :, index[to], :, : self.length]
            self._look(len(rows))
        self.tails = [None if tail is None else tail[index] for tail in self.tails]
        if self.positions_BS is not None:
            self.positions_BS = self.positions_BS.expand(batch, -1)[index]

    def pick(self, slots_S: Tensor) -> KVCache:
        """A cache of the tokens in the given slots alone, for rows that see none of the others."""
        new = self._derived(self.length, lambda t: t)
        new.length = len(slots_S)
        new._keys, new._values = [t[:, :, slots_S] for t in new._keys], [t[:, :, slots_S] for t in new._values]
        if new.positions_BS is not None:
            new.positions_BS = new.positions_BS[:, slots_S]
        return new

    def join(self, other: KVCache) -> KVCache:
        """A cache of this one's rows, then `other`'s; the shorter one is padded on the left, which a mask must hide."""
        if any(tail is not None for tail in self.tails):
            raise UsageError("a model with smeared keys cannot decode rows that began apart in one batch")
        new = KVCache(self._num_layers, room=self._room)
        new.length = length = max(self.length, other.length)
        _, heads, _, width = self._keys[0].shape
        shape = (2, self._num_layers, self.batch + other.batch, heads, length + self._room, width)
        # What is hidden still takes part in products, so it has to be finite.
        new._storage = storage = self._keys[0].new_zeros(shape)
        for one, rows in ((self, slice(0, self.batch)), (other, slice(self.batch, None))):
            for layer in range(self._num_layers):
                for part, held in enumerate((one._keys[layer], one._values[layer])):
                    storage[part, layer, rows, :, length - one.length : length] = held[:, :, : one.length]
        new._look(self.batch + other.batch)
        if self.positions_BS is not None and other.positions_BS is not None:
            mine, others = self.positions_BS.expand(self.batch, -1), other.positions_BS.expand(other.batch, -1)
            padded = [F.pad(each, (length - each.shape[1], 0)) for each in (mine, others)]
            new.positions_BS = torch.cat(padded)
        return new

    def _derived(self, length: int, change: Callable[[Tensor], Tensor]) -> KVCache:
        new = KVCache(self._num_layers, room=self._room)
        new.length = length
        # Cut to its length, a shared tensor has no room, so the first append moves to storage of its own.
        new._keys = [change(t[:, :, :length]) for t in self._keys]
        new._values = [change(t[:, :, :length]) for t in self._values]
        new.tails = [None if t is None else change(t) for t in self.tails]
        if self.positions_BS is not None:
            new.positions_BS = change(self.positions_BS.expand(self.batch, -1)[:, :length])
        self._is_shared = True
        return new

    def _make_room(self, end: int, like: Tensor) -> None:
        if not self._keys:
            shape = (2, self._num_layers, like.shape[0], like.shape[1], max(end, self._room), like.shape[3])
            self._storage = like.new_empty(shape)
            self._look(like.shape[0])
        if self.batch != like.shape[0]:
            raise UsageError(
                f"the cache has {self.batch} rows and the tokens {like.shape[0]}", todo="expand or select it first"
            )
        if self._keys[0].shape[2] < end:
            self._move(self.batch, max(self._room, end + end // 2))

    def _move(self, capacity: int, room: int, rows: Tensor | None = None) -> None:
        """Copies what is held, of the given rows or of all, to storage of this cache's own with room for so much."""
        batch, heads, _, width = self._keys[0].shape
        count = batch if rows is None else len(rows)
        storage = self._keys[0].new_empty((2, self._num_layers, capacity, heads, room, width))
        for part, layers in enumerate((self._keys, self._values)):
            for layer, held in enumerate(layers):
                kept = held[:, :, : self.length]
                storage[part, layer, :count, :, : self.length] = kept if rows is None else kept[rows]
        self._storage, self._is_shared = storage, False
        self._look(count)

    def _look(self, batch: int) -> None:
        """Makes the first `batch` rows of the storage this cache's."""
        assert self._storage is not None
        keys, values = self._storage[:, :, :batch]
        self._keys, self._values = list(keys.unbind()), list(values.unbind())


class Reading(TypedDict, total=False):
    """How a forward reads its tokens: the keyword arguments that every network of the engine takes.

    B rows, T new tokens, S tokens to look at (held in the cache, then new), N places. None is the same as absent.

    Attributes:
        positions_BT: the tokens' positions; by default they continue after the cache.
        mask: True where a query may look; boolean, broadcastable to [B, 1, T, S]; by default causal. It is the whole
            truth, causality included; windows are taken off it. A query that may look nowhere sees zeros.
        cache: looked at, and extended by this call's keys and values.
        at: [N, 2] (row, position within this call); only these are returned.
    """

    positions_BT: Tensor | None
    mask: Tensor | None
    cache: KVCache | None
    at: Tensor | None
