"""Several processes, and several forwards, take the steps that one takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnomon.cli import main
from gnomon.cli.guard import resume_command
from gnomon.learn import parallel
from gnomon.learn.parallel import Ranks, ranks, split
from tests.unit._ranks import KINDS, PLAN, make, total, train

RANKS = Path(__file__).with_name("_ranks.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def together(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command of two processes, one thread each."""
    root = str(RANKS.parents[2])
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root, **environment}
    return subprocess.run([*TORCHRUN, *map(str, command)], env=env, capture_output=True, text=True, timeout=280)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """What each of two processes found, started by torchrun."""
    folder = tmp_path_factory.mktemp("two")
    done = together(RANKS, folder)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = (json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1))
    return first, second


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_have_the_losses_of_one(
    two: tuple[dict[str, Any], dict[str, Any]], kind: str, tmp_path: Path
) -> None:
    assert two[0]["size"] == 2
    alone, model = train(kind, tmp_path / "s.safetensors")
    for step, row in alone.items():
        for rank in two:
            assert rank[kind][str(step)] == pytest.approx(row, abs=1e-5, rel=1e-4), step
    assert two[0]["sum"][kind] == two[1]["sum"][kind] == pytest.approx(total(model), abs=1e-3)
    losses = [row["loss"] for row in alone.values()]
    assert losses[5] != pytest.approx(losses[0], abs=1e-3), "nothing was learnt"


def test_two_processes_take_parts_in_turn(two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    for step, row in two[0]["sft"].items():
        assert two[0]["parts"][step] == pytest.approx(row, abs=1e-5, rel=1e-4)


def test_two_processes_that_are_cut_off_go_on_to_the_bit(two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    assert two[0]["same"] and two[1]["same"]


def test_what_cannot_be_shared_is_refused_in_a_line(two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    assert two[0]["refusal"] == "2 processes cannot share this training; start it without torchrun"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("accumulate", [2, 5, 100])
def test_parts_have_the_loss_and_the_gradient_of_the_whole(kind: str, accumulate: int) -> None:
    model, step, lay, things = make(kind)
    for parameter in model.parameters():
        with torch.no_grad():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    whole = things(1)

    def taken(parts: list[list[Any]]) -> tuple[dict[str, float], list[torch.Tensor]]:
        model.zero_grad()
        sums: dict[str, float] = {}
        for part in parts:
            loss, metrics = step(model, lay(part, of=whole))
            loss.backward()
            for name, value in {"loss": loss.detach(), **metrics}.items():
                sums[name] = sums.get(name, 0.0) + float(value)
        return sums, [p.grad.clone() for p in model.parameters() if p.grad is not None]

    (want, gradients), (got, others) = taken([whole]), taken(split(whole, accumulate))
    assert len(split(whole, accumulate)) == min(accumulate, len(whole))
    assert got == pytest.approx(want, abs=1e-6, rel=1e-6)
    for a, b in zip(gradients, others, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_in_parts_is_the_training(kind: str, tmp_path: Path) -> None:
    whole, _ = train(kind, tmp_path / "a.safetensors")
    parts, _ = train(kind, tmp_path / "b.safetensors", accumulate=3)
    assert len(whole) == PLAN.num_steps
    for step, row in whole.items():
        assert parts[step] == pytest.approx(row, abs=1e-5, rel=1e-4)


@given(count=st.integers(1, 40), size=st.integers(1, 5), accumulate=st.integers(1, 9))
def test_every_thing_is_in_one_part_and_every_process_has_as_many_parts(count: int, size: int, accumulate: int) -> None:
    found = []
    with pytest.MonkeyPatch.context() as patch:
        for rank in range(size):
            patch.setattr(parallel, "ranks", lambda rank=rank: Ranks(rank, size))
            found.append(split(range(count), accumulate))
    assert sorted(thing for parts in found for part in parts for thing in part) == list(range(count))
    assert len({len(parts) for parts in found}) == 1
    assert len(found[0]) <= accumulate
    lengths = [len(part) for parts in found for part in parts]
    assert count < size or min(lengths) > 0


def test_a_process_alone_is_the_first_of_one() -> None:
    assert ranks() == Ranks(0, 1)
    with parallel.joined() as me:
        assert me == Ranks(0, 1)


def test_what_is_no_training_is_refused_under_torchrun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert main(["study", "pmp"]) == 2
    want = "gnomon: 2 processes have nothing to share but a training; start it without torchrun\n"
    assert capsys.readouterr().err == want


def test_a_stopped_training_of_several_goes_on_as_several(monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["train", "sft", "--fresh"]
    assert resume_command(command) == "gnomon train sft"
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert resume_command(command) == "torchrun --nproc-per-node 2 -m gnomon train sft"


@pytest.mark.slow
def test_the_command_on_two_processes_leaves_one_run(tiny: str, tmp_path: Path) -> None:
    from gnomon.store.run import Run
    from gnomon.train._running import run_training
    from gnomon.train.preference import Preference

    config = Preference(model=tiny, pairs=300, held_out=40, mu=0.5, lora=4, accumulate=2)
    alone = run_training(config, "preference", root=tmp_path / "one")
    flags = {
        "model": tiny,
        "pairs": 300,
        "held-out": 40,
        "mu": 0.5,
        "lora": 4,
        "accumulate": 2,
        "out": tmp_path / "two",
    }
    command = ["train", "preference", *(str(part) for name, value in flags.items() for part in (f"--{name}", value))]
    done = together("-m", "gnomon", *command)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [path.name for path in (tmp_path / "two").iterdir()] == [alone.manifest.folder.name]
    assert done.stdout.count("Right on") == 1
    metrics = []
    for root in ("one", "two"):
        run = Run.find(str(tmp_path / root / alone.manifest.folder.name))
        metrics.append({(step, name): value for step, name, value in run.metrics()})
        run.close()
    assert metrics[1] == pytest.approx(metrics[0], abs=1e-5, rel=1e-4)
    again = together("-m", "gnomon", *command)
    assert again.returncode == 0 and again.stdout.count("Right on") == 1


@pytest.mark.slow
def test_pretraining_on_several_processes_is_refused_in_a_line(tmp_path: Path) -> None:
    done = together("-m", "gnomon", "train", "pretrain", "--model-size", "xs", "--out", tmp_path)
    assert done.returncode != 0
    assert "gnomon: 2 processes cannot share this training; start it without torchrun\n" in done.stderr
