"""`train code`: solutions are learnt and prompts are not, what is planted is gained, and a control gains nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from gnomon.core.errors import DataError, UsageError
from gnomon.core.record import Row
from gnomon.core.seeds import Seed
from gnomon.data.code_open import open_problems
from gnomon.learn.batches import answer_batch
from gnomon.learn.texts import encode
from gnomon.models.base import Completion
from gnomon.models.families import load_folder
from gnomon.models.tokenizer import Tokenizer
from gnomon.sandbox import Verdict
from gnomon.store.run import Run
from gnomon.train import _programs, sft
from gnomon.train._fitting import start_from
from gnomon.train._problems import _as_asked, sides, texts_of
from gnomon.train._running import run_training
from gnomon.train._text import open_documents
from gnomon.train._until import VALIDATION, fit_until_flat
from gnomon.train.code import TrainCode, preview, solutions
from gnomon.train.pretrain import Pretrain
from tests.unit.test_code_sets import HUMANEVAL, lines

SMALL = {"problems": 45, "held_out": 12, "samples": 4, "epochs": 12, "batch": 8}


def test_prompts_have_no_gradient_and_solutions_have(tiny: str) -> None:
    cfg = TrainCode(model=tiny, problems=20, held_out=5)
    texts = texts_of(cfg, start_from(tiny, "brook"), solutions(cfg, sides(cfg).learnt))[:3]
    net = load_folder(tiny.removeprefix("hf:"))
    batch = answer_batch(texts)
    sft.step(net, batch).loss.backward()  # type: ignore[no-untyped-call]  # torch's
    ours = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    net.zero_grad()
    logits = net(batch.tokens_BT[:, :-1])
    logits.retain_grad()
    losses = F.cross_entropy(logits.transpose(1, 2), batch.tokens_BT[:, 1:], reduction="none")
    place = torch.arange(1, batch.tokens_BT.shape[1])
    mask = torch.stack([(place >= t.start) & (place < len(t.tokens)) for t in texts])
    ((losses * mask).sum() / mask.sum()).backward()
    assert logits.grad[~mask].abs().max() == 0
    assert logits.grad[mask].abs().sum(-1).min() > 0
    for name, p in net.named_parameters():
        if name in ours:
            torch.testing.assert_close(p.grad, ours[name], atol=1e-6, rtol=1e-3, msg=name)
    assert all(text.tokens[text.start :].tolist() != text.tokens.tolist() for text in texts)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def test_what_brook_plants_is_gained_and_a_control_gains_nothing(root: Path) -> None:
    done = run_training(TrainCode(**SMALL), "code", root=root)
    before, after = (done.report.estimate("pass@1", part) for part in ("before", "after"))
    gained = done.report.estimate("gained in pass@1")
    assert before.value is not None and after.value is not None
    assert before.value < 0.85 < 0.93 < after.value
    assert gained.low is not None and gained.low > 0
    assert gained.value == pytest.approx(after.value - before.value)
    assert done.report.estimate("pass@1 chosen by mean log-probability", "after").n == 12
    assert done.report.estimate("problems fit to learn from", "to learn from").value == pytest.approx(1.0, abs=0.1)
    control = run_training(TrainCode(**SMALL, shuffled=True), "code", root=root)
    lost = control.report.estimate("gained in pass@1")
    assert lost.high is not None and lost.high < 0


def test_a_finished_part_is_not_drawn_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run above is broken off after its training: the same call draws what is missing, and no more."""
    cfg = TrainCode(**SMALL)
    whole = run_training(cfg, "code", root=root)
    with Run.open("train", "code", whole.manifest.identity, root=root) as run:
        weights = (run.folder / "checkpoint" / "model.safetensors").read_bytes()
        run.add(
            [
                Row(key=f"after: {row.cluster}", cluster=row.cluster, evidence={}, error="lost")
                for row in _programs.part_of(run.rows(), "after")[:2]
            ]
        )
        run.finish("stopped")
    drawn: list[str] = []
    asked = _programs._drawn

    async def counted(start: Any, problems: Sequence[Any], how: Any) -> list[list[Completion]]:
        drawn.extend(problem.id for problem in problems)
        return await asked(start, problems, how)

    monkeypatch.setattr(_programs, "_drawn", counted)
    again = run_training(cfg, "code", root=root)
    assert len(drawn) == 2
    assert again.report.estimates == whole.report.estimates
    assert (again.manifest.folder / "checkpoint" / "model.safetensors").read_bytes() == weights


