"""Letters are scored as whole continuations: right on a tokenizer that merges "(A", and the same over HTTP."""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gnomon.assay.self_knowledge import SelfKnowledge
from gnomon.core.errors import ModelError
from gnomon.core.seeds import Seed
from gnomon.models.base import Prompt
from gnomon.models.load import load
from gnomon.store.run import Run
from gnomon.trial.runner import Finished, run_evaluation
from tests.servers import Backed, serving_in_thread

LETTERS = "ABCD"
OPTIONS = ("one {}", "two {}", "three", "four")
QUESTIONS = [
    {
        "question": f"Which of the words is number {i}?",
        "choices": [o.format(i) for o in OPTIONS[: 2 + i % 3]],
        "gold": i % 2,
    }
    for i in range(12)
]


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(q) + "\n" for q in QUESTIONS))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama in Hugging Face layout whose tokenizer has tokens for "(A" and " (B"."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    backend.decoder = decoders.Metaspace(prepend_scheme="never")
    text = "Question: Which of the words is number 0123456789? Choices: one two three four\nAnswer: (A) (B) (C) (D)"
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=list(set(text)), special_tokens=["<end>"])
    backend.train_from_iterator([text] + ["Answer: (A)(A)(A Answer: (B) (B (B"] * 20, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>")
    pieces = tokenizer.tokenize("Answer: (A)")
    assert not any(p in ("A", "▁A") for p in pieces), pieces
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, initializer_range=0.4,
    )  # fmt: skip
    found = tmp_path_factory.mktemp("llama")
    LlamaForCausalLM(config).save_pretrained(found)
    tokenizer.save_pretrained(found)
    return found


def assay(root: Path, questions: Path, model: str, **more: Any) -> Finished:
    config = SelfKnowledge(only=("calibration",), data=(str(questions),), forms=("lettered",), shots=(2,), **more)
    return asyncio.run(run_evaluation(config, "self-knowledge", {"subject": model}, root=root))


def stated(finished: Finished) -> dict[str, list[float]]:
    return {row.key: row.evidence["p"] for row in Run.find(str(finished.run.folder)).rows()}


def items_of(questions: Path) -> list[Any]:
    config = SelfKnowledge(only=("calibration",), data=(str(questions),), forms=("lettered",), shots=(2,))
    return list(config.items(Seed(0).child("items")))


def brute_force(folder: Path, prompt: str, options: Sequence[str]) -> list[float]:
    """Softmax over options of the log-probability of what differs between them, one plain forward an option."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    wholes = [tokenizer(prompt + option)["input_ids"] for option in options]
    shared = next(i for i in range(len(wholes[0])) if len({tuple(w[: i + 1]) for w in wholes}) > 1)
    # A bracket that closes every option as a token of its own says nothing about the letter.
    closing = int(len({w[-1] for w in wholes}) == 1)
    totals = []
    for whole in wholes:
        with torch.no_grad():
            table = model(torch.tensor([whole])).logits[0].log_softmax(-1)
        totals.append(sum(float(table[i - 1, whole[i]]) for i in range(shared, len(whole) - closing)))
    weights = [math.exp(t - max(totals)) for t in totals]
    return [w / sum(weights) for w in weights]


def test_merged_letters_are_as_probable_as_a_plain_forward_says(tmp_path: Path, questions: Path, folder: Path) -> None:
    from gnomon.data.prompts import choice_prompt, letters

    found = stated(assay(tmp_path / "runs", questions, f"hf:{folder}"))

    items = items_of(questions)
    assert len(found) == len(items) == 10
    for item in items[:6]:
        prompt = item.meta["header"] + choice_prompt(item)
        assert found[item.id] == pytest.approx(brute_force(folder, prompt, letters(len(item.choices))), abs=1e-4)


class Relayed(Backed):
    """A planted model behind a server; what it does not know, such as a probe's question, it answers flatly."""

    async def top(self, prompt: Prompt) -> Mapping[str, float]:
        known = [*LETTERS]
        while len(known) > 1:
            try:
                choice = await self.model.choose(prompt, known)
                return {c: p * choice.mass for c, p in zip(known, choice.p, strict=True)}
            except ModelError:
                known.pop()
        return dict.fromkeys(LETTERS, 0.25)

    async def draw(self, prompt: Prompt, how: Any) -> tuple[list[str], str]:
        top = await self.top(prompt)
        return random.Random(how.seed).choices(list(top), list(top.values())), "stop"


def test_an_endpoint_gives_the_numbers_and_the_schema_of_the_model_behind_it(tmp_path: Path, questions: Path) -> None:
    name = "planted:calibrated?a=0.5&b=0.6"
    here = assay(tmp_path / "here", questions, name)
    behind: Any = load(name)
    behind.bind(items_of(questions))

    with serving_in_thread(Relayed(behind, candidates=LETTERS), model="relay") as server:
        there = assay(tmp_path / "there", questions, f"{server.url}#relay")
        asked = len(server.calls)
        again = assay(tmp_path / "there", questions, f"{server.url}#relay")
        repeated = len(server.calls) - asked

    one, two = stated(here), stated(there)
    assert one.keys() == two.keys()
    assert all(two[key] == pytest.approx(p, abs=1e-6) for key, p in one.items())
    assert [(e.metric, e.group) for e in there.report.estimates] == [(e.metric, e.group) for e in here.report.estimates]
    assert {e.readout for e in there.report.estimates} == {"topk"}
    # Resumed: no item is asked again; what is sent proves what the server can do.
    assert again.asked == 0
    assert repeated < asked
    assert again.report.estimates == there.report.estimates


def test_a_server_without_log_probabilities_is_sampled_or_refused(tmp_path: Path, questions: Path) -> None:
    from gnomon.core.errors import AbilityError
    from tests.servers import Faults

    behind: Any = load("planted:calibrated?a=0.5&b=0.6")
    behind.bind(items_of(questions))
    faults = Faults(ignores_logprobs=True)

    with serving_in_thread(Relayed(behind, candidates=LETTERS), model="relay", faults=faults) as server:
        with pytest.raises(AbilityError, match="--readout exact needs SCORE"):
            assay(tmp_path / "exact", questions, f"{server.url}#relay", readout="exact")
        sampled = assay(tmp_path / "sampled", questions, f"{server.url}#relay", samples=5)

    assert {e.readout for e in sampled.report.estimates} == {"sampled"}


@pytest.mark.parametrize("part", ["calibration", "truefalse"])
def test_a_row_says_its_series_once(part: str, questions: Path, tmp_path: Path) -> None:
    config = SelfKnowledge(only=(part,), data=(str(questions),), shots=(0,), forms=("lettered",), resamples=20)
    cast = {"subject": "planted:calibrated"}
    done = asyncio.run(run_evaluation(config, "self-knowledge", cast, root=tmp_path))
    with Run.find(str(done.run.folder)) as run:
        rows = run.rows()

    renamed = [replace(row, evidence={**row.evidence, "series": f"{part} lettered like no other"}) for row in rows]

    groups = {e.group for e in config.summarise(renamed).estimates}
    assert any("like no other" in group for group in groups) and not any("0-shot" in group for group in groups)
