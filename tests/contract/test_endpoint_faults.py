"""What servers do wrong: each ends in a good answer after retries, or in one clear line without the key in it."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any

import pytest

from gnomon.core.errors import ModelError
from gnomon.models.base import Message, Sampling
from gnomon.models.endpoint import Endpoint
from gnomon.models.http import Refused, Retry
from gnomon.models.probe import probe
from tests.servers import Faults, Server, letters, says, serving, serving_in_thread

KEY = "sk-very-secret"
ASK = [Message("user", "Which?")]
HOW = Sampling(max_tokens=20)


class Waits(list[float]):
    """Records waits instead of waiting."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


def meet(
    faults: Faults,
    then: Callable[[Endpoint, Server], Awaitable[Any]] | None = None,
    *,
    waits: Waits | None = None,
    **retry: Any,
) -> Any:
    async def ask(model: Endpoint, server: Server) -> str:
        return (await model.sample(ASK, HOW))[0].text

    async def go() -> Any:
        async with serving(says("All is well."), faults=faults) as server:
            options = {"attempts": 4, "timeout_s": 5.0, **retry}
            model = Endpoint(
                server.url, "planted", api_key=KEY, retry=Retry(pause=Waits() if waits is None else waits, **options)
            )
            try:
                return await (then or ask)(model, server)
            except ModelError as e:
                assert KEY not in repr(e) + str(e) + str(e.__dict__)
                e.args = (str(e).replace(server.url, "URL"),)
                raise
            finally:
                await model.close()

    return asyncio.run(go())


@pytest.mark.parametrize(
    "faults",
    [
        Faults(statuses=[500, 502, 503]),
        Faults(statuses=[429, (429, {"Retry-After": "2"}), 529]),
        Faults(cut_body=2),
        Faults(half_json=3),
        Faults(statuses=[408], cut_body=1, half_json=1),
    ],
    ids=["5xx", "429", "cut", "half", "mixed"],
)
def test_passing_troubles_are_outlasted(faults: Faults) -> None:
    async def then(model: Endpoint, server: Server) -> None:
        assert (await model.sample(ASK, HOW))[0].text == "All is well."
        assert model.http.usage.retries == len(server.calls) - 1 >= 2
        assert model.http.usage.calls == 1
        assert len({c.headers["Idempotency-Key"] for c in server.calls}) == 1

    meet(faults, then)


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        (Faults(statuses=[500] * 9), "HTTP 500: planned 500, after 4 attempts"),
        (Faults(statuses=[429] * 9), "HTTP 429: planned 429, after 4 attempts"),
        (Faults(cut_body=9), "the reply was cut off, after 4 attempts"),
        (Faults(half_json=9), "the reply is not whole JSON"),
    ],
)
def test_lasting_troubles_end_after_the_attempts(faults: Faults, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        meet(faults)
    assert str(caught.value).startswith(f"URL/chat/completions: {message}")
    assert str(caught.value).endswith(
        "see that the server runs and is not overloaded, then give the same command again to resume"
    )


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        (Faults(html=True), "answered with an HTML page, not JSON; check the URL; it often ends in /v1"),
        (
            Faults(key="other", leaks_key=True),
            "the key was refused (HTTP 401); put a valid key into the environment variable GNOMON_API_KEY",
        ),
        (Faults(statuses=[400]), "HTTP 400: planned 400; check the call against what the server supports"),
        (
            Faults(statuses=[422], leaks_key=True),
            "HTTP 422: planned 422 (key [key]); check the call against what the server supports",
        ),
        (
            Faults(statuses=[(307, {"Location": "http://127.0.0.1:1/"})]),
            "redirects elsewhere (HTTP 307): give the final URL",
        ),
        (Faults(error_200="no credit"), "HTTP 200: no credit; check the call against what the server supports"),
    ],
    ids=["html", "401", "400", "422", "307", "200"],
)
def test_what_cannot_be_outlasted_ends_at_once(faults: Faults, message: str) -> None:
    async def then(model: Endpoint, server: Server) -> None:
        try:
            await model.sample(ASK, HOW)
        finally:
            assert len(server.calls) == 1

    with pytest.raises(ModelError) as caught:
        meet(faults, then)
    assert str(caught.value) == f"URL/chat/completions: {message}".replace("): give", "); give")


