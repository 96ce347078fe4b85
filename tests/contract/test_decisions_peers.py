"""Typed questions and other people's software: the OpenAI SDK asks our server, and we ask `transformers serve`.

They run in an environment of their own; see `peers`. What is nowhere is skipped.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from benches.beside import served as serving_peer
from gnomon.models.base import Ability, Message
from gnomon.models.endpoint import Endpoint
from gnomon.models.load import load_checkpoint
from gnomon.models.offers import Decides
from gnomon.models.probe import probe
from tests.contract.parity import made_folder
from tests.contract.peers import peer_python
from tests.contract.test_serve_peers import served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SDK = """
from openai import BadRequestError, OpenAI
client = OpenAI(base_url=asked["url"] + "/v1", api_key="none", max_retries=0)
choices = [{"value": option} for option in asked["options"]]
told = client.decisions.create(model=asked["model"], input=asked["prompt"], questions=[
    {"type": "choice", "instructions": "", "choices": choices, "name": "place"},
    {"type": "predicate", "instructions": "Is it there?"},
    {"type": "score", "instructions": "How far?", "levels": [{"label": "near"}, {"label": "far"}]},
])
place, there, far = told.answers
try:
    client.decisions.create(model=asked["model"], input="x", questions=[])
except BadRequestError as error:
    refused = [error.param, error.message]
print(json.dumps({
    "kinds": [type(answer).__name__ for answer in told.answers], "name": place.name, "choice": place.choice,
    "p": [each.probability for each in place.probabilities], "there": there.probability, "far": far.score,
    "labels": [each.label for each in far.probabilities], "tokens": told.usage.total_tokens, "refused": refused,
}))
"""
PLACES = [" on the roof", " by the mill", " in a tin box"]
TEMPLATE = (
    "{% for m in messages %}Question: {{ m['content'] }}{% endfor %}{% if add_generation_prompt %}\nAnswer:{% endif %}"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made_folder(tmp_path / "model")


def test_the_openai_sdk_reads_our_answers(folder: Path) -> None:
    model, told = served(folder, peer_python("openai.types.decision"), SDK, options=PLACES)
    near = asyncio.run(model.choose("Where is the kettle?", PLACES))
    assert [kind.removeprefix("AnswerAnswerResource") for kind in told["kinds"]] == ["Choice", "Predicate", "Score"]
    assert told["p"] == pytest.approx(near.p, abs=1e-6) and told["name"] == "place"
    assert told["choice"] == PLACES[near.p.index(max(near.p))]
    assert 0 < told["there"] < 1 and 0 < told["far"] < 1 and told["labels"] == ["near", "far"] and told["tokens"] > 0
    assert told["refused"][0] == "questions" and "give a list of 1 to 400" in told["refused"][1]


def test_transformers_serve_decides_as_the_weights_do(folder: Path, tmp_path: Path) -> None:
    """The route is proved by the probe; its numbers are the next-token probabilities behind its own wording."""
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": TEMPLATE}))
    interpreter = peer_python("fastapi", "uvicorn", "torch", "transformers.cli.serving.systemone")
    model = load_checkpoint(folder)

    async def go(url: str, name: str) -> None:
        far = Endpoint(f"{url}/v1", name, readout="decision")
        try:
            await probe(far)
            assert far.offers.decides == Decides("/systemone", "")
            assert Ability.DECIDE in far.offers.text and Ability.DECIDE in far.offers.chat
            choice = await far.choose("Where is the kettle?", PLACES)
            lines = "".join(f"{label}. {place}\n" for label, place in zip("ABC", PLACES, strict=True))
            asked = f"Where is the kettle?\n\n{lines}Answer with the letter of the option that fits best (A to C) only."
            near = await model.choose([Message("user", asked)], ["A", "B", "C"])
            assert choice.readout == "decision" and choice.p == pytest.approx(near.p, abs=1e-4)
            # More options than it has labels for.
            with pytest.raises(Exception, match=r"/systemone refuses the options .*at most 26 options"):
                await far.choose("Which?", [str(number) for number in range(30)])
        finally:
            await far.close()

    with serving_peer(interpreter, folder, tmp_path / "log") as server:
        asyncio.run(go(server.url, server.model))
