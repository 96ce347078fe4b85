"""Reinforcement through a low-rank update: where the policy started is the policy without it."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gnomon.core.errors import Stopped
from gnomon.core.seeds import Seed
from gnomon.learn.lora import LowRank, add_low_rank, without_update
from gnomon.learn.policy import Actor, rloo_step
from gnomon.models.families import load_folder
from gnomon.models.tokenizer import Tokenizer
from gnomon.train import rlhf
from gnomon.train._questions import Questions, open_reward
from gnomon.train._rollout import Sampler, known, still
from gnomon.train._running import run_training
from tests.unit.test_rlhf import few, saved


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"hf:{saved(tmp_path_factory.mktemp('tiny'))}"


def test_the_first_model_s_numbers_come_from_the_same_weights(tiny: str) -> None:
    folder = tiny.removeprefix("hf:")
    net, given = load_folder(folder), load_folder(folder)
    add_low_rank(net, 3)
    for module in net.modules():
        if isinstance(module, LowRank):
            torch.nn.init.normal_(module.up, 0.0, 0.02)
    sampler = Sampler(net, Tokenizer.load(folder), open_reward("brook:gold"), max_tokens=12)
    drawn = sampler.draw(Questions("brook", 6, Seed(0)).held_out, Seed(1))
    actor = Actor(net, "none")
    e, gap = known(actor, partial(without_update, net), drawn, on_policy=False)
    want, _ = known(actor, still(given), drawn, on_policy=False)
    assert torch.equal(e.reference_N, want.reference_N)
    assert not torch.allclose(e.policy_N, e.reference_N, atol=1e-3)
    assert gap < 1e-4


@pytest.mark.parametrize("value", ["copy", "shared"])
def test_policy_values_and_first_model_hold_the_weights_once(tiny: str, value: Any) -> None:
    net = load_folder(tiny.removeprefix("hf:"))
    given = sum(p.numel() for p in net.parameters())
    add_low_rank(net, 3)
    pairs = sum(p.numel() for p in net.parameters() if p.requires_grad)
    held = sum(p.numel() for p in Actor(net, value).parameters())
    assert held == given + pairs * (2 if value == "copy" else 1) + net.config.d_model + 1


def test_a_training_makes_no_copy_moves_what_it_may_and_goes_on_to_the_bit(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = few(tiny, algorithm="rloo", per_prompt=2, lora=3, peak_rate=3e-2, budget=0.0, accumulate=2, recompute=True)
    monkeypatch.setattr(rlhf, "copy", None)
    whole = run_training(cfg, "rlhf", root=tmp_path / "whole")
    made = [0]

    def interrupting(actor: Any, batch: Any) -> Any:
        made[0] += 1
        if made[0] == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return rloo_step(actor, batch)

    with monkeypatch.context() as patch:
        patch.setattr(rlhf, "rloo_step", interrupting)
        with pytest.raises(Stopped, match="stopped after step 2 of 4"):
            run_training(cfg, "rlhf", root=tmp_path / "cut")
    again = run_training(cfg, "rlhf", root=tmp_path / "cut")
    folders = [done.manifest.folder for done in (whole, again)]
    first, second = ((folder / "checkpoint" / "model.safetensors").read_bytes() for folder in folders)
    assert first == second
    before, after = load_folder(tiny.removeprefix("hf:")), load_folder(folders[0] / "checkpoint")
    moved = {name for name, p in before.named_parameters() if not torch.equal(p, after.get_parameter(name))}
    assert moved == {f"blocks.{i}.{m}.weight" for i in range(2) for m in ("attn.qkv", "attn.out", "mlp.up", "mlp.down")}
    assert all(".lora_" in name for name in load_file(folders[0] / "adapter" / "adapter_model.safetensors"))


def test_what_was_said_before_is_what_the_given_model_says(tiny: str, tmp_path: Path) -> None:
    """Whole training and training of an update measure from the same answers."""
    shared = {"rounds": 2, "peak_rate": 1e-2, "every": 0, "snapshots": 1}
    thin, full = (run_training(few(tiny, **shared, lora=lora), "rlhf", root=tmp_path) for lora in (2, 0))
    said = [{row.key: row.evidence["before"] for row in done.rows if "before" in row.evidence} for done in (thin, full)]
    assert said[0] == said[1] and len(said[0]) == 6
    assert thin.report.estimate("KL").value != 0
    # What is kept on the way is a model like any other.
    halfway, end = (load_folder(thin.manifest.folder / name) for name in ("snapshots/1", "checkpoint"))
    given = load_folder(tiny.removeprefix("hf:"))
    weights = [net.blocks[0].get_parameter("mlp.up.weight") for net in (given, halfway, end)]
    assert not torch.equal(weights[0], weights[1]) and not torch.equal(weights[1], weights[2])
    assert torch.equal(halfway.w_u, given.w_u)
