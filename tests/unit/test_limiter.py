"""The adaptive bound on calls in flight."""

from __future__ import annotations

import asyncio

from gnomon.models.limiter import Limiter


def test_it_starts_slowly_doubles_and_stops_at_the_most() -> None:
    limiter = Limiter(64, start=4)
    seen = []
    for _ in range(6):
        seen.append(int(limiter.limit))
        for _ in range(int(limiter.limit)):
            limiter.succeeded()
    assert seen == [4, 8, 16, 32, 64, 64]


def test_one_overload_halves_however_many_calls_met_it() -> None:
    limiter = Limiter(64, start=40)
    for _ in range(10):
        limiter.overloaded(since=0)
    assert limiter.limit == 20
    limiter.overloaded(since=1)
    assert limiter.limit == 10
    for _ in range(10):
        limiter.succeeded()
    assert 10.9 < limiter.limit < 11.0, "one slot a window from now on"
    for k in range(2, 20):
        limiter.overloaded(since=k)
    assert limiter.limit == 1.0


def test_no_more_than_the_limit_run_and_all_get_their_turn() -> None:
    async def go() -> tuple[int, int]:
        limiter, most, done = Limiter(3, start=3), 0, 0

        async def call() -> None:
            nonlocal most, done
            await limiter.acquire()
            most = max(most, limiter.active)
            await asyncio.sleep(0)
            limiter.release()
            done += 1

        await asyncio.gather(*(call() for _ in range(50)))
        return most, done

    assert asyncio.run(go()) == (3, 50)


def test_a_cancelled_waiter_passes_its_turn_on() -> None:
    async def go() -> bool:
        limiter = Limiter(1, start=1)
        await limiter.acquire()
        first, second = (asyncio.ensure_future(limiter.acquire()) for _ in range(2))
        await asyncio.sleep(0)
        limiter.release()
        first.cancel()
        await asyncio.wait_for(second, 1.0)
        return first.cancelled()

    assert asyncio.run(go())
