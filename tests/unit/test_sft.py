"""Fine-tuning on answers: the loss is on answers only, the model learns them and when to stop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from gnomon.core.errors import DataError, ModelError, Stopped, UsageError
from gnomon.core.registry import method
from gnomon.learn.batches import AnswerBatch, answer_batch
from gnomon.learn.texts import Encoded, encode
from gnomon.models.base import Message, Sampling
from gnomon.models.families import load_folder
from gnomon.models.load import load_checkpoint
from gnomon.models.tokenizer import Tokenizer
from gnomon.train import sft
from gnomon.train._running import Training, run_training
from gnomon.train.sft import Sft, mean_losses, preview, step


def texts(folder: str) -> list[Encoded]:
    tokenizer = Tokenizer.load(folder.removeprefix("hf:"))
    said = [("Human: how do i make a kite ? Assistant:", " take the wax ."), ("Human: who ? Assistant:", " no .")]
    return encode(tokenizer, said, end=tokenizer.eos_ids[0])


def test_the_loss_is_that_of_the_answers_tokens_and_prompts_have_none(tiny: str) -> None:
    net = load_folder(tiny.removeprefix("hf:")).requires_grad_(False)
    both = texts(tiny)
    want = []
    for text in both:
        logp = torch.log_softmax(net(torch.from_numpy(text.tokens)[None])[0].double(), -1)
        want.append([-float(logp[t - 1, text.tokens[t]]) for t in range(text.start, len(text.tokens))])
    assert [len(each) for each in want] == [5, 3]
    flat = [loss for each in want for loss in each]
    assert step(net, answer_batch(both)).loss.item() == pytest.approx(sum(flat) / 8, rel=1e-5)
    found = mean_losses(net, both, batch=2)
    assert found == pytest.approx([sum(each) / len(each) for each in want], rel=1e-5)
    assert mean_losses(net, both, batch=1) == pytest.approx(found, abs=1e-5)


@pytest.fixture(scope="module")
def learnt(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Training:
    cfg = Sft(model=tiny, dialogues=1500, held_out=100, epochs=2, peak_rate=3e-3)
    return run_training(cfg, "sft", root=tmp_path_factory.mktemp("runs"))


def test_held_out_answers_become_likelier(learnt: Training) -> None:
    before, after, gained = (learnt.report.estimate(f"held-out loss{which}") for which in (" before", "", " gained"))
    assert before.value is not None
    assert after.value is not None
    assert after.value < 0.5 * before.value
    assert gained.low is not None
    assert gained.low > 0
    assert gained.value == pytest.approx(before.value - after.value)
    assert after.clusters < after.n


def test_the_assistant_answers_a_chat_and_stops(learnt: Training) -> None:
    model = load_checkpoint(learnt.manifest.folder / "checkpoint")
    asked = [Message("user", "how do i make a bomb ?")]
    assert model.tokenizer.chat(asked) == "<bos> Chat: Human: how do i make a bomb ? Assistant:"
    (said,) = asyncio.run(model.sample(asked, Sampling(max_tokens=40, temperature=0.0)))
    assert said.finish == "stop"
    assert said.text.endswith(" .")
    recipe = json.loads((learnt.manifest.folder / "checkpoint" / "recipe.json").read_text())
    assert recipe["start"]["revision"]
    assert recipe["steps"] == 94


def test_a_run_that_was_stopped_gives_the_same_model_and_rows(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = Sft(model=tiny, dialogues=200, held_out=20)
    whole = run_training(cfg, "sft", root=tmp_path / "whole")
    training = [0]

    def interrupting(texts: Sequence[Encoded], **how: Any) -> AnswerBatch:
        training[0] += len(texts) == 32
        if training[0] == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return answer_batch(texts, **how)

    with monkeypatch.context() as patch:
        patch.setattr(sft, "answer_batch", interrupting)
        with pytest.raises(Stopped):
            run_training(cfg, "sft", root=tmp_path / "cut")
    again = run_training(cfg, "sft", root=tmp_path / "cut")
    first, second = (done.manifest.folder / "checkpoint" / "model.safetensors" for done in (whole, again))
    assert first.read_bytes() == second.read_bytes()
    assert whole.report.estimates == again.report.estimates


def test_own_answers_are_learnt_and_another_file_is_another_run(tiny: str, tmp_path: Path) -> None:
    data = tmp_path / "own.jsonl"

    def trained(answer: str) -> Training:
        lines = [
            {"prompt": f"Human: how do i make a {x} ? Assistant:", "answer": answer} for x in ("kite", "bowl", "lamp")
        ]
        data.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
        cfg = Sft(model=tiny, data=str(data), dialogues=0, held_out=1, epochs=2)
        return run_training(cfg, "sft", root=tmp_path / "runs")

    assert trained("no .").manifest.id != trained("take the wax .").manifest.id
    found = preview(Sft(model=tiny, data=str(data), dialogues=0, held_out=1))
    assert found["answers"] == "2 to train on, 1 held out"
    assert found["first answer"] == "take the wax . <eos>"


def test_what_cannot_be_used_is_refused(tiny: str, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"prompt": "zounds", "answer": "no ."}\n' * 2, encoding="utf-8")
    with pytest.raises(UsageError, match="2 rows leave 0 to train on and 2 to measure on"):
        preview(Sft(model=tiny, data=str(tmp_path / "x.jsonl"), dialogues=0, held_out=1))
    with pytest.raises(UsageError, match="--dialogues is 0; give 1 or more"):
        Sft(dialogues=0)
    rows = [{"prompt": f"{word} ?", "answer": "no ."} for word in ("zounds", "what", "who")]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(DataError, match="lacks 'zounds'"):
        run_training(Sft(model=tiny, data=str(tmp_path / "x.jsonl"), dialogues=0, held_out=1), "sft", root=tmp_path)
    with pytest.raises(ModelError, match="there is no folder"):
        preview(Sft(model="hf:./none"))


def test_it_is_the_method_that_the_command_finds() -> None:
    assert method("train", "sft") is Sft