def test_an_unknown_model_is_named() -> None:
    async def then(model: Endpoint, server: Server) -> None:
        model.http.model = "other"
        await model.sample("Q", HOW)

    with pytest.raises(
        Refused, match=r"no model 'other' or no such route \(HTTP 404: model other not found\)"
    ) as caught:
        meet(Faults(), then)
    assert caught.value.status == 404
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), again.status, again.what) == (Refused, 404, caught.value.what)


def test_a_dead_endpoint_is_given_up_with_its_url() -> None:
    async def go() -> None:
        async with serving(says("x")) as server:
            url = server.url
        model = Endpoint(url, "planted", retry=Retry(attempts=3, pause=Waits()))
        with pytest.raises(
            ModelError, match=r"cannot connect \(Connection refused\), after 3 attempts; see that the server runs"
        ) as caught:
            await model.sample("Q", HOW)
        assert caught.value.where == f"{url}/completions"
        assert model.http.usage.retries == 2
        await model.close()

    asyncio.run(go())


def test_a_server_that_hangs_is_given_up() -> None:
    with pytest.raises(ModelError, match=r"no answer within 0.05 s, after 2 attempts"):
        meet(Faults(hangs=True), attempts=2, timeout_s=0.05)


def test_waits_are_jittered_grow_and_honour_retry_after() -> None:
    waits = Waits()
    statuses: list[Any] = [500] * 8 + [(429, {"Retry-After": "7"}), (503, {"Retry-After": formatdate(usegmt=True)})]
    meet(Faults(statuses=statuses), waits=waits, attempts=12, base_s=1.0, cap_s=16.0)
    assert all(0.0 <= w < min(16.0, 2.0**k) for k, w in enumerate(waits[:8]))
    assert len(set(waits)) == 10, "full jitter draws each wait"
    assert 7.0 <= waits[8] < 8.0
    assert 0.0 <= waits[9] < 2.0, "a date that is now asks for no wait"


def test_a_wait_that_is_too_long_is_not_begun() -> None:
    waits = Waits()
    with pytest.raises(ModelError, match="HTTP 429: planned 429, after 1 attempts, and it asks to wait 3600 s"):
        meet(Faults(statuses=[(429, {"Retry-After": "3600"})]), waits=waits)
    assert waits == []


def test_total_waiting_is_bounded() -> None:
    waits = Waits()
    with pytest.raises(ModelError, match="HTTP 429"):
        meet(Faults(statuses=[(429, {"Retry-After": "40"})] * 9), waits=waits, total_s=100.0, attempts=9)
    assert len(waits) == 2 and sum(waits) < 100.0


def test_a_stream_that_is_cut_is_repeated_only_if_nothing_was_shown() -> None:
    pieces: list[str] = []

    async def then(model: Endpoint, server: Server) -> str:
        server.faults.cut_stream, how = 0, Sampling(max_tokens=20, on_token=pieces.append)

        async def repair(seconds: float) -> None:
            server.faults.cut_stream = None

        object.__setattr__(model.http.retry, "pause", repair)
        text = (await model.sample(ASK, how))[0].text
        server.faults.cut_stream = 2
        with pytest.raises(ModelError, match="the stream was cut off, after part of the text was shown"):
            await model.sample(ASK, how)
        return text

    assert meet(Faults(), then) == "All is well."
    assert "".join(pieces) == "All is well.All is"


def test_the_key_travels_in_one_header_and_comes_back_nowhere() -> None:
    async def then(model: Endpoint, server: Server) -> None:
        cache = dict[str, Any]()
        model.http.cache = Kept(cache)
        probed = await probe(model)
        got = await model.sample(ASK, HOW)
        got += await model.sample(ASK, Sampling(max_tokens=9, on_token=lambda piece: None))
        assert server.calls[0].headers["Authorization"] == f"Bearer {KEY}"
        said = [repr(model), repr(model.http), repr(got), repr(probed), json.dumps(cache), repr(vars(model))]
        assert not any(KEY in s for s in said)
        assert got[0].raw["model"] == "planted-1"

    meet(Faults(leaks_key=True, key=KEY), then)


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNOMON_API_KEY", KEY)
    with serving_in_thread(says("x"), faults=Faults(key=KEY)) as server:
        assert asyncio.run(_once(server.url)) == "x"
        monkeypatch.delenv("GNOMON_API_KEY")
        with pytest.raises(Refused, match=r"a key is needed \(HTTP 401\); put a valid key into .* GNOMON_API_KEY"):
            asyncio.run(_once(server.url))


