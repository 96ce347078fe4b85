"""How many calls may be in flight at once: grows while the server copes, halves when it does not.

Slow start until the first overload (one more slot per success), then additive increase (one more per full
window) and multiplicative decrease, as in TCP congestion control.
"""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Limiter"]


class Limiter:
    """Adaptive bound on calls in flight.

    Args:
        most: never more than this many.
        start: slots at the beginning.
    """

    def __init__(self, most: int, start: int = 16) -> None:
        self.most = most
        self.limit = float(min(most, start))
        self.active = 0
        self._round = 0
        self._slow_start = True
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> int:
        """Waits for a slot; returns the round it was given in, for `overloaded`."""
        while self.active >= int(self.limit):
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                # a slot handed to a cancelled waiter would otherwise wake nobody
                if turn.done() and not turn.cancelled():
                    self._wake()
                raise
        self.active += 1
        return self._round

    def release(self) -> None:
        """Gives a slot back."""
        self.active -= 1
        self._wake()

    def succeeded(self) -> None:
        """A call went well: a little more room."""
        grown = self.limit + (1.0 if self._slow_start else 1.0 / self.limit)
        self.limit = min(float(self.most), grown)

    def overloaded(self, since: int) -> None:
        """A call that began in round `since` met an overload: half the room, once a round."""
        if since != self._round:
            return
        self._round += 1
        self._slow_start = False
        self.limit = max(1.0, self.limit / 2)

    def _wake(self) -> None:
        room = int(self.limit) - self.active
        while room > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                room -= 1
