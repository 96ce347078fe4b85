"""`gnomon serve` from the outside: the numbers of the process behind it, in OpenAI's shapes, and what is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from faults import tiny, wordy

from gnomon.models.base import Ability, Message, Sampling
from gnomon.models.endpoint import Endpoint
from gnomon.models.load import load, load_checkpoint
from gnomon.models.local import LocalModel
from gnomon.models.probe import probe
from gnomon.serve.app import Limits, Service
from gnomon.serve.running import listening, speaker_of
from tests.contract.parity import made_folder

NAME = "made"
ASK = "Question: Where is the kettle of house 7?\nChoices:\n (A) on the roof\n (B) by the mill\nAnswer: ("
CHAT = [{"role": "user", "content": "Where is the kettle?"}]
Post = Callable[..., Awaitable[tuple[int, Any]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_folder(tmp_path_factory.mktemp("made") / "model")


def serving(folder: Path, then: Callable[[LocalModel, str, Post], Awaitable[Any]], **how: Any) -> Any:
    """Runs `then` with a model, the address of a server over it, and what posts a body to one of its routes."""

    async def go() -> Any:
        model = load_checkpoint(folder)
        async with listening(Service(speaker_of(model), NAME, **how)) as url, aiohttp.ClientSession() as session:

            async def post(route: str, body: Any = None, **fields: Any) -> tuple[int, Any]:
                data = body if isinstance(body, bytes) else json.dumps({"model": NAME, **fields}).encode()
                async with session.post(f"{url}/v1/{route}", data=data) as reply:
                    text = await reply.text()
                    return reply.status, text if fields.get("stream") else json.loads(text)

            try:
                return await then(model, url, post)
            finally:
                await model.close()

    return asyncio.run(go())


def test_our_client_gives_the_numbers_of_the_process(folder: Path) -> None:
    """Log-probabilities to 1e-6, texts to the letter, sampled ones too."""
    messages = [Message("system", "Be short."), Message("user", "Where is the kettle?")]
    letters, texts = ["A", "B"], [" on the roof", " by the mill", " in a tin box"]

    async def then(model: LocalModel, url: str, post: Post) -> None:
        far = Endpoint(f"{url}/v1", NAME)
        try:
            await probe(far)
            assert far.offers.text >= {Ability.SAMPLE, Ability.PREFILL, Ability.TOPK, Ability.SCORE}
            assert far.offers.chat >= {Ability.SAMPLE, Ability.TOPK} and far.offers.num_top_chat == 20
            assert far.offers.honours_n and far.offers.draws_differ and model.revision in far.revision
            for text in texts:
                near = await model.score(ASK[:-2], text)
                assert (await far.score(ASK[:-2], text)).logprobs == pytest.approx(near.logprobs, abs=1e-6)
            for prompt, options in ((ASK, letters), (ASK[:-2], texts)):
                near_choice, choice = await model.choose(prompt, options), await far.choose(prompt, options)
                assert (choice.readout, near_choice.readout) == ("exact", "exact")
                assert choice.p == pytest.approx(near_choice.p, abs=1e-6)
                assert choice.mass == pytest.approx(near_choice.mass, abs=1e-6)
            for prompt in (ASK, messages):
                for how in (Sampling(temperature=0.0, max_tokens=20), Sampling(seed=7, max_tokens=9, stop=("e",))):
                    here, there = await model.sample(prompt, how, 3), await far.sample(prompt, how, 3)
                    assert [(c.text, c.finish) for c in here] == [(c.text, c.finish) for c in there]
        finally:
            await far.close()

    serving(folder, then)


def test_top_k_lists_are_read_as_the_exact_choice(folder: Path) -> None:
    """Twenty tokens of three hundred hide letters, so bounds are what is exact."""

    async def then(model: LocalModel, url: str, post: Post) -> None:
        far = Endpoint(f"{url}/v1", NAME, readout="topk")
        try:
            await probe(far)
            near, choice = await model.choose(ASK, ["A", "B"]), await far.choose(ASK, ["A", "B"])
            assert choice.readout == "topk"
            assert all(
                low - 1e-6 <= p <= high + 1e-6 for low, p, high in zip(choice.low, near.p, choice.high, strict=True)
            )
        finally:
            await far.close()

    serving(folder, then)


def test_echo_and_token_ids_and_prompt_logprobs_tell_one_story(folder: Path) -> None:
    async def then(model: LocalModel, url: str, post: Post) -> None:
        ids = model.tokenizer.encode(ASK)
        body = {"echo": True, "logprobs": 2, "max_tokens": 2, "temperature": 0}
        (_, by_text), (_, by_ids) = (
            await post("completions", prompt=ASK, **body),
            await post("completions", prompt=ids, **body),
        )
        [choice], [other] = by_text["choices"], by_ids["choices"]
        assert choice == other and by_text["usage"] == by_ids["usage"]
        told = choice["logprobs"]
        assert "".join(told["tokens"]) == choice["text"] and choice["text"].startswith(ASK)
        assert [choice["text"][at:].startswith(t) for at, t in zip(told["text_offset"], told["tokens"], strict=True)]
        places = await model.listed(model.tokenizer.encode(choice["text"]), 1)
        assert told["token_logprobs"][0] is told["top_logprobs"][0] is None
        assert told["token_logprobs"][1:] == pytest.approx([p.logprob for p in places], abs=1e-6)
        # lm-eval calls a token the greedy one where its number is the list's largest.
        assert told["token_logprobs"][-1] == max(told["top_logprobs"][-1].values())
        assert by_text["usage"] == {"prompt_tokens": len(ids), "completion_tokens": 2, "total_tokens": len(ids) + 2}

        begun = [*CHAT, {"role": "assistant", "content": "by the mill"}]
        _, reply = await post("chat/completions", messages=begun, max_tokens=1, prompt_logprobs=0, n=2)
        score = await model.score([Message(**CHAT[0]), Message("assistant", "by the")], " mill")
        tail = [next(iter(e.values())) for e in reply["prompt_logprobs"][1:]][-len(score.logprobs) :]
        assert [entry["logprob"] for entry in tail] == pytest.approx(score.logprobs, abs=1e-6)
        assert "".join(entry["decoded_token"] for entry in tail) == " mill" and len(reply["choices"]) == 2

    serving(folder, then)


def test_many_prompts_are_answered_in_order(folder: Path) -> None:
    async def then(model: LocalModel, url: str, post: Post) -> None:
        how = {"max_tokens": 4, "seed": 3, "n": 2}
        _, both = await post("completions", prompt=[ASK, "Where"], **how)
        singles = [(await post("completions", prompt=p, **how))[1] for p in (ASK, "Where")]
        assert [c["text"] for c in both["choices"]] == [c["text"] for one in singles for c in one["choices"]]
        assert [c["index"] for c in both["choices"]] == [0, 1, 2, 3]

    serving(folder, then)


@pytest.mark.parametrize("extra", [{}, {"n": 2}, {"logprobs": True, "top_logprobs": 2}], ids=["live", "n", "logprobs"])
def test_a_stream_spells_the_whole_reply(folder: Path, extra: dict[str, Any]) -> None:
    async def then(model: LocalModel, url: str, post: Post) -> None:
        body = {"messages": CHAT, "max_tokens": 12, "seed": 5, **extra}
        _, whole = await post("chat/completions", **body)
        _, text = await post("chat/completions", **body, stream=True, stream_options={"include_usage": True})
        lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
        assert lines[-1] == "[DONE]"
        events = [json.loads(line) for line in lines[:-1]]
        assert {e["object"] for e in events} == {"chat.completion.chunk"} and len({e["id"] for e in events}) == 1
        assert (events[-1]["choices"], events[-1]["usage"]) == ([], whole["usage"])
        for choice in whole["choices"]:
            parts = [c for e in events for c in e["choices"] if c["index"] == choice["index"]]
            assert parts[0]["delta"]["role"] == "assistant" and (len(parts) > 3 or "n" in extra)
            assert "".join(p["delta"].get("content", "") for p in parts) == choice["message"]["content"]
            assert [p["finish_reason"] for p in parts if p["finish_reason"]] == [choice["finish_reason"]]
            told = [entry for p in parts if p["logprobs"] for entry in p["logprobs"]["content"]]
            assert told == (choice["logprobs"]["content"] if choice["logprobs"] else [])

    serving(folder, then)


REFUSED = [
    ("chat/completions", {}, 400, "the body has no messages", "messages"),
    ("chat/completions", {"messages": []}, 400, "messages is []; give a list of one message or more", "messages"),
    ("chat/completions", {"messages": [{"role": "tool", "content": "x"}]}, 400, "role 'tool'", "messages[0].role"),
    ("chat/completions", {"messages": CHAT, "tools": [{}]}, 400, "tools is not supported", "tools"),
    ("chat/completions", {"messages": CHAT, "logit_bias": {"5": 1}}, 400, "logit_bias is not supported", "logit_bias"),
    ("chat/completions", {"messages": CHAT, "presence_penalty": 0.5}, 400, "not supported", "presence_penalty"),
    ("chat/completions", {"messages": CHAT, "best_friend": 1}, 400, "unknown parameter 'best_friend'", "best_friend"),
    ("chat/completions", {"messages": CHAT, "top_logprobs": 3}, 400, "needs logprobs", "top_logprobs"),
    ("chat/completions", {"messages": CHAT, "temperature": "hot"}, 400, "temperature is 'hot'", "temperature"),
    ("chat/completions", {"messages": CHAT, "n": 0}, 400, "n is 0; give 1 to 128", "n"),
    ("chat/completions", {"messages": CHAT, "continue_final_message": True}, 400, "last", "continue_final_message"),
    ("chat/completions", {"messages": CHAT, "stream_options": {"x": 1}}, 400, "needs stream", "stream_options"),
    ("chat/completions", {"messages": CHAT, "max_tokens": 3000}, 400, "2048 allowed", "messages"),
    ("completions", {"prompt": ASK, "max_tokens": 0}, 400, "only with echo", "max_tokens"),
    ("completions", {"prompt": ASK, "top_p": 0}, 400, "top_p is 0", "top_p"),
    ("completions", {"prompt": ASK, "stop": [""]}, 400, "stop is ['']", "stop"),
    ("completions", {"prompt": [99999]}, 400, "token 99999 is not among the model's", "prompt"),
    ("completions", {"prompt": "a " * 3000, "max_tokens": 5}, 400, "tokens are wanted", "prompt"),
    ("completions", {"prompt": ASK, "model": "other"}, 404, "no model 'other' here; this server has 'made'", "model"),
    ("embeddings", {"input": "x"}, 404, "POST /v1/embeddings: Not Found", None),
]  # fmt: skip


def test_what_cannot_be_answered_is_refused_by_name(folder: Path) -> None:
    async def then(model: LocalModel, url: str, post: Post) -> None:
        for route, fields, status, message, param in REFUSED:
            found, reply = await post(route, **fields)
            assert (found, reply["error"]["param"]) == (status, param), (fields, reply)
            assert message in reply["error"]["message"] and reply["error"]["type"] == "invalid_request_error", reply
        for body, message in (
            (b"{", "not valid JSON"),
            (b"\xff", "not valid JSON"),
            (b"[]", "no JSON object"),
            (b"[" * 3000 + b"]" * 3000, "nested too deep"),
            (b'{"prompt": ' + b"[" * 100 + b"]" * 100 + b"}", "nested more than 64 deep"),
            (b'{"prompt": "\\ud800"}', "half of a surrogate pair"),
        ):
            found, reply = await post("completions", body)
            assert found == 400 and message in reply["error"]["message"]
        found, reply = await post("completions", b" " * 8001)
        assert found == 413 and "larger than 8000 bytes" in reply["error"]["message"]
        async with aiohttp.ClientSession() as session, session.get(f"{url}/v1/completions") as answer:
            assert answer.status == 405 and answer.headers["Allow"] == "POST"

    serving(folder, then, limits=Limits(body_bytes=8000))


def test_models_are_listed(folder: Path) -> None:
    async def then(model: LocalModel, url: str, post: Post) -> None:
        async with aiohttp.ClientSession() as session:

            async def get(path: str) -> tuple[int, Any]:
                async with session.get(f"{url}{path}") as reply:
                    return reply.status, await reply.json()

            status, listed = await get("/v1/models")
            [entry] = listed["data"]
            assert (status, entry["id"], entry["max_model_len"]) == (200, NAME, 2048)
            assert await get(f"/v1/models/{NAME}") == (200, entry)
            assert (await get("/v1/models/other"))[0] == 404
            assert await get("/health") == (200, {"status": "ok"})
            # Replies name the weights; who asks for exactly those gets them.
            answering = (await post("completions", prompt=ASK, max_tokens=1))[1]["model"]
            assert answering == f"{NAME}@{model.revision}"
            assert (await post("completions", prompt=ASK, max_tokens=1, model=answering))[0] == 200

    serving(folder, then)


def test_an_unknown_word_is_refused_without_naming_folders(tmp_path: Path) -> None:
    folder = tiny(tmp_path / "words", wordy(["one", "two"], None))

    async def then(model: LocalModel, url: str, post: Post) -> None:
        status, reply = await post("completions", prompt="one three", max_tokens=1)
        assert status == 400 and "which lacks 'three'" in reply["error"]["message"]
        assert str(tmp_path) not in json.dumps(reply)

    serving(folder, then)


def test_brook_speaks_through_its_template() -> None:
    from gnomon.data.worlds.brook.tables import world

    asked = f"where does {world().format_names[0]} live ?"

    async def go() -> None:
        model: Any = load("brook")
        async with listening(Service(speaker_of(model), "brook")) as url:
            far = Endpoint(f"{url}/v1", "brook")
            try:
                await probe(far)
                assert far.offers.text >= {Ability.SAMPLE, Ability.PREFILL, Ability.TOPK, Ability.SCORE}
                how = Sampling(temperature=0.0, max_tokens=8)
                for prompt in ([Message("user", asked)], f"Question: {asked} Answer:"):
                    here, there = await model.sample(prompt, how), await far.sample(prompt, how)
                    assert [c.text for c in here] == [c.text for c in there]
                text = f"Question: {asked} Answer:"
                near, choice = await model.choose(text, [" mill", " barn"]), await far.choose(text, [" mill", " barn"])
                assert choice.readout == "exact" and choice.p == pytest.approx(near.p, abs=1e-6)
            finally:
                await far.close()
                await model.close()

    asyncio.run(go())
