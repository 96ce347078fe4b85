"""How much is in flight: so many requests at once, so many waiting, the others told to come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gnomon.serve.refusal import Refusal

__all__ = ["Gate"]

_COME_BACK_S = 1


class Gate:
    """Lets requests through.

    Attributes:
        inside: requests in flight or waiting.
        closing: no further request is let in.
    """

    def __init__(self, parallel: int, queue: int) -> None:
        """An open gate.

        Args:
            parallel: requests in flight at once, 1 or more.
            queue: further ones that wait, 0 or more.
        """
        self.inside = 0
        self.closing = False
        self._most = parallel + queue
        self._slots = asyncio.Semaphore(parallel)
        self._empty = asyncio.Event()
        self._empty.set()

    @asynccontextmanager
    async def through(self) -> AsyncIterator[None]:
        """Holds a place while a request is answered.

        Raises:
            Refusal: the queue is full, or the server is shutting down.
        """
        if self.closing:
            raise Refusal("the server is shutting down", status=503, headers={"Connection": "close"})
        if self.inside >= self._most:
            raise Refusal(
                f"{self.inside} requests are in flight or waiting, as many as the server takes; try again",
                status=429,
                code="rate_limit_exceeded",
                headers={"Retry-After": str(_COME_BACK_S)},
            )
        self.inside += 1
        self._empty.clear()
        try:
            async with self._slots:
                yield
        finally:
            self.inside -= 1
            if not self.inside:
                self._empty.set()

    async def drained(self) -> None:
        """Closes the gate, and returns when the last request inside is done."""
        self.closing = True
        await self._empty.wait()
