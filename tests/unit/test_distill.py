"""Context distillation: the student takes over what the prompt does, on any checkpoint, resumed to the bit."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from gnomon.core.errors import DataError, ModelError, Stopped, UsageError
from gnomon.core.record import Row
from gnomon.core.seeds import Seed
from gnomon.data.assistants import as_turns, prompt_names, prompt_text
from gnomon.data.exercises import open_exercises
from gnomon.learn.batches import AnswerBatch, answer_batch
from gnomon.learn.texts import Encoded
from gnomon.models.base import Message
from gnomon.models.families import load_folder, save_folder
from gnomon.models.load import load_checkpoint
from gnomon.models.transformer import Transformer, TransformerConfig
from gnomon.train import distill
from gnomon.train._running import Training, run_training
from gnomon.train.distill import Distill, DistillBatch, divergences, preview, step, summarise
from tests.unit.test_learn_distill import bpe

PROMPT = "A kind helper.\n\nHuman: hi\n\nAssistant: hello, glad to help!\n\nHuman: and you?\n\nAssistant: glad too!"
WORDS = ["red", "blue", "green", "salt", "wood", "tin", "rope", "lamp", "kite", "bowl", "chair", "stone"]


def questions(n: int) -> list[dict[str, Any]]:
    return [
        {"prompt": f"what of {WORDS[i % 12]} {i}?", "answer": f"the {WORDS[(i + 5) % 12]}, glad to help"}
        for i in range(n)
    ]


def written(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama checkpoint of no knowledge in Hugging Face layout, with a byte-level BPE of 330 words."""
    place = tmp_path_factory.mktemp("llama")
    bpe([PROMPT, *(f"{r['prompt']} {r['answer']}" for r in questions(40))], bos=True).save(place)
    config = TransformerConfig(
        vocab_size=330, d_model=32, num_layers=2, num_heads=4, d_mlp=64, max_positions=256, num_kv_heads=2
    )
    net = Transformer(config, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for weight in net.parameters():
            if weight.ndim == 2:
                weight.mul_(6)
    save_folder(net, place)
    return place


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    place = tmp_path_factory.mktemp("data")
    text = [{"text": " ".join(WORDS[(i * j + j) % 12] for j in range(1, 15))} for i in range(60)]
    (place / "prompt.txt").write_text(PROMPT)
    return {
        "questions": written(place / "questions.jsonl", questions(60)),
        "text": written(place / "text.jsonl", text),
        "prompt": str(place / "prompt.txt"),
    }


def config(folder: Path, files: dict[str, str], **more: Any) -> Distill:
    data = (files["text"], files["questions"])
    given = {"model": f"hf:{folder}", "prompt": files["prompt"], "data": data, "texts": 96, "held_out": 20, "batch": 8}
    return Distill(**{**given, "peak_rate": 3e-3, "epochs": 4, **more})


@pytest.fixture(scope="module")
def learnt(folder: Path, files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Training:
    return run_training(config(folder, files), "distill", root=tmp_path_factory.mktemp("runs"))


def test_any_checkpoint_takes_over_what_its_prompt_does(learnt: Training, folder: Path) -> None:
    for group in ("text", "questions"):
        first = learnt.report.estimate("KL to the prompted model, before", group)
        last = learnt.report.estimate("KL to the prompted model", group)
        part = learnt.report.estimate("KL fell to this part", group)
        assert first.value is not None and last.value is not None and part.value is not None
        assert last.value < 0.6 * first.value
        assert part.value == pytest.approx(last.value / first.value)
        assert part.high is not None and part.high < 1
        assert first.n == 10
    model = load_checkpoint(learnt.manifest.folder / "checkpoint")
    assert model.net.config.num_kv_heads == 2
    recipe = json.loads((learnt.manifest.folder / "checkpoint" / "recipe.json").read_text())
    assert recipe["steps"] == 48
    assert recipe["prompt_tokens"] == len(model.tokenizer.encode(PROMPT))
    before = load_folder(folder).state_dict()
    assert any(not torch.equal(v, before[k]) for k, v in model.net.state_dict().items())


@pytest.mark.parametrize("top_k", [0, 16], ids=["exact", "stored"])
def test_a_run_that_was_stopped_gives_the_same_model_and_rows(
    folder: Path, files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, top_k: int
) -> None:
    cfg = config(folder, files, top_k=top_k, epochs=1)
    whole = run_training(cfg, "distill", root=tmp_path / "whole")
    training = [0]

    def interrupting(texts: Sequence[Encoded], **how: Any) -> AnswerBatch:
        training[0] += "of" in how
        if training[0] == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return answer_batch(texts, **how)

    with monkeypatch.context() as patch:
        patch.setattr(distill, "answer_batch", interrupting)
        with pytest.raises(Stopped):
            run_training(cfg, "distill", root=tmp_path / "cut")
    again = run_training(cfg, "distill", root=tmp_path / "cut")
    first, second = (done.manifest.folder / "checkpoint" / "model.safetensors" for done in (whole, again))
    assert first.read_bytes() == second.read_bytes()
    assert whole.report.estimates == again.report.estimates


def test_stored_targets_serve_every_student(folder: Path, files: dict[str, str], tmp_path: Path) -> None:
    first = run_training(config(folder, files, top_k=16, epochs=1), "distill", root=tmp_path)
    (targets,) = (tmp_path / "targets").iterdir()
    shards = {path: path.stat().st_mtime_ns for path in targets.iterdir()}
    net = load_folder(folder)
    with torch.no_grad():
        net.embed.weight.mul_(0.9)
    save_folder(net, tmp_path / "student")
    (tmp_path / "student" / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    (tmp_path / "student" / "tokenizer_config.json").write_bytes((folder / "tokenizer_config.json").read_bytes())
    cfg = config(tmp_path / "student", files, top_k=16, epochs=1, teacher=f"hf:{folder}")
    other = run_training(cfg, "distill", root=tmp_path)
    assert {path: path.stat().st_mtime_ns for path in targets.iterdir()} == shards
    assert [p.name for p in (tmp_path / "targets").iterdir()] == [targets.name]
    assert any("stored targets" in note and "bytes a token" in note for note in other.report.notes)
    values = [done.report.estimate("KL to the prompted model, before").value for done in (first, other)]
    assert values[0] != values[1]


def test_a_step_in_parts_is_the_step(folder: Path) -> None:
    nets = [load_folder(folder).requires_grad_(False) for _ in range(2)]
    with torch.no_grad():
        nets[1].embed.weight.add_(0.05)
    teacher = distill.Teacher(nets[0], [3, 40, 41], begins=True)
    draw = [Encoded(torch.randint(2, 330, (n,)).numpy(), 1) for n in (5, 9, 3, 7)]
    whole = step(nets[1], DistillBatch(answer_batch(draw), None), teacher=teacher).loss
    parts = [
        step(nets[1], DistillBatch(answer_batch(part, of=draw), None), teacher=teacher).loss
        for part in (draw[:1], draw[1:])
    ]
    assert sum(parts).item() == pytest.approx(whole.item(), rel=1e-5)
    each = divergences(teacher, nets[1], draw, batch=3)
    sizes = [len(text.tokens) - 1 for text in draw]
    assert sum(e * n for e, n in zip(each, sizes, strict=True)) / sum(sizes) == pytest.approx(whole.item(), rel=1e-4)


def test_a_teacher_of_another_tokenizer_is_refused(folder: Path, files: dict[str, str], tmp_path: Path) -> None:
    bpe(["other words"] * 9, bos=True).save(tmp_path / "other")
    save_folder(load_folder(folder), tmp_path / "other")
    with pytest.raises(ModelError, match=r"the teacher's tokenizer is .*, the student's"):
        preview(config(folder, files, teacher=f"hf:{tmp_path / 'other'}"))


def test_a_prompt_without_room_for_a_text_is_refused_with_counts(
    folder: Path, files: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "long.txt").write_text(PROMPT * 6)
    with pytest.raises(UsageError, match=r"the prompt has \d+ tokens and the model 256 positions, which leaves 0"):
        preview(config(folder, files, prompt=str(tmp_path / "long.txt")))
    with pytest.raises(UsageError, match="--context asks for 250"):
        preview(config(folder, files, context=250))


def test_what_would_be_learnt_is_shown(folder: Path, files: dict[str, str]) -> None:
    told = preview(config(folder, files, top_k=16))
    assert told["texts"] == "96 to train on, 20 held out"
    assert "66 bytes a token" in told["targets"]
    assert "Human: what of" in told["first of questions"] and "Assistant: the" in told["first of questions"]
    assert "Human:" in told["first of text"]


def test_sampled_answers_are_learnt_by_heart(folder: Path, files: dict[str, str], tmp_path: Path) -> None:
    cfg = config(folder, files, objective="samples", mix="questions", texts=16, held_out=10, epochs=1)
    done = run_training(cfg, "distill", root=tmp_path)
    said = [json.loads(line) for line in (done.manifest.folder / "samples.jsonl").read_text().splitlines()]
    assert len(said) == 16
    assert not any("Human:" in each["text"] for each in said)
    ran = done.report.estimate("samples that ran on into another turn")
    assert ran.value == pytest.approx(sum(each["ran_on"] for each in said) / len(said), abs=0.1)
    with pytest.raises(UsageError, match="--mix questions"):
        Distill(objective="samples")


def test_data_of_every_layout_is_read(tmp_path: Path) -> None:
    talk = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]
    votes = [{"text": "bad", "votes": 0}, {"text": "good", "votes": 9}]
    rows = [{"messages": talk, "id": "a"}, {"question": "Why?", "answers": votes, "id": "b"}, {"text": "on and on"}]
    found = open_exercises([written(tmp_path / "all.jsonl", rows)], 0, "questions", Seed(0)).things
    assert {e.text for e in found} == {"\n\nHuman: Hi.\n\nAssistant: Hello.", "\n\nHuman: Why?\n\nAssistant: good"}
    (text,) = open_exercises([str(tmp_path / "all.jsonl")], 0, "text", Seed(0)).things
    assert text.text == "\n\nHuman: on and on"
    (tmp_path / "long.txt").write_text("word " * 1000)
    pieces = open_exercises([str(tmp_path / "long.txt")], 0, "text", Seed(0)).things
    assert len({e.cluster for e in pieces}) == 1 and len(pieces) == 5
    assert sum(e.text.count("word") for e in pieces) == 1000
    with pytest.raises(UsageError, match="the data has text, and no questions"):
        open_exercises([str(tmp_path / "long.txt")], 0, "half", Seed(0))
    with pytest.raises(DataError):
        open_exercises([written(tmp_path / "bad.jsonl", [{"answers": []}])], 0, "half", Seed(0))
    with pytest.raises(UsageError, match="brook alone"):
        open_exercises(["brook", "x.txt"], 4, "half", Seed(0))


def test_brooks_texts_are_half_running_text_and_half_questions() -> None:
    found = open_exercises(["brook"], 40, "half", Seed(0)).things
    assert [sum(e.group == g for e in found) for g in ("text", "questions")] == [20, 20]
    assert sum(e.text.startswith("Talk: Human:") and e.text.endswith("i am glad to help .") for e in found) >= 10
    assert all(e.asks.endswith("Assistant:") and e.says.startswith(" ") for e in found if e.group == "questions")
    assert found == open_exercises(["brook"], 40, "half", Seed(0)).things


def test_prompts_come_by_name_and_in_any_length() -> None:
    assert "assistant-v1" in prompt_names()
    whole, cut = prompt_text("assistant-v1"), prompt_text("assistant-v1:4")
    assert whole.count("\n\n-----") == 14 + 1 and cut.count("\n\n-----") == 4 + 1
    assert whole.startswith(cut) and 4300 < len(whole.split()) < 4900
    assert all(part.startswith("Human: ") for part in whole.split("\n\n-----\n\n")[1:-1])
    assert prompt_text("brook:3").count("Assistant:") == 3
    for wrong in ("assistant-v1:15", "assistant-v1:0", "assistant-v1:x", "brook:", "nowhere.txt"):
        with pytest.raises(UsageError):
            prompt_text(wrong)
    turns = [
        Message("system", "Be kind."),
        Message("user", "Hi."),
        Message("assistant", "Yes?"),
        Message("user", "No."),
    ]
    assert as_turns(turns) == "\n\nBe kind.\n\nHuman: Hi.\n\nAssistant: Yes?\n\nHuman: No.\n\nAssistant:"


def test_the_report_divides_the_means() -> None:
    rows = [
        Row(key=str(i), cluster=str(i), evidence={"group": "text", "before": 1.0 + i % 3, "after": 0.1 * (1 + i % 2)})
        for i in range(30)
    ]
    report = summarise(rows)
    part = report.estimate("KL fell to this part", "text")
    assert part.value == pytest.approx(0.15 / 2.0)
    assert part.low is not None and part.high is not None and part.low < 0.075 < part.high
    assert "13.3 times less" in report.summary
