"""What the probe proves, against servers whose abilities are known."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import pytest

from gnomon.core.errors import ModelError
from gnomon.models.base import Ability, Model
from gnomon.models.endpoint import Endpoint
from gnomon.models.http import Refused, Retry
from gnomon.models.probe import Probed, probe
from tests.servers import Faults, Responder, letters, says, serving

SAMPLE, PREFILL, TOPK, SCORE = Ability.SAMPLE, Ability.PREFILL, Ability.TOPK, Ability.SCORE
ALL = {SAMPLE, PREFILL, TOPK, SCORE}


def probed(faults: Faults, responder: Responder | None = None) -> tuple[Endpoint, Probed]:
    async def go() -> tuple[Endpoint, Probed]:
        async with serving(responder or letters(0.3, 0.7), faults=faults) as server:
            model = Endpoint(server.url, "planted", retry=Retry(attempts=1))
            try:
                return model, await probe(model)
            finally:
                await model.close()

    return asyncio.run(go())


@pytest.mark.parametrize(
    ("faults", "chat", "text"),
    [
        (Faults(), ALL, ALL),
        (Faults(no_text=True), ALL, set()),
        (Faults(no_chat=True), set(), ALL),
        (Faults(no_echo=True), ALL, ALL - {SCORE}),
        (Faults(fails_on=("prompt_logprobs", "echo")), ALL - {SCORE}, ALL - {SCORE}),
        (Faults(fails_on=("continue_final_message", "top_logprobs")), ALL - {TOPK, SCORE}, ALL),
        (Faults(refuses_unknown=True), ALL - {SCORE}, ALL),
        (Faults(refuses_prefill=True), {SAMPLE, TOPK}, ALL),
        (Faults(forgets_prefill=True), {SAMPLE, TOPK}, ALL),
        (Faults(refuses_top_over=0), {SAMPLE, PREFILL, SCORE}, {SAMPLE, PREFILL}),
        (Faults(ignores_logprobs=True), {SAMPLE, PREFILL}, {SAMPLE, PREFILL}),
        (Faults(null_logprobs=True), {SAMPLE, PREFILL}, {SAMPLE, PREFILL}),
        (Faults(zero_logprobs=True), {SAMPLE, PREFILL, SCORE}, {SAMPLE, PREFILL}),
    ],
    ids=lambda f: next((k for k, v in vars(f).items() if v), "none") if isinstance(f, Faults) else "",
)
def test_only_what_was_seen_is_claimed(faults: Faults, chat: set[Ability], text: set[Ability]) -> None:
    model, found = probed(faults)
    assert (model.offers.chat, model.offers.text) == (chat, text)
    assert model.can == ((chat | (text - {PREFILL})) if chat else text)
    assert found.abilities == tuple(sorted(a.value for a in model.can))


def test_the_transcript_says_what_was_asked_and_what_held() -> None:
    _, found = probed(Faults(null_logprobs=True, refuses_prefill=True))
    asked = {(s.asks, s.route): s.held for s in found.transcript}
    assert asked == {
        ("chat", "/chat/completions"): True,
        ("completions", "/completions"): True,
        ("prefill", "/chat/completions"): False,
        ("decide", "/decisions"): False,
        ("decide", "/systemone"): False,
        ("top 5", "/chat/completions"): False,
        ("top 5", "/completions"): False,
        ("score", "/completions"): False,
        ("n", "/chat/completions"): True,
    }
    refused = next(s for s in found.transcript if s.asks == "prefill")
    assert refused.body["messages"][-1] == {"role": "assistant", "content": "The answer is ("}
    assert "HTTP 400" in refused.reply and "does not support assistant message prefill" in refused.reply
    assert '"logprobs": null' in next(s for s in found.transcript if s.asks == "top 5").reply
    assert json.loads(json.dumps(dataclasses.asdict(found)))["revision"] == "planted-1"


def test_how_much_a_server_gives_is_learnt() -> None:
    model, _ = probed(Faults(refuses_top_over=5, ignores_n=True))
    assert (model.offers.num_top_chat, model.offers.num_top_text) == (5, 5)
    assert not model.offers.honours_n
    model, _ = probed(Faults(refuses_unknown=True))
    assert (model.offers.num_top_chat, model.offers.continues) == (20, {})
    assert model.revision == "planted-1"


@pytest.mark.parametrize("ignores_n", [False, True])
def test_a_server_that_does_not_sample_is_found_out(ignores_n: bool) -> None:
    model, found = probed(Faults(greedy=True, ignores_n=ignores_n))
    assert (model.offers.honours_n, model.offers.draws_differ) == (not ignores_n, False)
    assert [s.held for s in found.transcript if s.asks == "draws differ"] == [False] * 7 * ignores_n
    model, found = probed(Faults(ignores_n=ignores_n))
    assert (model.offers.honours_n, model.offers.draws_differ) == (not ignores_n, True)


def test_a_letter_that_comes_without_prefill_too_proves_nothing() -> None:
    model, _ = probed(Faults(forgets_prefill=True), says("B is it."))
    assert PREFILL not in model.can


def test_a_restated_answer_is_no_prefill() -> None:
    model, _ = probed(Faults(), says("The answer is (B)."))
    assert PREFILL in model.can, "it goes on with B"
    model, _ = probed(Faults(forgets_prefill=True), says("The answer is (B)."))
    assert PREFILL not in model.can
    model, _ = probed(Faults(), says("Paris."))
    assert PREFILL not in model.can


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        (
            Faults(no_chat=True, no_text=True),
            r"answers neither /chat/completions \(.*404.*\) nor /completions; check URL",
        ),
        (Faults(statuses=[500] * 9), "HTTP 500: planned 500, after 1 attempts; see"),
        (Faults(html=True), "answered with an HTML page"),
    ],
)
def test_a_server_that_answers_nothing_is_an_error(faults: Faults, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        probed(faults)


@pytest.mark.parametrize(("key", "left"), [("messages", "/completions"), ("prompt", "/chat/completions")])
def test_a_route_that_fails_whatever_it_is_asked_is_not_there(key: str, left: str) -> None:
    model, found = probed(Faults(fails_on=(key,)))
    assert {s.route for s in found.transcript if s.held} == {left}
    assert bool(model.offers.chat) == (key == "prompt") and bool(model.offers.text) == (key == "messages")


def test_an_overloaded_server_is_no_missing_ability() -> None:
    faults = Faults(fails_on=("top_logprobs",), fails_with=503)
    with pytest.raises(ModelError, match="HTTP 503"):
        probed(faults)


def test_a_refused_key_is_no_missing_ability() -> None:
    with pytest.raises(Refused, match="GNOMON_API_KEY"):
        probed(Faults(key="right"))


def test_the_probe_asks_the_server_and_not_the_cache() -> None:
    class Poisoned:
        def get(self, key: str) -> dict[str, object]:
            raise AssertionError("read")

        def put(self, key: str, value: object) -> None:
            raise AssertionError("written")

    async def go() -> None:
        async with serving(letters(0.5, 0.5)) as server:
            model = Endpoint(server.url, "planted", cache=Poisoned())
            await probe(model)
            assert len(server.calls) == 12
            await model.close()

    asyncio.run(go())


def test_other_models_know_what_they_can() -> None:
    class Known:
        name, revision, can = "known", "r", frozenset({SAMPLE})

        async def sample(self, prompt: object, how: object, n: int = 1) -> list[object]:
            raise AssertionError("asked")

        score = choose = reward = close = sample

    model = Known()
    assert isinstance(model, Model)
    assert asyncio.run(probe(model)) == Probed(abilities=("sample",), revision="r")
