"""Keys and values of the beginnings that prompts share, kept from one batch of calls to the next.

A few-shot header is read once for thousands of items, and a conversation once a turn.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Protocol, Unpack

import torch

from gnomon.models.cache import KVCache, Reading
from gnomon.models.prefix import Tokens, shared_length

__all__ = ["Headers", "Net"]


class Net(Protocol):
    """What the engine needs of a model: `Transformer`, or the adapter around a model that `transformers` loads."""

    def __call__(self, tokens_BT: torch.Tensor, **how: Unpack[Reading]) -> torch.Tensor:
        """Logits, [B, T, V], or [N, V] with `at`."""
        ...

    def hidden(self, tokens_BT: torch.Tensor, **how: Unpack[Reading]) -> torch.Tensor:
        """Final hidden states, [B, T, D], or [N, D] with `at`."""
        ...


class Headers:
    """Caches of headers, the least recently used dropped first."""

    def __init__(
        self,
        net: Net,
        new_cache: Callable[[], KVCache],
        device: torch.device,
        *,
        least_tokens: int = 32,
        capacity_tokens: int = 32_768,
    ) -> None:
        """An empty store.

        Args:
            net: reads the headers.
            new_cache: makes an empty cache for it.
            device: where.
            least_tokens: shorter beginnings are not worth keeping.
            capacity_tokens: tokens held in all; one header is held however long.
        """
        self.net, self.new_cache, self.device = net, new_cache, device
        self.least_tokens, self.capacity_tokens = least_tokens, capacity_tokens
        self.forwards = 0
        self._held: OrderedDict[bytes, tuple[Tokens, KVCache]] = OrderedDict()
        self._seen: deque[Tokens] = deque(maxlen=8)

    def known(self, tokens: Tokens) -> int:
        """How many of `tokens` it pays to take from a header: one is held, or an earlier prompt began the same way."""
        held = max((shared_length(tokens, t) for t, _ in self._held.values()), default=0)
        seen = max((shared_length(tokens, t) for t in self._seen), default=0)
        # A few tokens more than what is held are cheaper to read again than to keep.
        best = seen if seen >= held + self.least_tokens else held
        return best if best >= self.least_tokens else 0

    def saw(self, tokens: Tokens) -> None:
        """Remembers a prompt without reading it, so that the next one that begins alike makes a header of it."""
        self._seen.append(tokens)

    def get(self, tokens: Tokens) -> KVCache:
        """A one-row cache of `tokens`; what no held header covers is read now, and held."""
        key = tokens.tobytes()
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key][1]
        covered, cache = 0, self.new_cache()
        for held, held_cache in self._held.values():
            shared = shared_length(tokens, held)
            if shared > covered:
                covered, cache = shared, held_cache.prefix(shared)
        if covered == len(tokens):
            return cache
        fresh = torch.from_numpy(tokens[covered:]).to(self.device)[None]
        self.net.hidden(fresh, cache=cache, at=torch.zeros((0, 2), dtype=torch.long, device=self.device))
        self.forwards += 1
        self._hold(key, tokens, cache)
        return cache

    def clear(self) -> None:
        """Forgets everything; called when the weights have changed."""
        self._held.clear()
        self._seen.clear()

    def _hold(self, key: bytes, tokens: Tokens, cache: KVCache) -> None:
        self._held[key] = (tokens, cache)
        while len(self._held) > 1 and sum(len(t) for t, _ in self._held.values()) > self.capacity_tokens:
            self._held.popitem(last=False)
