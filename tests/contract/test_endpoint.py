"""The OpenAI-compatible client against a server whose distribution is known."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gnomon.core.errors import AbilityError, ModelError, UsageError
from gnomon.models.base import Ability, Message, Model, Sampling
from gnomon.models.endpoint import Endpoint
from gnomon.models.http import Retry
from gnomon.models.probe import probe
from tests.servers import Backed, Faults, Responder, Scripted, Server, letters, says, serving

ASK = [Message("system", "Be short."), Message("user", "Which?\n (A) one\n (B) two")]
LETTERS = (" (A)", " (B)")


def talk(
    responder: Responder,
    then: Callable[[Endpoint, Server], Awaitable[Any]],
    *,
    faults: Faults | None = None,
    probed: bool = True,
    **options: Any,
) -> Any:
    async def go() -> Any:
        async with serving(responder, faults=faults) as server:
            model = Endpoint(server.url, "planted", retry=Retry(attempts=2, pause=_at_once), **options)
            try:
                if probed:
                    assert model.unproved
                    await probe(model)
                    assert not model.unproved
                    server.calls.clear()
                return await then(model, server)
            finally:
                await model.close()

    return asyncio.run(go())


async def _at_once(seconds: float) -> None:
    return None


def test_it_is_a_model() -> None:
    assert isinstance(Endpoint("http://127.0.0.1:1/v1", "x"), Model)


def test_text_goes_to_completions_and_messages_to_chat() -> None:
    async def then(model: Endpoint, server: Server) -> None:
        await model.sample("Once", Sampling(max_tokens=3, stop=("\n",), temperature=0.5, top_p=0.9, seed=7))
        await model.sample(ASK, Sampling(max_tokens=3))
        text, chat = server.calls
        assert text.route == "/completions" and text.body["prompt"] == "Once"
        limits = {"max_tokens": 3, "temperature": 0.5, "top_p": 0.9, "stop": ["\n"], "seed": 7}
        assert text.body == {"model": "planted", "prompt": "Once", **limits}
        assert chat.route == "/chat/completions"
        assert chat.body["messages"][0] == {"role": "system", "content": "Be short."}

    talk(letters(0.5, 0.5), then)


def test_a_completion_tells_text_finish_and_tokens() -> None:
    async def then(model: Endpoint, server: Server) -> None:
        done = (await model.sample("Q:", Sampling(max_tokens=20)))[0]
        cut = (await model.sample("Q:", Sampling(max_tokens=2)))[0]
        assert (done.text, done.finish, done.num_tokens) == ("All is well.", "stop", 4)
        assert (cut.text, cut.finish) == ("All is", "length")
        assert done.logprob is None and done.raw["model"] == "planted-1"

    talk(says("All is well."), then)


@pytest.mark.parametrize("ignores", [False, True])
@pytest.mark.parametrize("probed", [False, True])
def test_the_count_asked_for_comes_back_even_from_a_server_that_ignores_n(ignores: bool, probed: bool) -> None:
    async def then(model: Endpoint, server: Server) -> tuple[list[str], int]:
        return [c.text for c in await model.sample("Q", Sampling(max_tokens=3), 30)], len(server.calls)

    texts, calls = talk(letters(0.5, 0.5), then, faults=Faults(ignores_n=ignores), probed=probed)
    assert len(texts) == 30
    assert len(set(texts)) > 1, "the draws must differ"
    assert calls == (30 if ignores else 1)


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    async def then(model: Endpoint, server: Server) -> list[list[str]]:
        return [[c.text for c in await model.sample("Q", Sampling(max_tokens=4, seed=s), 12)] for s in (1, 1, 2)]

    a, b, c = talk(letters(0.5, 0.5), then)
    assert a == b != c


def test_a_prefill_is_continued_and_its_last_space_is_not_sent() -> None:
    async def then(model: Endpoint, server: Server) -> None:
        prompt = [*ASK, Message("assistant", "All ")]
        assert (await model.sample(prompt, Sampling(max_tokens=9)))[0].text == "is well (B)."
        assert server.calls[-1].body["messages"][-1]["content"] == "All"
        assert server.calls[-1].body["continue_final_message"] is True

    async def unproved(model: Endpoint, server: Server) -> None:
        with pytest.raises(AbilityError, match="needs PREFILL"):
            await model.sample([*ASK, Message("assistant", "All")], Sampling())

    script = _with_probe_answer(says("All is well (B)."))
    talk(script, then)
    talk(script, unproved, faults=Faults(forgets_prefill=True))


def test_a_stop_string_that_the_server_left_in_is_cut() -> None:
    async def then(model: Endpoint, server: Server) -> str:
        return (await model.sample("Q", Sampling(stop=(" well",))))[0].text

    assert talk(says("All is well."), then, faults=Faults(keeps_stop=True)) == "All is"


def test_tokens_arrive_one_after_the_other() -> None:
    async def then(model: Endpoint, server: Server) -> None:
        for prompt in ("Q", ASK):
            pieces: list[str] = []
            got = await model.sample(prompt, Sampling(on_token=pieces.append, max_tokens=20), 2)
            assert [c.text for c in got] == ["All is well."] * 2
            assert pieces[: len(pieces) // 2] == ["All", " is", " we", "ll."]
            assert got[0].num_tokens == 4

    talk(says("All is well."), then)


def test_a_score_is_the_log_probability_of_the_continuation_alone() -> None:
    async def then(model: Endpoint, server: Server) -> None:
        assert Ability.SCORE in model.can
        for prompt in ("Q:", ASK):
            score = await model.score(prompt, " (B)" if prompt == "Q:" else "(B)")
            assert score.logprobs == pytest.approx([math.log(p) for p in (0.8, 0.25, 0.9)])

    talk(letters(0.75, 0.25), then)


def test_a_token_across_the_end_of_the_prompt_counts_for_the_continuation() -> None:
    def following(text: str) -> dict[str, float]:
        return {" mill": 0.5, " man": 0.5} if text.endswith("the") else {" the": 0.9, ".": 0.1}

    async def then(model: Endpoint, server: Server) -> None:
        for prompt in ("near the ", [*ASK, Message("assistant", "near the ")]):
            assert (await model.score(prompt, "mill.")).logprobs == pytest.approx([math.log(0.5), math.log(0.1)])

    talk(_with_probe_answer(Scripted(following)), then)


@pytest.mark.parametrize("prompt", ["Which?", ASK], ids=["text", "chat"])
@pytest.mark.parametrize("readout", ["exact", "topk", "sampled"])
def test_each_readout_recovers_the_planted_probabilities(prompt: Any, readout: str) -> None:
    p = (0.6, 0.3, 0.1)

    async def then(model: Endpoint, server: Server) -> Any:
        return await model.choose(prompt, (" (A)", " (B)", " (C)"))

    choice = talk(letters(*p, noise=0.2), then, readout=readout, samples=400)
    assert choice.readout == readout and sum(choice.p) == pytest.approx(1.0)
    if readout == "sampled":
        assert choice.mass == pytest.approx(0.8, abs=0.08)
        assert choice.n == round(choice.mass * 400)
        assert choice.p == pytest.approx(p, abs=4 * math.sqrt(0.25 / choice.n))
    else:
        assert choice.p == pytest.approx(p)
        assert choice.low == choice.high == choice.p
        assert choice.mass == pytest.approx(0.8), "the bracket is forced and does not count"


def test_the_best_proved_readout_is_taken() -> None:
    async def then(model: Endpoint, server: Server) -> list[str]:
        return [(await model.choose(p, LETTERS)).readout for p in ("Which?", ASK)]

    script = letters(0.6, 0.4)
    assert talk(script, then) == ["exact", "exact"]
    assert talk(script, then, faults=Faults(no_echo=True)) == ["topk", "exact"]
    assert talk(script, then, faults=Faults(refuses_unknown=True)) == ["exact", "topk"]
    assert talk(script, then, faults=Faults(ignores_logprobs=True)) == ["sampled", "sampled"]
    assert talk(script, then, faults=Faults(null_logprobs=True)) == ["sampled", "sampled"]
    assert talk(script, then, faults=Faults(zero_logprobs=True)) == ["sampled", "exact"]
    assert talk(script, then, probed=False) == ["sampled", "sampled"]


def test_letters_that_the_server_hides_are_bounded() -> None:
    p = (0.55, 0.25, 0.12, 0.08)

    async def then(model: Endpoint, server: Server) -> Any:
        return await model.choose("Which?", tuple(f" ({x})" for x in "ABCD"))

    choice = talk(letters(*p), then, faults=Faults(most_top=2), readout="topk")
    assert all(lo <= q <= hi for lo, q, hi in zip(choice.low, p, choice.high, strict=True))
    assert choice.low[2] == choice.low[3] == 0.0
    assert choice.high[2] == pytest.approx(0.2 / (0.8 + 0.2)), "both hidden ones share what is not listed"
    assert choice.low[0] == pytest.approx(0.55)


def test_without_prefill_the_list_is_read_where_the_model_opens_the_bracket() -> None:
    async def then(model: Endpoint, server: Server) -> Any:
        assert Ability.PREFILL not in model.can
        return await model.choose(ASK, LETTERS)

    choice = talk(letters(0.7, 0.3), then, faults=Faults(refuses_prefill=True))
    assert (choice.readout, choice.p) == ("topk", pytest.approx((0.7, 0.3)))
    assert choice.mass == pytest.approx(0.8), "the model opens a bracket in 8 of 10 cases"


@pytest.mark.parametrize("fault", ["ignores_logprobs", "null_logprobs"])
@pytest.mark.parametrize("readout", ["exact", "topk"])
@pytest.mark.parametrize("prompt", ["Which?", ASK], ids=["text", "chat"])
def test_log_probabilities_that_vanish_after_the_probe_are_an_error_and_no_zeros(
    fault: str, readout: str, prompt: Any
) -> None:
    async def then(model: Endpoint, server: Server) -> None:
        setattr(server.faults, fault, True)
        with pytest.raises(ModelError, match=r"returned no .*log.?prob.*readout=sampled"):
            await model.choose(prompt, LETTERS)

    talk(letters(0.7, 0.3), then, readout=readout)


def test_a_readout_that_was_not_proved_is_refused() -> None:
    async def then(model: Endpoint, server: Server) -> None:
        with pytest.raises(AbilityError, match=r"not seen to offer SCORE for plain text.*readout=sampled"):
            await model.choose("Which?", LETTERS)
        with pytest.raises(AbilityError, match="not seen to offer SCORE for messages"):
            await model.score(ASK, " (A)")

    talk(letters(0.7, 0.3), then, faults=Faults(ignores_logprobs=True), readout="exact")


def test_nothing_is_read_from_samples_of_a_server_that_does_not_sample() -> None:
    async def then(model: Endpoint, server: Server) -> None:
        with pytest.raises(ModelError, match="one text to all seeds at temperature 1, so nothing can be read"):
            await model.choose("Which?", LETTERS)

    talk(letters(0.7, 0.3), then, faults=Faults(greedy=True, ignores_logprobs=True))


def test_words_and_tokens_that_merge_with_the_prompt_are_scored_whole() -> None:
    def following(text: str) -> dict[str, float]:
        return {" mill": 0.5, " man": 0.2, " rock": 0.3} if text.endswith("the") else {" the": 0.9, ".": 0.1}

    async def then(model: Endpoint, server: Server) -> None:
        spaced = await model.choose("near the", (" mill", " man"))
        merged = await model.choose("near the ", ("mill", "man"))
        assert spaced.p == pytest.approx((5 / 7, 2 / 7)) and spaced.mass == pytest.approx(0.7)
        assert merged.p == pytest.approx((5 / 7, 2 / 7))

    talk(Scripted(following), then)


def test_any_model_can_stand_behind_the_server() -> None:
    async def then(model: Endpoint, server: Server) -> None:
        assert Ability.SCORE not in model.can
        async with serving(Backed(model), model="relay") as relay:
            far = Endpoint(relay.url, "relay")
            await probe(far)
            choice = await far.choose("Which?", LETTERS)
            assert (choice.readout, choice.p) == ("topk", pytest.approx((0.7, 0.3)))
            await far.close()

    talk(letters(0.7, 0.3), then, faults=Faults(no_echo=True, refuses_unknown=True))


def test_rewards_and_tools_are_refused() -> None:
    async def then(model: Endpoint, server: Server) -> None:
        with pytest.raises(AbilityError, match="needs REWARD"):
            await model.reward("Q")
        with pytest.raises(AbilityError, match="needs TOOLS"):
            await model.sample("Q", Sampling(tools=({"name": "f"},)))

    talk(says("x"), then)


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    model = Endpoint.named("http://host:8000/v1#org/name?samples=100&readout=sampled")
    assert (model.http.url, model.http.model, model.samples) == ("http://host:8000/v1", "org/name", 100)
    assert (model.name, model.can) == ("http://host:8000/v1#org/name?samples=100&readout=sampled", {Ability.SAMPLE})
    assert Endpoint("http://host/v1/", "m").name == "http://host/v1#m"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert Endpoint.named("openai:gpt-x").http.url == "https://api.openai.com/v1"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("openai:gpt-x", "no key for api.openai.com; set the environment variable OPENAI_API_KEY"),
        ("http://host/v1", "'http://host/v1' names no model; write http://host:port/v1#MODEL or openai:MODEL"),
        ("http://host/v1#m?sample=3", "http://host/v1#m?sample=3: no option 'sample'; did you mean 'samples'?"),
        ("http://host/v1#m?samples=1", "http://host/v1#m?samples=1: samples=1 must be a whole number, 2 or more"),
        ("http://host/v1#m?readout=top", "no readout 'top'; did you mean 'topk'?"),
        (
            "http://me:pw@host/v1#m",
            "the URL of host holds more than host and path; give the bare URL; a key goes into an environment variable",
        ),
        ("ftp://host/v1#m", "'ftp://host/v1' is no URL of an endpoint; write http://host:port/v1 or https://host/v1"),
    ],
)
def test_names_that_make_no_sense(name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UsageError) as caught:
        Endpoint.named(name)
    assert str(caught.value) == message


def _with_probe_answer(script: Scripted) -> Scripted:
    """`script`, but the probe's prefill is answered with a letter."""
    base = script.following
    probed = {"answer is (": {"B": 1.0}, "answer is (B": {"": 1.0}}
    return Scripted(lambda so_far: next((p for end, p in probed.items() if so_far.endswith(end)), None) or base(so_far))
