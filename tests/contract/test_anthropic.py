"""The Anthropic client against a loopback server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gnomon.core.errors import AbilityError, ModelError, UsageError
from gnomon.models.anthropic import Anthropic
from gnomon.models.base import Ability, Message, Model, Sampling
from gnomon.models.http import Refused, Retry
from gnomon.models.probe import probe
from tests.servers import Faults, Responder, Scripted, Server, letters, says, serving

KEY = "sk-ant-very-secret"
ASK = [Message("system", "Be short."), Message("user", "Which?\n (A) one\n (B) two")]


async def _at_once(seconds: float) -> None:
    return None


def talk(
    responder: Responder,
    then: Callable[[Anthropic, Server], Awaitable[Any]],
    *,
    faults: Faults | None = None,
    probed: bool = True,
    **options: Any,
) -> Any:
    async def go() -> Any:
        async with serving(responder, faults=faults) as server:
            retry = Retry(attempts=2, pause=_at_once)
            model = Anthropic("planted", api_key=KEY, url=server.root, retry=retry, **options)
            try:
                if probed:
                    await probe(model)
                    server.calls.clear()
                return await then(model, server)
            finally:
                await model.close()

    return asyncio.run(go())


def test_it_is_a_model() -> None:
    assert isinstance(Anthropic("x", api_key=KEY), Model)


def test_the_body_is_what_the_api_wants() -> None:
    async def then(model: Anthropic, server: Server) -> None:
        how = Sampling(max_tokens=5, temperature=0.5, top_p=0.9, stop=("\n", "END"))
        await model.sample(ASK, how)
        (call,) = server.calls
        assert call.route == "/messages"
        assert call.body == {
            "model": "planted",
            "system": "Be short.",
            "messages": [{"role": "user", "content": ASK[1].content}],
            "max_tokens": 5,
            "temperature": 0.5,
            "top_p": 0.9,
            "stop_sequences": ["END"],
        }
        assert (call.headers["x-api-key"], call.headers["anthropic-version"]) == (KEY, "2023-06-01")
        await model.sample([Message("system", "x" * 4000), ASK[1]], Sampling())
        assert server.calls[-1].body["system"][0]["cache_control"] == {"type": "ephemeral"}
        assert "top_p" not in server.calls[-1].body

    talk(says("hm"), then)


def test_a_completion_tells_text_finish_and_tokens() -> None:
    async def then(model: Anthropic, server: Server) -> None:
        done = (await model.sample(ASK, Sampling(max_tokens=20)))[0]
        cut = (await model.sample(ASK, Sampling(max_tokens=2)))[0]
        split = (await model.sample(ASK, Sampling(stop=("\n",))))[0]
        assert (done.text, done.finish, done.num_tokens) == ("All is\nwell.", "stop", 5)
        assert (cut.text, cut.finish) == ("All is", "length")
        assert (split.text, split.finish) == ("All is", "stop"), "white space is cut here"
        assert (model.http.usage.prompt_tokens, model.http.usage.calls) == (7 * 5, 5), "two of them the probe's"

    talk(says("All is\nwell."), then)


def test_n_draws_are_n_calls_that_differ_and_are_kept() -> None:
    kept: dict[str, Any] = {}

    class Kept:
        get = staticmethod(kept.get)
        put = staticmethod(kept.__setitem__)

    async def then(model: Anthropic, server: Server) -> tuple[list[str], int]:
        model.http.cache = Kept
        return [c.text for c in await model.sample(ASK, Sampling(max_tokens=2, seed=3), 20)], len(server.calls)

    texts, calls = talk(letters(0.5, 0.5), then)
    assert calls == 20 and len(set(texts)) > 1
    assert talk(letters(0.5, 0.5), then) == (texts, 0)


def test_choose_samples_after_the_prefill_where_it_is_continued() -> None:
    async def then(model: Anthropic, server: Server) -> Any:
        choice = await model.choose([*ASK, Message("assistant", "The answer is")], (" (A)", " (B)"))
        assert server.calls[0].body["messages"][-1]["content"] == "The answer is ("
        return choice

    choice = talk(letters(0.8, 0.2), then, samples=200)
    assert (choice.readout, choice.n, choice.mass) == ("sampled", 200, 1.0)
    assert choice.p[0] == pytest.approx(0.8, abs=0.12)


def test_choose_reads_free_answers_where_it_is_not() -> None:
    async def then(model: Anthropic, server: Server) -> Any:
        assert model.can == {Ability.SAMPLE}
        return await model.choose(ASK, (" (A)", " (B)"))

    answers = ("(A)", "A.", " (A) because", "B)", "Arthur", "no idea")

    def following(text: str) -> dict[str, float]:
        return {"": 1.0} if text.endswith(answers) else dict.fromkeys(answers, 1 / 6)

    choice = talk(Scripted(following), then, faults=Faults(refuses_prefill=True), samples=600)
    assert choice.n == pytest.approx(400, abs=50) and choice.mass == pytest.approx(2 / 3, abs=0.08)
    assert choice.p == pytest.approx((0.75, 0.25), abs=0.08)


def test_a_stream_arrives_in_pieces_and_a_cut_one_is_an_error() -> None:
    async def then(model: Anthropic, server: Server) -> None:
        pieces: list[str] = []
        got = (await model.sample(ASK, Sampling(on_token=pieces.append)))[0]
        assert (pieces, got.text, got.num_tokens) == (["All", " is", " we", "ll."], "All is well.", 4)
        server.faults.cut_stream = 4
        with pytest.raises(ModelError, match="the stream was cut off, after part of the text was shown"):
            await model.sample(ASK, Sampling(on_token=pieces.append))

    talk(says("All is well."), then)


def test_what_the_api_lacks_is_refused() -> None:
    async def then(model: Anthropic, server: Server) -> None:
        for call, message in (
            (model.sample("Once", Sampling()), "continues no plain text"),
            (model.sample([*ASK, Message("assistant", "It is")], Sampling()), "needs PREFILL"),
            (model.score(ASK, "x"), "needs SCORE"),
            (model.reward(ASK), "needs REWARD"),
        ):
            with pytest.raises(AbilityError, match=message):
                await call
        assert server.calls == []

    talk(says("x"), then, probed=False)


def test_errors_name_the_variable_and_not_the_key() -> None:
    async def then(model: Anthropic, server: Server) -> None:
        assert KEY not in repr(model) + repr(vars(model))

    with pytest.raises(Refused, match=r"the key was refused .* ANTHROPIC_API_KEY") as caught:
        talk(says("x"), then, faults=Faults(key="other", leaks_key=True))
    assert KEY not in str(caught.value)
    with pytest.raises(ModelError, match="HTTP 529"):
        talk(says("x"), then, faults=Faults(statuses=[529, 529]))


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    model = Anthropic.named("anthropic:claude-x?samples=50")
    assert (model.http.model, model.samples, model.http.url) == ("claude-x", 50, "https://api.anthropic.com")
    with pytest.raises(UsageError, match="names no model; write anthropic:MODEL"):
        Anthropic.named("anthropic:")
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(UsageError, match="set the environment variable ANTHROPIC_API_KEY"):
        Anthropic.named("anthropic:claude-x")
