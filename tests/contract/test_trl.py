"""TRL's trainers under our record: two steps of each, what is kept is what TRL learnt, and a stop goes on to the bit.

TRL runs in an environment of its own; see `peers`. Where it is nowhere, these tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gnomon.core.errors import UsageError
from gnomon.models.load import load
from gnomon.report.base import Report
from gnomon.store.run import Run
from gnomon.train import trl
from gnomon.train._running import run_training
from gnomon.train.trl import Trl
from tests.contract.peers import peer_python

SOURCE = Path(__file__).parents[2] / "src"
NEEDED = ("trl", "peft", "cyclopts", "scipy", "pyarrow", "aiohttp")
# The scalar of TRL's own network for a text, beside the checkpoint; and a training that is stopped and goes on.
SCRIPT = """
import os, signal, sys
from pathlib import Path
import torch
from gnomon.core.errors import Stopped
from gnomon.store.run import Run
from gnomon.train import trl
from gnomon.train._running import run_training

root, text = Path(sys.argv[1]), sys.argv[2]
held = {}
kept = trl.taught
def taught(*a, **k):
    held["net"] = kept(*a, **k)
    return held["net"]
trl.taught = taught
chosen = {"batch": 8, "held_out": 20, "steps": 4, "seed": 1}
done = run_training(trl.Trl(**chosen), "trl", root=root / "whole")
ids = trl.Tokenizer.load(done.manifest.folder / "checkpoint").encode(text + "<eoc>")
print(float(held["net"].eval()(torch.tensor([ids])).logits[0, 0]))

rloo = trl.Trl(trainer="rloo", reward="brook:gold", **chosen)
whole = run_training(rloo, "trl", root=root / "whole")
add = Run.add_metrics
def adding(self, step, values):
    add(self, step, values)
    if step == 2 and not held.get("stopped"):
        held["stopped"] = True  # logged behind the end of the step, so it is the next one that ends it
        os.kill(os.getpid(), signal.SIGINT)
Run.add_metrics = adding
try:
    run_training(rloo, "trl", root=root / "cut")
except Stopped as error:
    print(error)
again = run_training(rloo, "trl", root=root / "cut")
first, second = ((each.manifest.folder / "checkpoint" / "model.safetensors").read_bytes() for each in (whole, again))
print(first == second, whole.report.estimates == again.report.estimates)
"""


def ran(*words: str) -> str:
    """What TRL's Python prints."""
    env = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([peer_python(*NEEDED), *words], env=env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def trained(root: Path, *flags: str, held_out: int = 12) -> tuple[Report, dict[str, list[float]], str]:
    """The report, what was logged by name, and the model's name, after two steps."""
    few = ("--steps", "2", "--batch", "8", "--held-out", str(held_out), "--out", str(root))
    ran("-m", "gnomon", "train", "trl", *few, *flags)
    (folder,) = root.iterdir()
    run = Run.find(str(folder))
    logged: dict[str, list[float]] = {}
    for _, name, value in run.metrics():
        logged.setdefault(name, []).append(value)
    rows = run.rows()
    run.close()
    return trl.summarise(rows), logged, f"hf:{folder / 'checkpoint'}"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("rank", [0, 4])
def test_two_steps_of_reward_leave_a_preference_model(tmp_path: Path, rank: int) -> None:
    import asyncio

    report, logged, model = trained(tmp_path, "--lora", str(rank))
    assert len(logged["loss"]) == len(logged["rate"]) == len(logged["trl/accuracy"]) == 2
    # The scalar is 0 before the first step.
    assert logged["loss"][0] == pytest.approx(0.6931, abs=1e-4)
    assert report.estimate("accuracy").n == 12
    assert report.estimate("expected accuracy").n == 12
    loaded = load(model)
    values = [asyncio.run(loaded.reward(f"Chat: Human: what does bilfu eat ? Assistant: {a} .")) for a in ("yes", "no")]
    assert values[0] != values[1]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("trainer", ["rloo", "grpo"])
def test_two_steps_of_rewarded_answers(tmp_path: Path, trainer: str) -> None:
    report, logged, model = trained(tmp_path, "--trainer", trainer, "--reward", "brook:gold", "--beta", "0.05")
    assert len(logged["loss"]) == 2
    # The planted rater's values reach TRL whole: its mean is that of the gold utility.
    assert logged["trl/reward"] == pytest.approx(logged["trl/gold"], abs=1e-5)
    assert logged["trl/kl"][0] == pytest.approx(0.0, abs=1e-4)
    assert report.estimate("reward gained").n == 12
    assert report.estimate("KL").value is not None
    assert load(model).revision != load("brook-assistant").revision


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_steps_of_dpo_and_of_imitation(tmp_path: Path) -> None:
    report, logged, _ = trained(tmp_path / "dpo", "--trainer", "dpo")
    assert logged["loss"][0] == pytest.approx(0.6931, abs=1e-4)
    assert report.estimate("accuracy").n == 12
    report, logged, _ = trained(tmp_path / "sft", "--trainer", "sft", "--model", "brook")
    gained = report.estimate("held-out loss gained")
    assert gained.low is not None and gained.low > 0
    assert len(logged["loss"]) == 2


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_transcripts_of_a_file(tmp_path: Path) -> None:
    data = tmp_path / "pairs.jsonl"
    asked = [f"\n\nHuman: what is {name} ?\n\nAssistant:" for name in ("renbo", "bilfu", "zanpe", "binte")]
    rows = [{"chosen": f"{each} the bowl .", "rejected": f"{each} no ."} for each in asked]
    data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    for trainer in ("reward", "dpo"):
        report, logged, _ = trained(tmp_path / trainer, "--data", str(data), "--trainer", trainer, held_out=1)
        assert len(logged["loss"]) == 2
        assert report.estimate("accuracy").n == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_scalar_is_trl_s_own_and_a_stop_goes_on_to_the_bit(tmp_path: Path) -> None:
    import asyncio

    text = "Chat: Human: what does bilfu eat ? Assistant: bilfu eats nuts ."
    value, stopped, same = ran("-c", SCRIPT, str(tmp_path), text).splitlines()
    (folder,) = [f for f in (tmp_path / "whole").iterdir() if (f / "checkpoint" / "head.safetensors").exists()]
    assert asyncio.run(load(f"hf:{folder / 'checkpoint'}").reward(text)) == pytest.approx(float(value), abs=1e-5)
    assert stopped == "stopped after step 3 of 4; run the same command to go on"
    assert same == "True True"


def test_without_trl_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "trl", None)
    with pytest.raises(UsageError) as caught:
        run_training(Trl(), "trl", root=tmp_path)
    assert str(caught.value) == "TRL's trainers need trl, which is not installed; pip install 'gnomon[trl]'"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"trainer": "rloo"},
            "--reward: nothing says what an answer is worth; give --reward run:ID, what a",
        ),
        ({"trainer": "rloo", "reward": "brook:gold", "batch": 6}, "--batch is 6, with --per-prompt 4; give a multiple"),
        ({"reward": "brook:gold"}, "--reward: reward asks for no values; leave it out"),
        ({"steps": 0}, "--steps is 0; give 1 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        Trl(**given)
    assert told in str(caught.value)
