"""Reinforcement learning from preferences: what is drawn, what it is worth, where training ends, how it goes on."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gnomon.core.errors import DataError, GnomonError, ModelError, RunError, Stopped, UsageError
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook.oracle import RATERS
from gnomon.data.worlds.brook.tables import world
from gnomon.learn.batches import shared_batch
from gnomon.learn.heads import ScalarHead, load_head, save_head
from gnomon.learn.policy import PolicyBatch, log_probabilities, ppo_step
from gnomon.models.families import load_folder, save_folder
from gnomon.models.load import checkpoint_folder, load_checkpoint
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Transformer, TransformerConfig
from gnomon.train import rlhf
from gnomon.train._curve import read
from gnomon.train._questions import Question, Questions, open_reward
from gnomon.train._rollout import Sampler, distinct
from gnomon.train._running import Training, run_training
from gnomon.train.rlhf import Rlhf, preview


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of Brook's vocabulary, 16 wide, that has learnt nothing yet."""
    return f"hf:{saved(tmp_path_factory.mktemp('tiny'))}"


@pytest.fixture(scope="module")
def valued(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same with a scalar drawn at random, read at `<eoc>`."""
    folder = saved(tmp_path_factory.mktemp("valued"))
    head = ScalarHead(16)
    torch.nn.init.normal_(head.out.weight, generator=torch.Generator().manual_seed(1))
    save_head(head, folder, read_at="<eoc>")
    return f"hf:{folder}"


def saved(folder: Path) -> Path:
    words = world().vocabulary
    words.save(folder)
    shape = TransformerConfig(
        vocab_size=len(words),
        d_model=16,
        num_layers=2,
        num_heads=2,
        d_mlp=32,
        max_positions=64,
        bos_token_id=words.ids["<bos>"],
        eos_token_ids=(words.ids["<eos>"],),
        pad_token_id=words.ids["<pad>"],
        family="llama",
    )
    net = Transformer(shape, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        # An end that comes now and then, as it does of a model that has learnt to stop.
        net.embed.weight *= 12
        net.embed.weight[words.ids["<eos>"]] *= 6
        for block in net.blocks:
            for name, weight in block.named_parameters():
                weight.mul_(4.0 if "weight" in name and weight.ndim == 2 else 1.0)
    save_folder(net, folder)
    return folder


def few(tiny: str, **more: Any) -> Rlhf:
    chosen = {"reward": "brook:gold", "model": tiny, "rounds": 4, "answers": 8, "held_out": 6, "max_tokens": 12}
    return Rlhf(**{**chosen, **more})


def sampler_of(folder: str, reward: str = "brook:gold") -> tuple[Sampler, Transformer]:
    path = folder.removeprefix("hf:")
    net = load_folder(path)
    return Sampler(net, Tokenizer.load(path), open_reward(reward), max_tokens=12), net


@torch.no_grad()
def test_log_probabilities_of_the_sampler_are_those_of_the_whole_forward(tiny: str) -> None:
    sampler, net = sampler_of(tiny)
    drawn = sampler.draw(Questions("brook", 40, Seed(0)).held_out, Seed(1), per_prompt=2)
    assert len(drawn.texts) == 80
    assert {each.finish for each in drawn.said} == {"stop", "length"}
    assert len({len(each.tokens) for each in drawn.said}) > 4
    found, _, _ = log_probabilities(net, shared_batch(drawn.texts))
    said = torch.tensor([logp for each in drawn.said for logp in each.logprobs])
    assert float((found - said).abs().max()) < 1e-4
    for text, each in zip(drawn.texts, drawn.said, strict=True):
        assert tuple(text.tokens[text.start :]) == each.tokens
        assert (each.tokens[-1] == world().vocabulary.ids["<eos>"]) == (each.finish == "stop")


def test_answers_are_a_function_of_seed_and_weights_and_equal_questions_are_answered_apart(tiny: str) -> None:
    question = Questions("brook", 1, Seed(0)).held_out[0]
    (first, _), (second, _) = sampler_of(tiny), sampler_of(tiny)
    asked = [question] * 6
    once, again = first.draw(asked, Seed(5)), second.draw(asked, Seed(5))
    assert [each.tokens for each in once.said] == [each.tokens for each in again.said]
    assert len({each.tokens for each in once.said}) > 3
    assert [each.tokens for each in first.draw(asked, Seed(6)).said] != [each.tokens for each in once.said]


def test_rewards_are_the_raters_or_the_scalar_behind_the_answer(tiny: str, valued: str) -> None:
    questions = Questions("brook", 5, Seed(2)).held_out
    sampler, _ = sampler_of(tiny)
    drawn = sampler.draw(questions, Seed(0))
    assert drawn.reward == drawn.gold
    for question, said, reward in zip(questions, drawn.said, drawn.reward, strict=True):
        assert question.asked is not None
        ended = said.finish == "stop"
        assert reward == RATERS["gold"].utility(world(), question.asked, said.text, ended=ended)
    by_model = sampler_of(tiny, valued)[0].draw(questions, Seed(0))
    head = load_checkpoint(valued.removeprefix("hf:"))
    for question, said, reward in zip(questions, by_model.said, by_model.reward, strict=True):
        ids = head.tokenizer.encode(f"{question.prompt}{said.text}<eoc>")
        h_BTD = head.net.hidden(torch.tensor([ids]))
        assert head.head is not None
        assert reward == pytest.approx(float(head.head(h_BTD[:, -1])), abs=1e-4)


@pytest.mark.parametrize("algorithm", ["ppo", "reinforce", "rloo", "grpo"])
def test_every_algorithm_trains_measures_and_leaves_a_model(
    tiny: str, valued: str, tmp_path: Path, algorithm: str
) -> None:
    done = run_training(few(tiny, reward=valued, algorithm=algorithm, budget=0.0), "rlhf", root=tmp_path)
    named = {e.metric for e in done.report.estimates}
    assert {"reward gained", "gold utility gained", "KL", "KL (k3)", "tokens an answer", "entropy"} <= named
    assert ("value_loss" in named) == (algorithm == "ppo")
    gap = done.report.estimate("sampler_gap").value
    assert gap is not None
    assert gap < 1e-4
    assert len(done.rows) == 6 + 2 * 6
    before, after = (load_folder(folder) for folder in (Path(tiny[3:]), done.manifest.folder / "checkpoint"))
    assert not torch.equal(before.w_u, after.w_u)


def test_before_any_step_kl_is_0(tiny: str, tmp_path: Path) -> None:
    done = run_training(few(tiny, rounds=1, peak_rate=0.0), "rlhf", root=tmp_path)
    logged = {m.name: m.value for m in done_metrics(done)}
    assert logged["kl"] == pytest.approx(0, abs=1e-4)
    assert logged["kl3"] == pytest.approx(0, abs=1e-4)
    assert done.report.estimate("reward gained").value == 0
    assert done.report.estimate("KL").value == pytest.approx(0, abs=1e-4)


def test_the_rate_is_halved_by_answers_and_not_by_steps(tiny: str, tmp_path: Path) -> None:
    cfg = few(tiny, rounds=7, passes=2, parts=2, halve_every=20, budget=0.0, every=0)
    rates = [m.value for m in done_metrics(run_training(cfg, "rlhf", root=tmp_path)) if m.name == "rate"]
    # 8 answers a round: 20 are behind the tenth of 28 steps, 40 behind the twentieth; the rise takes twenty.
    peak = [min(1.0, (step + 1) / 20) * 0.5 ** (step // 10) for step in range(28)]
    assert rates == pytest.approx([1e-4 * sum(peak[at : at + 4]) / 4 for at in range(0, 28, 4)])


def done_metrics(done: Training) -> Sequence[Any]:
    from contextlib import closing

    from gnomon.store.run import Run

    with closing(Run.find(str(done.manifest.folder))) as run:
        return run.metrics()


@pytest.mark.parametrize("value", ["copy", "shared"])
def test_what_a_rewards_zero_is_changes_nothing(valued: str, tiny: str, tmp_path: Path, value: str) -> None:
    folder = tmp_path / "higher"
    shutil.copytree(valued.removeprefix("hf:"), folder)
    head = load_head(folder)
    torch.nn.init.constant_(head.out.bias, 5.0)
    save_head(head, folder, read_at="<eoc>")
    lower, higher = (
        run_training(few(tiny, reward=reward, value=value, peak_rate=1e-3), "rlhf", root=tmp_path).rows
        for reward in (valued, f"hf:{folder}")
    )
    said, raised = ([row.evidence["after"] for row in rows if "after" in row.evidence] for rows in (lower, higher))
    assert [each["text"] for each in said] == [each["text"] for each in raised]
    assert [each["k1"] for each in said] == pytest.approx([each["k1"] for each in raised], abs=1e-3)
    assert max(abs(each["k1"]) for each in said) > 0.05


@pytest.mark.parametrize("kill_at", [1, 2, 6])
def test_stopped_in_a_round_and_resumed_equals_uninterrupted(
    tiny: str, valued: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_at: int
) -> None:
    cfg = few(tiny, reward=valued, passes=2, parts=2, budget=0.0, peak_rate=1e-3)
    whole = run_training(cfg, "rlhf", root=tmp_path / "whole")
    made = [0]

    def interrupting(actor: Any, batch: PolicyBatch) -> Any:
        made[0] += 1
        if made[0] == kill_at:
            os.kill(os.getpid(), signal.SIGINT)
        return ppo_step(actor, batch)

    with monkeypatch.context() as patch:
        patch.setattr(rlhf, "ppo_step", interrupting)
        with pytest.raises(Stopped, match=r"stopped after step [48] of 16"):
            run_training(cfg, "rlhf", root=tmp_path / "cut")
    again = run_training(cfg, "rlhf", root=tmp_path / "cut")
    first, second = (done.manifest.folder / "checkpoint" / "model.safetensors" for done in (whole, again))
    assert first.read_bytes() == second.read_bytes()
    assert whole.report.estimates == again.report.estimates


def test_training_ends_where_kl_passes_its_budget(tiny: str, tmp_path: Path) -> None:
    done = run_training(few(tiny, rounds=60, peak_rate=3e-2, budget=0.5), "rlhf", root=tmp_path)
    steps = {m.step for m in done_metrics(done) if m.name == "kl"}
    assert 1 <= len(steps) < 60
    assert max(m.value for m in done_metrics(done) if m.name == "kl") <= 0.5
    recipe = json.loads((done.manifest.folder / "checkpoint" / "recipe.json").read_text())
    assert recipe["rounds"] == len(steps)
    assert recipe["settings"] == {"peak_rate": 0.03, "kl": 0.1, "budget": 0.5}


def test_prompts_of_a_file_are_learnt_and_measured_apart(tiny: str, valued: str, tmp_path: Path) -> None:
    data = tmp_path / "asked.jsonl"
    things = ("kite", "bowl", "lamp", "raft", "drum")
    lines: list[dict[str, Any]] = [{"prompt": f"Human: how do i make a {thing} ? Assistant:"} for thing in things]
    data.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    cfg = few(tiny, reward=valued, data=str(data), held_out=2, rounds=2)
    done = run_training(cfg, "rlhf", root=tmp_path / "runs")
    assert sorted(row.key for row in done.rows if "before" in row.evidence) == ["held-out-0", "held-out-1"]
    assert "gold" not in " ".join(e.metric for e in done.report.estimates)
    questions = Questions(str(data), 2, Seed(0))
    learnt = {each.prompt for step in range(3) for each in questions.batch(step, 2)}
    assert len(learnt) == 3
    assert not learnt & {each.prompt for each in questions.held_out}
    with pytest.raises(UsageError, match="can rate answers to Brook's questions alone"):
        run_training(few(tiny, data=str(data), held_out=2), "rlhf", root=tmp_path / "runs")


def test_a_prompt_too_long_loses_its_beginning(tiny: str) -> None:
    net, tokenizer = load_folder(tiny[3:]), Tokenizer.load(tiny[3:])
    sampler = Sampler(net, tokenizer, _Says(0.0), max_tokens=12)
    prompt = "Human: " + "how do i make a kite ? " * 12 + "Assistant:"
    drawn = sampler.draw([Question(prompt, "x")], Seed(0))
    (text,) = drawn.texts
    assert sampler.num_cut == 1
    assert text.start == 64 - 12
    assert text.tokens[text.start - 1] == world().vocabulary.ids["Assistant:"]
    assert sampler.draw([Question("Human: how do i make a kite ? Assistant:", "x")], Seed(0)).texts[0].start < 20
    assert sampler.num_cut == 1


class _Says:
    """A reward of what it is told."""

    name = "told"

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, questions: Sequence[Question], answers: Sequence[tuple[str, bool]]) -> list[float]:
        return [self.value] * len(answers)


def test_a_reward_that_is_no_number_stops_with_the_text(tiny: str) -> None:
    net, tokenizer = load_folder(tiny[3:]), Tokenizer.load(tiny[3:])
    sampler = Sampler(net, tokenizer, _Says(math.nan), max_tokens=3)
    question = Questions("brook", 1, Seed(0)).held_out[0]
    said = Sampler(net, tokenizer, _Says(0.0), max_tokens=3).draw([question], Seed(0)).said[0].text
    with pytest.raises(RunError) as caught:
        sampler.draw([question], Seed(0))
    assert f"the reward of {said!r} is nan" in str(caught.value)
    assert str(question.prompt) in str(caught.value)


def test_a_policy_that_always_says_the_same_has_collapsed(tiny: str) -> None:
    sampler, net = sampler_of(tiny)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(0.1)
        net.embed.weight[world().vocabulary.ids["kite"]] = 9.0
    with pytest.raises(RunError, match=r"policy collapsed \(distinct-1 = 0\.042\): every answer is ' kite kite"):
        sampler.draw(Questions("brook", 2, Seed(0)).held_out, Seed(0))


def test_further_values_are_read_and_kept_policies_can_be_named(tiny: str, valued: str, tmp_path: Path) -> None:
    cfg = few(tiny, watched=(valued, "brook:helpful"), every=2, probes=5, snapshots=1, budget=0.0, peak_rate=1e-3)
    done = run_training(cfg, "rlhf", root=tmp_path)
    way = read(done.rows)
    assert [each.round for each in way] == [0, 2, 4]
    assert set(way[0].values) == {"reward", valued, "brook:helpful", "gold utility"}
    assert way[0].kl == pytest.approx(np.zeros(5), abs=1e-4)
    assert list(way[-1].values["reward"]) == list(way[-1].values["gold utility"])
    assert done.report.estimate("brook:helpful gained").n == 6
    kept = load_folder(done.manifest.folder / "snapshots" / "2")
    assert not torch.equal(kept.w_u, load_folder(done.manifest.folder / "checkpoint").w_u)
    lines = (done.manifest.folder / "curve.csv").read_text().splitlines()
    assert lines[0].startswith("round,")
    assert [line.split(",")[0] for line in lines[1:]] == ["0", "1", "2", "3", "4"]
    assert f"{valued}_held_out" in lines[0]


def test_a_kept_policy_is_a_model_by_its_round(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNOMON_RUNS", str(tmp_path))
    done = run_training(few(tiny, snapshots=3, every=0), "rlhf", root=tmp_path)
    run = done.manifest.id
    assert checkpoint_folder(f"run:{run}@2") == done.manifest.folder / "snapshots" / "2"
    with pytest.raises(ModelError, match="the run has no checkpoint@4; it has @1, @2, @3"):
        checkpoint_folder(f"run:{run}@4")
    with pytest.raises(ModelError, match="no checkpoint@last"):
        checkpoint_folder(f"run:{run}@last")


def test_distinct_counts_runs_of_tokens_within_answers() -> None:
    assert distinct([(1, 2), (1, 2, 2)], 1) == 2 / 5
    assert distinct([(1, 2), (1, 2, 2)], 2) == 2 / 3
    assert distinct([(1,)], 2) == 0


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"reward": ""}, "--reward: nothing says what an answer is worth; give --reward run:ID, what `gnomon train"),
        ({"reward": "brook:golf"}, "Brook has no rater 'golf'; did you mean 'gold'?"),
        ({"reward": "MODEL"}, "has no scalar to reward answers with; give --reward run:ID, what `gnomon train"),
        ({"per_prompt": 3}, "--answers is 8, with --per-prompt 3 and --parts 1; give a multiple of the one, no less"),
        ({"algorithm": "rloo", "per_prompt": 1}, "--per-prompt is 1, and rloo compares answers; give 2 or more"),
        ({"algorithm": "reinforce", "passes": 2}, "reinforce takes one step a round; leave --passes and --parts out"),
        ({"kl": -1.0}, "a setting is below 0"),
        ({"rounds": 0}, "--rounds is 0; give 1 or more"),
        ({"importance_cap": 2.0}, "--importance-cap is 2; give 1 or more together with --sampler, or leave it out"),
        ({"halve_every": -1}, "--halve-every is -1; give 0 or more"),
        ({"snapshots": 4}, "--snapshots is 4 of 4 rounds; give fewer"),
        ({"watched": ("brook:gold",)}, "--watched: a value is named twice; name each once, and not --reward"),
        ({"max_tokens": 64}, "--max-tokens: answers of 64 tokens fill the context of 64; give fewer"),
        ({"data": "brook:forum"}, "Brook has no questions of kind 'forum'; write brook"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(tiny: str, tmp_path: Path, given: dict[str, Any], told: str) -> None:
    given = {key: tiny if value == "MODEL" else value for key, value in given.items()}
    with pytest.raises((UsageError, DataError)) as caught:
        run_training(few(tiny, **given), "rlhf", root=tmp_path)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, GnomonError)


def test_a_dry_run_shows_answers_with_their_values(tiny: str) -> None:
    found = preview(few(tiny, preset="goodhart", kl=0.5))
    assert (found["peak_rate"], found["kl"], found["budget"]) == (3e-4, 0.5, 0.0)
    assert found["answers"] == "4 rounds of 8, 1 to a prompt"
    assert str(found["answer 1"]).startswith("Chat: Human: ")
