"""Other people's clients against `gnomon serve`: the OpenAI SDK, lm-evaluation-harness, Inspect.

They run in an environment of their own; see `peers`. A client that is nowhere is skipped.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gnomon.models.base import Message, Sampling
from gnomon.models.load import load_checkpoint
from gnomon.models.local import LocalModel
from gnomon.serve.app import Service
from gnomon.serve.running import listening, speaker_of
from tests.contract.parity import made_folder, questions
from tests.contract.peers import peer_python

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ASKED = "Where is the kettle?"
READ = "import json, sys\nasked = json.loads(sys.argv[1])\n"
SDK = """
from openai import BadRequestError, NotFoundError, OpenAI
client = OpenAI(base_url=asked["url"] + "/v1", api_key="none", max_retries=0)
name, messages = asked["model"], [{"role": "user", "content": asked["prompt"]}]
chat = client.chat.completions.create(
    model=name, messages=messages, temperature=0, max_tokens=8, n=2, logprobs=True, top_logprobs=3)
text = client.completions.create(
    model=name, prompt=asked["prompt"], temperature=0, max_tokens=8, echo=True, logprobs=2)
stream = client.chat.completions.create(model=name, messages=messages, temperature=0, max_completion_tokens=8,
    stream=True, stream_options={"include_usage": True})
parts, used = [], None
for event in stream:
    used = event.usage or used
    parts += [choice.delta.content or "" for choice in event.choices]
refusals = []
for kind, changes in ((BadRequestError, {"presence_penalty": 1}), (NotFoundError, {"model": "other"})):
    try:
        client.chat.completions.create(**{"model": name, "messages": messages, **changes})
    except kind as error:
        refusals.append([error.param, error.code])
print(json.dumps({
    "models": [m.id for m in client.models.list()], "one": client.models.retrieve(name).id,
    "chat": [c.message.content for c in chat.choices], "finish": chat.choices[0].finish_reason,
    "logprobs": [t.logprob for t in chat.choices[0].logprobs.content],
    "tops": [len(t.top_logprobs) for t in chat.choices[0].logprobs.content],
    "text": text.choices[0].text, "echoed": text.choices[0].logprobs.token_logprobs,
    "streamed": "".join(parts), "used": used.model_dump(), "usage": chat.usage.model_dump(), "refusals": refusals,
}))
"""
LM_EVAL = """
from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalCompletionsAPI
lm = LocalCompletionsAPI(base_url=asked["url"] + "/v1/completions", model=asked["model"], tokenizer=asked["folder"],
    tokenizer_backend="huggingface", num_concurrent=4, max_length=2048, max_retries=1)
pairs = [(prompt, option) for prompt, options in asked["questions"] for option in options]
scored = lm.loglikelihood([Instance("loglikelihood", {}, pair, 0) for pair in pairs])
until = {"until": ["e"], "max_gen_toks": 12, "temperature": 0}
made = lm.generate_until([Instance("generate_until", {}, (asked["prompt"], until), 0)])
print(json.dumps({"scored": scored, "made": made}))
"""
INSPECT = """
import asyncio
from inspect_ai.model import GenerateConfig, get_model
config = GenerateConfig(temperature=0, max_tokens=8, logprobs=True, top_logprobs=2, seed=1)
model = get_model("openai-api/gnomon/" + asked["model"], base_url=asked["url"] + "/v1", api_key="none", config=config)
out = asyncio.run(model.generate(asked["prompt"]))
print(json.dumps({"text": out.completion, "logprobs": [t.logprob for t in out.choices[0].logprobs.content]}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_folder(tmp_path_factory.mktemp("made") / "model")


def served(folder: Path, python: str, script: str, **asked: Any) -> tuple[LocalModel, Any]:
    """What `script` prints about the server over the model in `folder`, and that model."""
    model = load_checkpoint(folder)

    async def go() -> Any:
        async with listening(Service(speaker_of(model), "made")) as url:
            told = json.dumps({"url": url, "model": "made", "folder": str(folder), "prompt": ASKED, **asked})
            process = await asyncio.create_subprocess_exec(
                python, "-c", READ + script, told, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            out, err = await process.communicate()
            assert process.returncode == 0, err.decode()[-3000:]
            return json.loads(out.decode().splitlines()[-1])

    return model, asyncio.run(go())


def test_the_openai_sdk(folder: Path) -> None:
    model, told = served(folder, peer_python("openai"), SDK)
    how = Sampling(temperature=0.0, max_tokens=8)
    chat, text = asyncio.run(_both(model, [Message("user", ASKED)], how))
    assert told["models"] == ["made"] and told["one"] == "made"
    assert told["chat"] == [chat.text] * 2 and told["streamed"] == chat.text and told["finish"] == chat.finish
    assert sum(told["logprobs"]) == pytest.approx(chat.logprob, abs=1e-4) and set(told["tops"]) == {3}
    assert told["text"] == ASKED + text.text and told["echoed"][0] is None and len(told["echoed"]) > 8
    assert told["usage"]["completion_tokens"] == 2 * told["used"]["completion_tokens"] == 16
    assert told["refusals"] == [["presence_penalty", "unsupported_parameter"], ["model", "model_not_found"]]


def test_lm_eval_reads_the_log_likelihoods_of_the_process(folder: Path) -> None:
    asked = questions(lettered=False)[:4]
    model, told = served(folder, peer_python("lm_eval", "tenacity"), LM_EVAL, questions=asked)

    async def near() -> list[float]:
        scores = [await model.score(q.prompt, option) for q in asked for option in q.options]
        return [score.total for score in scores]

    assert [total for total, _ in told["scored"]] == pytest.approx(asyncio.run(near()), abs=1e-4)
    how = Sampling(temperature=0.0, max_tokens=12, stop=("e",))
    assert told["made"] == [asyncio.run(_both(model, ASKED, how))[0].text]


def test_inspect(folder: Path) -> None:
    model, told = served(folder, peer_python("inspect_ai", "openai"), INSPECT)
    chat, _ = asyncio.run(_both(model, [Message("user", ASKED)], Sampling(temperature=0.0, max_tokens=8)))
    assert told["text"].strip() == chat.text.strip()
    assert sum(told["logprobs"]) == pytest.approx(chat.logprob, abs=1e-4)


async def _both(model: LocalModel, prompt: Any, how: Sampling) -> list[Any]:
    """What the process says to `prompt`, and to the plain question."""
    return [(await model.sample(p, how))[0] for p in (prompt, ASKED)]
