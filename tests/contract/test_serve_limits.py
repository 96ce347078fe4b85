"""Who may ask `gnomon serve`, how much at once, what happens when a client leaves, and how it ends."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from faults import fails

from gnomon.core.errors import UsageError
from gnomon.models.base import Sampling
from gnomon.models.load import load
from gnomon.serve.app import Limits, Service
from gnomon.serve.asked import Given
from gnomon.serve.running import check_host, listening, speaker_of
from gnomon.serve.speaker import Piece, Said

BODY = {"model": "slow", "prompt": "p", "max_tokens": 3}


class Slow:
    """A model that answers when it is told to."""

    revision, limit = "", 100

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.begun = asyncio.Semaphore(0)
        self.under_way = self.most = self.dropped = 0
        self.fails = False

    def count(self, prompt: Given) -> int:
        return 1

    async def draw(
        self, prompt: Given, how: Sampling, n: int, num_top: int | None, *, whole: bool = False
    ) -> list[Said]:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.begun.release()
        if how.on_token is not None:
            how.on_token("on")
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.dropped += 1
            raise
        finally:
            self.under_way -= 1
        if self.fails:
            raise RuntimeError("secret reason")
        return [Said("one", "stop", 2)] * n

    async def read(self, prompt: Given, num_top: int) -> list[Piece]:
        raise RuntimeError("secret reason")

    async def text(self, prompt: Given) -> str:
        return "p"


def serving(then: Callable[[Slow, str, aiohttp.ClientSession], Awaitable[None]], **how: Any) -> None:
    async def go() -> None:
        slow = Slow()
        async with aiohttp.ClientSession() as session, listening(Service(slow, "slow", **how)) as url:
            await then(slow, f"{url}/v1/completions", session)

    asyncio.run(asyncio.wait_for(go(), 60))


async def status_of(reply: Any) -> int:
    async with reply as found:
        await found.read()
        return int(found.status)


async def refusal_of(reply: Any) -> tuple[int, str, str]:
    async with reply as found:
        error = (await found.json()).get("error", {})
        return found.status, found.headers.get("Retry-After", ""), error.get("type", "")


def test_two_hundred_at_once_are_all_answered_together() -> None:
    model: Any = load("brook")

    async def go() -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with (
            listening(Service(speaker_of(model), "brook")) as url,
            aiohttp.ClientSession(connector=connector) as session,
        ):

            async def one(seed: int) -> str:
                body = {"model": "brook", "prompt": "Question:", "max_tokens": 2, "seed": seed}
                async with session.post(f"{url}/v1/completions", json=body) as reply:
                    assert reply.status == 200
                    return str((await reply.json())["choices"][0]["text"])

            together = await asyncio.gather(*(one(seed) for seed in range(200)))
            assert together[:3] == [await one(seed) for seed in range(3)] and len(set(together)) > 2
        await model.close()

    asyncio.run(go())


def test_beyond_the_queue_clients_are_told_to_come_back() -> None:
    async def then(slow: Slow, url: str, session: aiohttp.ClientSession) -> None:
        inside = [asyncio.ensure_future(status_of(session.post(url, json=BODY))) for _ in range(2)]
        await slow.begun.acquire()
        await slow.begun.acquire()
        # One of these waits, the other is turned away.
        more = [asyncio.ensure_future(refusal_of(session.post(url, json=BODY))) for _ in range(2)]
        [turned_away], _ = await asyncio.wait(more, return_when=asyncio.FIRST_COMPLETED)
        assert turned_away.result() == (429, "1", "rate_limit_error")
        slow.release.set()
        assert await asyncio.gather(*inside) == [200, 200]
        assert sorted(status for status, _, _ in await asyncio.gather(*more)) == [200, 429]
        assert slow.most == 2

    serving(then, limits=Limits(parallel=2, queue=1))


@pytest.mark.parametrize("stream", [False, True])
def test_nothing_is_drawn_for_a_client_that_left(stream: bool) -> None:
    async def then(slow: Slow, url: str, session: aiohttp.ClientSession) -> None:
        async with aiohttp.ClientSession() as leaving:
            asking = asyncio.ensure_future(status_of(leaving.post(url, json={**BODY, "stream": stream})))
            await slow.begun.acquire()
            asking.cancel()
        while not slow.dropped:
            await asyncio.sleep(0)
        slow.release.set()
        assert await status_of(session.post(url, json=BODY)) == 200, "its place is free again"

    serving(then, limits=Limits(parallel=1, queue=0))


def test_what_fails_inside_is_a_reply_and_after_the_first_word_an_event(caplog: pytest.LogCaptureFixture) -> None:
    async def then(slow: Slow, url: str, session: aiohttp.ClientSession) -> None:
        body = {**BODY, "echo": True, "logprobs": 1}
        async with session.post(url, json=body) as reply:
            error = (await reply.json())["error"]
            assert (reply.status, error["type"]) == (500, "server_error") and "secret" not in error["message"]
        async with session.post(url, json={**BODY, "stream": True}) as reply:
            assert b'"on"' in await reply.content.readuntil(b"\n\n")
            slow.fails = True
            slow.release.set()
            [last] = [line for line in (await reply.read()).decode().split("\n\n") if line]
            error = json.loads(last.removeprefix("data: "))["error"]
            assert error["type"] == "server_error" and "secret" not in error["message"]

    with caplog.at_level(logging.CRITICAL, "gnomon.serve"):
        serving(then)


def test_requests_in_flight_are_answered_before_the_end_and_none_after() -> None:
    async def go() -> None:
        slow, service = Slow(), None
        service = Service(slow, "slow")
        opened = listening(service)
        url = f"{await opened.__aenter__()}/v1/completions"
        async with aiohttp.ClientSession() as session:
            answer = asyncio.ensure_future(status_of(session.post(url, json=BODY)))
            await slow.begun.acquire()
            closing = asyncio.ensure_future(opened.__aexit__(None, None, None))
            while not service.gate.closing:
                await asyncio.sleep(0)
            with pytest.raises(aiohttp.ClientConnectionError):
                await status_of(session.post(url, json=BODY))
            assert not answer.done() and not closing.done()
            slow.release.set()
            assert await answer == 200
            await closing

    asyncio.run(asyncio.wait_for(go(), 60))


def test_a_token_is_wanted_and_never_told(caplog: pytest.LogCaptureFixture) -> None:
    async def then(slow: Slow, url: str, session: aiohttp.ClientSession) -> None:
        slow.release.set()
        for sent, status in ((None, 401), ("wrong", 401), ("s3cret-täken", 200)):
            headers = {} if sent is None else {"Authorization": f"Bearer {sent}"}
            async with session.post(url, json=BODY, headers=headers) as reply:
                assert reply.status == status
                assert "s3cret" not in await reply.text()
        assert await status_of(session.get(url.replace("completions", "models"))) == 401
        assert await status_of(session.get(url.replace("v1/completions", "health"))) == 200
        # With a token it may go by any name.
        headers = {"Host": "models.example", "Authorization": "Bearer s3cret-täken"}
        assert await status_of(session.post(url, json=BODY, headers=headers)) == 200

    with caplog.at_level(logging.DEBUG):
        serving(then, token="s3cret-täken")
    assert "s3cret" not in caplog.text


def test_without_a_token_a_page_cannot_reach_it_under_another_name() -> None:
    async def then(slow: Slow, url: str, session: aiohttp.ClientSession) -> None:
        slow.release.set()
        assert await status_of(session.post(url, json=BODY, headers={"Host": "localhost:1"})) == 200
        assert await status_of(session.post(url, json=BODY, headers={"Host": "evil.example"})) == 403

    serving(then)


def test_commands_that_make_no_sense(capsys: pytest.CaptureFixture[str]) -> None:
    fails(capsys, 2, ["serve", "brook", "--host", "0.0.0.0"], "opens the model to others", "--token")
    fails(capsys, 2, ["serve", "brook", "--parallel", "0"], "--parallel is 0; give at least 1")
    fails(capsys, 2, ["serve", "brook", "--port", "70000"], "give at most 65535")
    fails(capsys, 2, ["serve", "brook", "--data", "brook"], "--data is for planted models")
    fails(capsys, 2, ["serve", "http://127.0.0.1:1/v1#x"], "is on another server already")
    check_host("localhost", "")
    check_host("0.0.0.0", "token")
    with pytest.raises(UsageError):
        check_host("192.168.0.1", "")


def test_a_planted_model_answers_what_it_was_shown() -> None:
    from gnomon.core.seeds import Seed
    from gnomon.data.sources import open_items

    model: Any = load("planted:calibrated")
    [item, *_] = items = open_items(["synthetic"], "choice", 5, Seed(0)).items
    model.bind(items)
    listed = "".join(f" ({letter}) {text}\n" for letter, text in zip("ABCDEFGHIJ", item.choices, strict=False))
    prompt = f"Question: {item.question}\nChoices:\n{listed}Answer: ("

    async def go() -> None:
        async with listening(Service(speaker_of(model), "planted")) as url, aiohttp.ClientSession() as session:
            body = {"model": "planted", "prompt": prompt, "logprobs": 10, "max_tokens": 1, "temperature": 0}
            async with session.post(f"{url}/v1/completions", json=body) as reply:
                told = (await reply.json())["choices"][0]["logprobs"]
            letters = list("ABCDEFGHIJ"[: len(item.choices)])
            choice = await model.choose(prompt, letters)
            assert {x: pytest.approx(p * choice.mass) for x, p in zip(letters, choice.p, strict=True)} == {
                x: 2.718281828459045**lp for x, lp in told["top_logprobs"][0].items()
            }
            async with session.post(f"{url}/v1/completions", json={**body, "prompt": "What?"}) as reply:
                assert reply.status == 400

    asyncio.run(go())


def test_a_signal_ends_it_when_what_is_in_flight_is_answered() -> None:
    command = [sys.executable, "-m", "gnomon", "serve", "brook", "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"}
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()

        async def go() -> str:
            body = {"model": "brook", "prompt": "Question:", "max_tokens": 900, "seed": 1, "stream": True}
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"{url}/v1/completions", json=body) as reply,
            ):
                await reply.content.readuntil(b"\n\n")
                process.send_signal(signal.SIGTERM)
                return (await reply.read()).decode()

        told = asyncio.run(go())
        assert told.rstrip().endswith("data: [DONE]") and json.loads(told.split("\n\n")[-3][6:])["choices"]
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out) == (0, "") and err.count("\n") == 1 and "Ctrl-C stops" in err