def test_training_ends_when_the_loss_kept_aside_stops_falling(tmp_path: Path) -> None:
    for shuffled in (False, True):
        cfg = TrainCode(problems=60, held_out=5, epochs=5, shuffled=shuffled)
        start, parts = start_from("brook", "brook"), sides(cfg)
        with Run.open("train", "code", {"shuffled": shuffled}, root=tmp_path) as run:
            taught = texts_of(cfg, start, solutions(cfg, parts.learnt))
            aside = texts_of(cfg, start, solutions(replace(cfg, shuffled=False), parts.aside))
            steps = fit_until_flat(cfg, run, start, taught, aside, label="code")
            losses = [m.value for m in run.metrics() if m.name == VALIDATION]
        assert steps == (len(losses) - 1) * -(-len(taught) // 16)
        fell = [b < min(losses[: place + 1]) for place, b in enumerate(losses[1:])]
        assert fell == ([True] * (len(fell) - 1) + [False] if shuffled else [True] * 5)


class Wavering:
    """Judges who find every program right at first, and the second half of them wrong afterwards."""

    def all(self, jobs: Any) -> Any:
        yield from ((job.key, Verdict(cause="passed")) for job in jobs)

    def verdict(self, check: Any, source: str) -> Verdict:
        return Verdict(cause="passed" if " + 1 " in source else "wrong answer")


def test_problems_that_nothing_passes_or_whose_verdicts_change_are_left_out() -> None:
    problems = open_problems("brook", 9, Seed(0))[:2]
    texts = [" ( x + 1 ) % 10", " ( x + 2 ) % 10"]
    rows = [
        _programs._row("filter", p, [Completion(text=text, finish="stop", num_tokens=8)], Wavering(), True)  # type: ignore[arg-type]  # what is asked of judges
        for p, text in zip(problems, texts, strict=True)
    ]
    assert [row.evidence["stable"] for row in rows] == [True, False]
    assert _programs.fit_to_learn(rows, problems) == problems[:1]
    rows[0].evidence["scores"]["passed"] = 0.0
    assert _programs.fit_to_learn(rows, problems) == []


def test_a_model_that_can_write_nothing_learns_nothing(tiny: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pass none of the problems"):
        run_training(TrainCode(model=tiny, problems=10, held_out=2, samples=1), "code", root=tmp_path)


@pytest.mark.parametrize(
    "given", [{"held_out": 0}, {"samples": 0}, {"epochs": 0}, {"problems": 5}, {"temperature": -1.0}, {"lora": -1}]
)
def test_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        TrainCode(**given)


def test_a_file_of_problems(tiny: str, tmp_path: Path) -> None:
    row = {**HUMANEVAL, "prompt": "def f ( x ) : return ", "canonical_solution": "( x + 1 )"}
    path = lines(tmp_path / "p.jsonl", [{**row, "task_id": str(i)} for i in range(12)])
    cfg = TrainCode(model=tiny, data=str(path), problems=0, held_out=2)
    assert preview(cfg)["problems"] == "9 to learn from, 1 to stop by, 2 held out"
    assert preview(cfg)["first to learn"] == "( x + 1 ) <eos>"
    path.write_text(json.dumps({**row, "task_id": "1"}), encoding="utf-8")
    with pytest.raises(UsageError, match="to measure on"):
        preview(cfg)


OPERATIONS = {"add": "+", "take": "-", "times": "*"}


def function(verb: str, number: int, written: int) -> tuple[str, str]:
    return f'def {verb}_{number}(x):\n    """{verb} {number}"""', f"\n    return x {OPERATIONS[verb]} {written}\n"


def functions(path: Path, count: int, right: float) -> Path:
    """Functions whose constant is right with a chance, as text."""
    rng = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            verb, number = rng.choice(sorted(OPERATIONS)), rng.randint(1, 30)
            written = number if rng.random() < right else rng.randint(1, 30)
            file.write(json.dumps({"text": "".join(function(verb, number, written))}) + "\n")
    return path


def test_prompts_have_the_tokens_that_they_are_asked_with(tmp_path: Path) -> None:
    """A tokenizer that has seen code merges a prompt's line end with the blanks behind it."""
    of = open_documents(functions(tmp_path / "f.jsonl", 300, 1.0), None, tmp_path)
    tokenizer = Tokenizer.load(of.tokenizer)
    head, body = function("add", 7, 7)
    for prompt, answer in ((head, body), (f"{head}\n", body[1:])):
        (whole,) = encode(tokenizer, [(prompt, answer)], end=of.special.eos)
        text = _as_asked(tokenizer, prompt, answer, whole, of.special.eos)
        assert text.tokens[: text.start].tolist() == tokenizer.encode_prompt(prompt)
        assert tokenizer.decode(text.tokens[text.start :].tolist()) == answer
        assert text.tokens[-1] == of.special.eos
        assert (text.tokens.tolist() == whole.tokens.tolist()) == (prompt == head)


@pytest.mark.slow
def test_a_small_model_of_python_gains_what_is_planted(tmp_path: Path) -> None:
    text = functions(tmp_path / "f.jsonl", 6000, 0.6)
    pretrain = Pretrain(data=text, model_size="xs", tokens=400_000, peak_rate=3e-3)
    base = run_training(pretrain, "pretrain", root=tmp_path)
    rows = []
    for verb in OPERATIONS:
        for number in range(1, 31):
            head, body = function(verb, number, number)
            cases = [f"    assert candidate({x}) == {eval(f'{x} {OPERATIONS[verb]} {number}')}\n" for x in (0, 3, 10)]
            test = "def check(candidate):\n" + "".join(cases)
            name = f"{verb}_{number}"
            row = {"task_id": name, "prompt": head, "canonical_solution": body, "entry_point": name, "test": test}
            rows.append(row)
    data = str(lines(tmp_path / "p.jsonl", rows))
    model = f"hf:{base.manifest.folder / 'checkpoint'}"
    cfg = TrainCode(data=data, model=model, problems=0, held_out=20, samples=5, peak_rate=3e-4)
    report = run_training(cfg, "code", root=tmp_path).report
    gained, before = report.estimate("gained in pass@1"), report.estimate("pass@1", "before")
    assert before.value == pytest.approx(0.6, abs=0.15)
    assert gained.low is not None and gained.low > 0.15
