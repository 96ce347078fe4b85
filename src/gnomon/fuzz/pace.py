"""How many requests are under way: more while replies stay as quick as they were, half as many when they do not."""

from __future__ import annotations

import asyncio
from collections import deque
from statistics import median
from types import TracebackType

from gnomon.fuzz.base import Reply

__all__ = ["Pace"]

_WINDOW, _SLOWER, _LEAST = 20, 4.0, 2.0


class Pace:
    """Additive increase, multiplicative decrease of the requests under way.

    Args:
        most: never more than this; 1 makes a run repeatable.
    """

    def __init__(self, most: int) -> None:
        self.limit, self.most, self._under_way = min(_LEAST, float(most)), most, 0
        self._waiting = 0
        self._seconds: deque[float] = deque(maxlen=_WINDOW)
        self._least = self.limit
        self._best = float("inf")
        self._free = asyncio.Condition()

    async def __aenter__(self) -> None:
        if self._full():
            self._waiting += 1
            try:
                async with self._free:
                    await self._free.wait_for(lambda: not self._full())
            finally:
                self._waiting -= 1
        self._under_way += 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._under_way -= 1
        if self._waiting:
            async with self._free:
                self._free.notify()

    def _full(self) -> bool:
        return self._under_way >= max(1, int(self.limit))

    def saw(self, reply: Reply) -> None:
        """Learns from a reply: how long it took, and whether the server had enough.

        One that never came says something of its operation, not of the server.
        """
        if reply.fault == "timeout" or self.most == 1:
            return
        if reply.status == 503:
            self.limit = max(1.0, self.limit / 2)
            return
        self._seconds.append(reply.seconds)
        if len(self._seconds) < _WINDOW:
            return
        now = median(self._seconds)
        self._best = min(self._best * 1.001, now)
        per_request = 1.0 / _WINDOW
        quick = now <= _SLOWER * self._best
        self.limit = (
            min(float(self.most), self.limit + per_request) if quick else max(self._least, self.limit - per_request)
        )
