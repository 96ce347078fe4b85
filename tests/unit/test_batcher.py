"""Calls in flight are answered together, off the event loop, and errors reach those who asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from gnomon.models.batcher import Batcher, Call


class Doubler:
    """A worker that doubles numbers and remembers which came together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()

    def turn(self, new: list[Call[int]]) -> bool:
        self.batches.append([c.asked for c in new])
        self.threads.add(threading.current_thread().name)
        for call in new:
            call.answer(2 * call.asked)
        return False


def batcher(turn: Callable[[list[Call[int]]], bool], full: int = 1 << 20) -> Batcher[int]:
    return Batcher(turn, lambda asked: 1, full=full)


def test_calls_of_many_tasks_make_one_batch_in_another_thread() -> None:
    worker = Doubler()
    b = batcher(worker.turn)

    async def one(i: int) -> int:
        await asyncio.sleep(0)  # a task that starts a turn of the loop later than its neighbour
        return int(await b.ask(i))

    async def go() -> list[int]:
        return list(await asyncio.gather(*(one(i) if i % 2 else b.ask(i) for i in range(50))))

    assert asyncio.run(go()) == [2 * i for i in range(50)]
    assert [sorted(batch) for batch in worker.batches] == [list(range(50))]
    assert threading.current_thread().name not in worker.threads
    b.close()


def test_a_full_batch_does_not_wait_for_an_idle_loop() -> None:
    worker = Doubler()
    b = batcher(worker.turn, full=10)

    async def go() -> None:
        await asyncio.gather(*(b.ask(i) for i in range(25)))

    asyncio.run(go())
    assert sum(map(len, worker.batches)) == 25 and max(map(len, worker.batches)) >= 10
    assert len(worker.batches) > 1


def test_the_loop_runs_on_while_the_worker_works_and_late_calls_make_the_next_batch() -> None:
    released = threading.Event()
    batches: list[list[int]] = []

    def turn(new: list[Call[int]]) -> bool:
        batches.append([c.asked for c in new])
        if len(batches) == 1:
            assert released.wait(10)
        for call in new:
            call.answer(call.asked)
        return False

    b = batcher(turn)

    async def go() -> None:
        first = asyncio.ensure_future(b.ask(1))
        while not batches:
            await asyncio.sleep(0)
        later = [asyncio.ensure_future(b.ask(i)) for i in (2, 3)]
        for _ in range(9):
            await asyncio.sleep(0)
        released.set()
        await asyncio.gather(first, *later)

    asyncio.run(go())
    assert batches == [[1], [2, 3]]


def test_the_worker_is_called_again_while_it_says_that_more_is_left() -> None:
    held: list[Call[int]] = []

    def turn(new: list[Call[int]]) -> bool:
        held.extend(new)
        if new:
            return True
        held.pop().answer(0)
        return bool(held)

    async def go() -> list[int]:
        b = batcher(turn)
        return list(await asyncio.gather(*(b.ask(i) for i in range(3))))

    assert asyncio.run(go()) == [0, 0, 0]


def test_what_the_worker_raises_reaches_every_caller_and_ends_nothing() -> None:
    broken = [True]

    def turn(new: list[Call[int]]) -> bool:
        if broken.pop() if broken else False:
            raise RuntimeError("out of memory")
        for call in new:
            call.answer(call.asked)
        return False

    async def go() -> None:
        b = batcher(turn)
        failed = await asyncio.gather(b.ask(1), b.ask(2), return_exceptions=True)
        assert [str(e) for e in failed] == ["out of memory"] * 2
        assert await b.ask(3) == 3

    asyncio.run(go())


def test_an_error_after_the_first_turn_reaches_calls_that_still_wait() -> None:
    def turn(new: list[Call[int]]) -> bool:
        if new:
            new[0].answer(7)
            return True
        raise RuntimeError("later")

    async def go() -> None:
        b = batcher(turn)
        good, bad = await asyncio.gather(b.ask(1), b.ask(2), return_exceptions=True)
        assert good == 7 and str(bad) == "later"

    asyncio.run(go())


def test_one_batcher_serves_one_event_loop_after_another() -> None:
    b = batcher(Doubler().turn)
    assert [asyncio.run(_ask(b, i)) for i in range(3)] == [0, 2, 4]


def test_a_cancelled_call_is_not_waited_for() -> None:
    released, waiting = threading.Event(), []

    def turn(new: list[Call[int]]) -> bool:
        released.wait(10)
        waiting.extend(c.waiting for c in new)
        for call in new:
            call.answer(call.asked)
        return False

    async def go() -> int:
        b = batcher(turn)
        task, other = asyncio.ensure_future(b.ask(1)), asyncio.ensure_future(b.ask(2))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0)
        released.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        return int(await other)

    assert asyncio.run(go()) == 2
    assert waiting == [False, True]


async def _ask(b: Batcher[int], i: int) -> int:
    return int(await b.ask(i))