def test_one_client_serves_loops_one_after_the_other() -> None:
    with serving_in_thread(says("x")) as server:
        model = Endpoint(server.url, "planted")

        async def ask() -> str:
            text = (await model.sample("Q", HOW))[0].text
            await model.close()
            return text

        assert [asyncio.run(ask()), asyncio.run(ask())] == ["x", "x"]


def test_the_server_is_not_flooded_and_overloads_halve_the_flow() -> None:
    async def then(model: Endpoint, server: Server) -> None:
        await asyncio.gather(*(model.sample(f"Q{i}", HOW) for i in range(200)))
        assert 16 < server.most_open <= 40
        room = model.http.num_slots
        server.faults.statuses = [429]
        await model.sample("again", HOW)
        assert model.http.num_slots < room * 0.6

    async def go() -> None:
        async with serving(letters(0.5, 0.5), faults=Faults(turns=50)) as server:
            model = Endpoint(server.url, "planted", max_connections=40, retry=Retry(pause=Waits()))
            await then(model, server)
            await model.close()

    asyncio.run(go())


class Kept:
    """A call cache in a dictionary."""

    def __init__(self, kept: dict[str, Any]) -> None:
        self.kept = kept

    def get(self, key: str) -> Any | None:
        return self.kept.get(key)

    def put(self, key: str, value: Any) -> None:
        self.kept[key] = value


def test_a_known_call_is_not_made_again() -> None:
    kept: dict[str, Any] = {}

    async def then(model: Endpoint, server: Server) -> Any:
        model.http.cache = Kept(kept)
        texts = [c.text for c in await model.sample("Q", Sampling(max_tokens=3, seed=1), 5)]
        choice = await model.choose(ASK, (" (A)", " (B)"))
        return texts, choice, len(server.calls), model.http.usage.cached

    def run() -> Any:
        async def go() -> Any:
            async with serving(letters(0.5, 0.5), faults=Faults(ignores_n=True)) as server:
                model = Endpoint(server.url, "planted")
                result = await then(model, server)
                await model.close()
                return result

        return asyncio.run(go())

    texts, choice, calls, cached = run()
    assert (calls, cached) == (5 + 20, 0) and len(set(texts)) > 1
    again, chosen, calls, cached = run()
    assert (again, chosen) == (texts, choice), "on another port the answers are known all the same"
    assert (calls, cached) == (0, 25)


@pytest.mark.parametrize("change", ["model", "revision", "prompt", "seed", "temperature", "draw"])
def test_another_call_is_no_known_call(change: str) -> None:
    async def then(model: Endpoint, server: Server) -> None:
        model.http.cache = Kept({})
        how = {"seed": 1, "temperature": 1.0}
        await model.sample("Q", Sampling(**how))
        if change in ("model", "revision"):
            setattr(model.http, change, "other")
            server.model = model.http.model
        elif change != "prompt":
            how[change] = 2 + (1 << 40)
        await model.sample(
            "Q2" if change == "prompt" else "Q",
            Sampling(**{k: how[k] for k in ("seed", "temperature")}),
            1 + (change == "draw"),
        )
        assert len(server.calls) > 1

    meet(Faults(ignores_n=True), then)


def test_a_stream_and_a_whole_reply_are_one_call() -> None:
    pieces: list[str] = []

    async def then(model: Endpoint, server: Server) -> None:
        model.http.cache = Kept({})
        await model.sample(ASK, HOW)
        await model.sample(ASK, Sampling(max_tokens=20, on_token=pieces.append))
        assert len(server.calls) == 1 and pieces == ["All is well."]

    meet(Faults(), then)


def test_failures_are_not_kept() -> None:
    kept: dict[str, Any] = {}

    async def then(model: Endpoint, server: Server) -> None:
        model.http.cache = Kept(kept)
        with pytest.raises(ModelError):
            await model.sample(ASK, HOW)

    meet(Faults(statuses=[500] * 4), then)
    meet(Faults(error_200="no"), then)
    assert kept == {}


async def _once(url: str) -> str:
    model = Endpoint(url, "planted")
    try:
        return (await model.sample("Q", HOW))[0].text
    finally:
        await model.close()
