"""Keys and values of tokens already read, so that decoding a token costs one token.

Storage is only ever written beyond what any holder of it can see, so caches share it freely: `expand` and `prefix` copy
nothing until the new cache is appended to.

Shapes: B rows, K key-value heads, S tokens held, d coordinates of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

import torch
from torch import Tensor

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
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
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
        elif len(self._keys) <= layer:
            self._keys.append(torch.empty_like(self._keys[0]))
            self._values.append(torch.empty_like(self._values[0]))
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

    def select(self, rows: Tensor | list[int]) -> KVCache:
        """A cache of the given rows, in that order; rows may repeat or be left out."""
        index = torch.as_tensor(rows, dtype=torch.long, device=self._keys[0].device if self._keys else None)
        return self._derived(self.length, lambda t: t.index_select(0, index))

    def suffix(self, start: int) -> KVCache:
        """A cache without the first `start` tokens, for rows that see none of them; shares storage like `prefix`."""
        new = self._derived(self.length, lambda t: t)
        new.length = self.length - start
        new._keys, new._values = [t[:, :, start:] for t in new._keys], [t[:, :, start:] for t in new._values]
        if new.positions_BS is not None:
            new.positions_BS = new.positions_BS[:, start:]
        return new

    def join(self, other: KVCache) -> KVCache:
        """A cache of this one's rows, then `other`'s; the shorter one is padded on the left, which a mask must hide."""
        if any(tail is not None for tail in self.tails):
            raise UsageError("a model with smeared keys cannot decode rows that began apart in one batch")
        new = KVCache(self._num_layers, room=self._room)
        new.length = max(self.length, other.length)

        def joined(a: Tensor, b: Tensor) -> Tensor:
            both = a.new_zeros((a.shape[0] + b.shape[0], *a.shape[1:-2], new.length, a.shape[-1]))
            both[: a.shape[0], ..., new.length - self.length :, :] = a[..., : self.length, :]
            both[a.shape[0] :, ..., new.length - other.length :, :] = b[..., : other.length, :]
            return both

        new._keys = [joined(a, b) for a, b in zip(self._keys, other._keys, strict=True)]
        new._values = [joined(a, b) for a, b in zip(self._values, other._values, strict=True)]
        if self.positions_BS is not None and other.positions_BS is not None:
            mine, others = self.positions_BS.expand(self.batch, -1), other.positions_BS.expand(other.batch, -1)
            new.positions_BS = joined(mine[..., None], others[..., None])[..., 0]
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
        return new

    def _make_room(self, end: int, like: Tensor) -> None:
        if not self._keys:
            shape = (like.shape[0], like.shape[1], max(end, self._room), like.shape[3])
            self._keys, self._values = [like.new_empty(shape)], [like.new_empty(shape)]
        if self.batch != like.shape[0]:
            raise UsageError(
                f"the cache has {self.batch} rows and the tokens {like.shape[0]}", todo="expand or select it first"
            )
        if self._keys[0].shape[2] < end:
            room = max(self._room, end + end // 2)
            self._keys = [self._moved(t, room) for t in self._keys]
            self._values = [self._moved(t, room) for t in self._values]

    def _moved(self, old: Tensor, room: int) -> Tensor:
        new = old.new_empty((*old.shape[:2], room, old.shape[3]))
        new[:, :, : self.length] = old[:, :, : self.length]
        return new


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
