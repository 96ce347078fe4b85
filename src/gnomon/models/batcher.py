"""Gathers calls in flight and hands them together to one worker thread.

A method awaits one call an item; hundreds of items run at once. Calls are held back until the event loop has nothing
else to start, so that one forward serves them all, and what arrives while the worker is busy makes the next batch.
The event loop itself never waits for a forward.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

__all__ = ["Batcher", "Call"]

Asked = TypeVar("Asked")

# Turns of the event loop without a new call after which it counts as idle. A task that a finished call woke up needs
# one turn to run and another where it hops through a task of its own.
_QUIET_TURNS = 2


class Call(Generic[Asked]):
    """One awaited call: what is asked, and how the answer gets back to its event loop."""

    def __init__(self, asked: Asked, loop: asyncio.AbstractEventLoop) -> None:
        self.asked = asked
        self.future: asyncio.Future[Any] = loop.create_future()
        self._loop = loop

    @property
    def waiting(self) -> bool:
        """Whether somebody still wants the answer."""
        return not (self.future.done() or self._loop.is_closed())

    def answer(self, value: object) -> None:
        """Delivers the answer, from any thread."""
        self.tell(_settle, self.future, value)

    def fail(self, error: Exception) -> None:
        """Delivers an error, from any thread."""
        self.tell(_break, self.future, error)

    def tell(self, fn: Callable[..., object], *args: object) -> None:
        """Calls `fn` in the event loop that asked; does nothing when that loop has been closed."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(fn, *args)


class Batcher(Generic[Asked]):
    """Calls in, batches out."""

    def __init__(
        self, turn: Callable[[list[Call[Asked]]], bool], size: Callable[[Asked], int], *, full: int = 1 << 20
    ) -> None:
        """A batcher that starts its thread with the first call.

        Args:
            turn: called in the worker thread with the calls that are new, perhaps none; does some of the work and
                says whether more is left.
            size: rough cost of a call.
            full: cost of held-back calls at which they are handed over without waiting for an idle loop.
        """
        self._turn, self._size, self._full = turn, size, full
        self._held: list[Call[Asked]] = []
        self._held_size = 0
        self._quiet: dict[asyncio.AbstractEventLoop, int] = {}
        self._inbox: list[Call[Asked]] = []
        self._lock = threading.Lock()
        self._busy = False
        self._pool: ThreadPoolExecutor | None = None

    async def ask(self, asked: Asked) -> Any:
        """The answer to `asked`; raises what the worker raised for it."""
        loop = asyncio.get_running_loop()
        call = Call(asked, loop)
        with self._lock:
            self._held.append(call)
            self._held_size += self._size(asked)
        if self._held_size >= self._full:
            self._hand_over()
        elif loop in self._quiet:
            self._quiet[loop] = 0
        else:
            self._quiet[loop] = 0
            loop.call_soon(self._idle, loop)
        return await call.future

    def close(self) -> None:
        """Lets the worker finish what it has and ends its thread."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None

    def _idle(self, loop: asyncio.AbstractEventLoop) -> None:
        """Runs once a turn of the loop while calls are held back."""
        self._quiet[loop] += 1
        if self._held and self._quiet[loop] <= _QUIET_TURNS:
            loop.call_soon(self._idle, loop)
            return
        del self._quiet[loop]
        self._hand_over()

    def _hand_over(self) -> None:
        with self._lock:
            self._inbox += self._held
            start = bool(self._inbox) and not self._busy
            self._busy = self._busy or start
            self._held, self._held_size = [], 0
        if start:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="gnomon-model")
            self._pool.submit(self._work)

    def _work(self) -> None:
        """Runs in the worker thread until nothing is left to do."""
        under_way: list[Call[Asked]] = []
        more = False
        while True:
            with self._lock:
                new, self._inbox = self._inbox, []
                if not new and not more:
                    self._busy = False
                    return
            under_way = [c for c in under_way if c.waiting] + new if new else under_way
            try:
                more = self._turn(new)
            except Exception as e:
                more = False
                _fail_all(under_way, e)


def _fail_all(calls: Iterable[Call[Any]], error: Exception) -> None:
    for call in calls:
        call.fail(error)


def _settle(future: asyncio.Future[Any], value: object) -> None:
    if not future.done():
        future.set_result(value)


def _break(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
