"""Adapters over a served model: vLLM's two routes, and completions told token by token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import torch

from gnomon.core.errors import UsageError
from gnomon.learn.lora import LowRank, add_low_rank, merge_low_rank, save_adapter
from gnomon.models.base import Sampling
from gnomon.models.load import load_checkpoint
from gnomon.models.local import LocalModel
from gnomon.serve.adapters import Adapters
from gnomon.serve.app import Service
from gnomon.serve.running import listening, speaker_of
from tests.contract.parity import made_folder

PROMPT = "Where is the kettle?"
Post = Callable[..., Awaitable[tuple[int, Any]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_folder(tmp_path_factory.mktemp("made") / "model")


@pytest.fixture(scope="module")
def updated(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LocalModel]:
    """An adapter's folder, and the model with the adapter in its weights."""
    model, place = load_checkpoint(folder), tmp_path_factory.mktemp("adapter")
    torch.manual_seed(1)
    add_low_rank(model.net, 3)
    for module in model.net.modules():
        if isinstance(module, LowRank):
            torch.nn.init.normal_(module.up, 0.0, 0.3)
    save_adapter(model.net, place, base=str(folder))
    merge_low_rank(model.net)
    return place, LocalModel(model.net, model.tokenizer, name="merged")


def serving(folder: Path, then: Callable[[Post], Awaitable[Any]], *, allowed: bool = True, **how: Any) -> Any:
    """Runs `then` with what posts a body to a route of a server over the model in `folder`."""

    async def go() -> Any:
        model = load_checkpoint(folder, name="made")
        adapters = Adapters(model) if allowed else None
        service = Service(speaker_of(model), "made", adapters=adapters, **how)
        async with listening(service) as url, aiohttp.ClientSession() as session:

            async def post(route: str, headers: dict[str, str] | None = None, **body: Any) -> tuple[int, Any]:
                ask = session.post if body else session.get
                async with ask(f"{url}/v1/{route}", data=json.dumps(body) or None, headers=headers) as reply:
                    told = await reply.text()
                    return reply.status, json.loads(told) if told.startswith("{") else told

            return await then(post)

    return asyncio.run(go())


def test_completions_come_with_ids_and_the_end_of_the_text(folder: Path) -> None:
    model = load_checkpoint(folder)

    async def then(post: Post) -> None:
        asked = {"model": "made", "temperature": 1, "seed": 7, "n": 6, "max_tokens": 40, "logprobs": 0}
        ids = model.tokenizer.encode(PROMPT)
        _, reply = await post("completions", prompt=ids, return_token_ids=True, **asked)
        near = await model.sample(ids, Sampling(max_tokens=40, seed=7), 6)
        for choice, completion in zip(reply["choices"], near, strict=True):
            assert tuple(choice["token_ids"]) == completion.tokens
            assert choice["logprobs"]["token_logprobs"] == pytest.approx(completion.logprobs, abs=1e-6)
            assert choice["text"] == completion.text
        _, plain = await post("completions", prompt=ids, **asked)
        assert all("token_ids" not in choice for choice in plain["choices"])
        for field in ("stream", "echo"):
            status, told = await post("completions", prompt=ids, return_token_ids=True, **asked, **{field: True})
            assert (status, told["error"]["param"]) == (400, "return_token_ids")

    serving(folder, then)


def test_an_adapter_answers_under_its_name_until_it_is_unloaded(folder: Path, updated: tuple[Path, LocalModel]) -> None:
    place, merged = updated

    async def then(post: Post) -> None:
        said = await post("load_lora_adapter", lora_name="round-1", lora_path=str(place))
        assert said == (200, "Success: LoRA adapter 'round-1' added successfully.")
        _, models = await post("models")
        assert [(each["id"], each.get("parent")) for each in models["data"]] == [("made", None), ("round-1", "made")]
        asked = {"prompt": PROMPT, "temperature": 0, "max_tokens": 8, "logprobs": 0, "return_token_ids": True}
        replies = {name: await post("completions", model=name, **asked) for name in ("made", "round-1")}
        (base, update) = (replies[name][1]["choices"][0] for name in ("made", "round-1"))
        near = (await merged.sample(PROMPT, Sampling(max_tokens=8, temperature=0.0)))[0]
        assert tuple(update["token_ids"]) == near.tokens != tuple(base["token_ids"])
        assert update["logprobs"]["token_logprobs"] == pytest.approx(near.logprobs, abs=1e-4)
        assert replies["round-1"][1]["model"].startswith("round-1@")
        taken = await post("load_lora_adapter", lora_name="round-1", lora_path=str(place))
        assert (taken[0], "already been loaded" in taken[1]["error"]["message"]) == (400, True)
        assert (await post("unload_lora_adapter", lora_name="round-1"))[0] == 200
        assert (await post("completions", model="round-1", **asked))[0] == 404
        assert (await post("unload_lora_adapter", lora_name="round-1"))[0] == 404

    serving(folder, then)


def test_what_is_no_adapter_is_refused(folder: Path, tmp_path: Path) -> None:
    async def then(post: Post) -> None:
        status, told = await post("load_lora_adapter", lora_name="x", lora_path=str(tmp_path))
        assert (status, told["error"]["message"][:27]) == (400, "no PEFT adapter can be read")
        for body in ({"lora_path": "x"}, {"lora_name": "x"}, {"lora_name": "made", "lora_path": "x"}):
            assert (await post("load_lora_adapter", **body))[0] == 400
        assert (await post("load_lora_adapter", lora_name="x", lora_path="x", more=1))[0] == 400

    serving(folder, then)


def test_the_routes_are_there_only_where_they_are_allowed_and_for_those_who_may_ask(
    folder: Path, updated: tuple[Path, LocalModel]
) -> None:
    body = {"lora_name": "x", "lora_path": str(updated[0])}

    async def without(post: Post) -> None:
        assert (await post("load_lora_adapter", **body))[0] == 404

    async def guarded(post: Post) -> None:
        assert (await post("load_lora_adapter", **body))[0] == 401
        assert (await post("load_lora_adapter", {"Authorization": "Bearer secret"}, **body))[0] == 200

    async def renamed(post: Post) -> None:
        assert (await post("load_lora_adapter", {"Host": "evil.example"}, **body))[0] == 403

    serving(folder, without, allowed=False)
    serving(folder, guarded, token="secret")
    serving(folder, renamed)


def test_a_model_without_weights_has_no_adapters() -> None:
    from gnomon.cli.serve import serve_command

    with pytest.raises(UsageError, match="no update can be put over planted:calibrated; leave --allow-adapters out"):
        serve_command("planted:calibrated", allow_adapters=True)
