"""The training loop: resumed equals uninterrupted to the bit, whatever was cut where."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from gnomon.core.errors import DataError, RunError, Stopped
from gnomon.learn.loop import Fit, StepResult, fit, one_thread_if_small
from gnomon.learn.optim import Optim, learning_rate

STEPS = 12
PLAN = Fit(num_steps=STEPS, optim=Optim(warmup_steps=3), log_every=4, save_every_s=0.0)


class Log:
    """Metrics in memory; a step written twice keeps the later values."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, float]] = {}

    def add_metrics(self, step: int, values: Mapping[str, float]) -> None:
        self.rows[step] = dict(values)


class Killed(Exception):
    """Stands for a process that ends between two steps."""


def network() -> nn.Module:
    """Has a tied weight and dropout: shared memory to save and a generator that must resume."""
    torch.manual_seed(5)
    first, last = nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)
    last.weight = first.weight
    return nn.Sequential(first, nn.LayerNorm(6), nn.Dropout(0.3), last)


def batches(index: int) -> Tensor:
    return torch.randn(8, 6, generator=torch.Generator().manual_seed(index))


def step(model: nn.Module, batch: Tensor) -> StepResult:
    loss = (model(batch) - batch.flip(1)).square().mean()
    return StepResult(loss, {"double": 2 * loss.detach()})


def train(folder: Path, *, kill_at: int = STEPS, plan: Fit = PLAN, log: Log | None = None) -> tuple[nn.Module, Log]:
    model, log = network(), log or Log()

    def fetch(index: int) -> Tensor:
        if index == kill_at:
            raise Killed
        return batches(index)

    fit(step, fetch, model, fit=plan, log=log, state=folder / "state.safetensors")
    return model, log


@pytest.mark.parametrize("kill_at", range(STEPS))
def test_killed_at_any_step_and_resumed_equals_uninterrupted(tmp_path: Path, kill_at: int) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, whole_log = train(tmp_path / "a")
    cut_log = Log()
    with pytest.raises(Killed):
        train(tmp_path / "b", kill_at=kill_at, log=cut_log)
    resumed, _ = train(tmp_path / "b", log=cut_log)
    for (name, want), got in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(want, got), name
    assert cut_log.rows == whole_log.rows
    assert sorted(cut_log.rows) == [4, 8, 12]


@pytest.mark.parametrize("kill_at", [1, 3, 4, 7, 11])
def test_steps_that_belong_together_are_resumed_together(tmp_path: Path, kill_at: int) -> None:
    """Their batches come from the weights before the first of them, as a policy's answers do."""
    plan = replace(PLAN, together=4)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()

    def trained(folder: Path, kill_at: int) -> tuple[nn.Module, list[int]]:
        model, asked = network(), []
        offset = [0.0]

        def fetch(index: int) -> Tensor:
            if index == kill_at:
                raise Killed
            asked.append(index)
            if index % 4 == 0:
                offset[0] = float(next(model.parameters()).detach().sum())
            return batches(index) + offset[0]

        fit(step, fetch, model, fit=plan, state=folder / "state.safetensors")
        return model, asked

    whole, _ = trained(tmp_path / "a", STEPS)
    with pytest.raises(Killed):
        trained(tmp_path / "b", kill_at)
    resumed, asked = trained(tmp_path / "b", STEPS)
    assert asked[0] == kill_at // 4 * 4
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_no_batch_ends_the_training(tmp_path: Path) -> None:
    model, log = network(), Log()
    fit(step, lambda i: batches(i) if i < 8 else None, model, fit=PLAN, log=log, state=tmp_path / "state.safetensors")
    assert sorted(log.rows) == [4, 8]
    again = network()
    fit(step, lambda i: None, again, fit=PLAN, log=log, state=tmp_path / "state.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_a_state_older_than_the_kill_gives_the_same_weights(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, _ = train(tmp_path / "a")
    old: bytes = b""

    def fetch(index: int) -> Tensor:
        nonlocal old
        if index == 5:
            old = (tmp_path / "b" / "state.safetensors").read_bytes()
        return batches(index)

    fit(step, fetch, network(), fit=PLAN, log=Log(), state=tmp_path / "b" / "state.safetensors")
    (tmp_path / "b" / "state.safetensors").write_bytes(old)
    resumed, _ = train(tmp_path / "b")
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_ctrl_c_finishes_the_step_saves_and_raises_stopped(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, _ = train(tmp_path / "a")
    plan = Fit(num_steps=STEPS, optim=PLAN.optim, log_every=4, save_every_s=1e9)

    def interrupting(index: int) -> Tensor:
        if index == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return batches(index)

    with pytest.raises(Stopped, match=r"stopped after step 7 of 12; run the same command to go on"):
        fit(step, interrupting, network(), fit=plan, log=Log(), state=tmp_path / "b" / "state.safetensors")
    resumed, _ = train(tmp_path / "b", plan=plan)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_the_callers_generator_threads_and_signal_handler_are_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(1)
    want = torch.rand(1)
    threads, handler = torch.get_num_threads(), signal.getsignal(signal.SIGINT)
    torch.manual_seed(1)
    model = network()
    torch.manual_seed(1)
    fit(step, batches, model, fit=PLAN, log=Log(), state=tmp_path / "state.safetensors")
    assert torch.equal(torch.rand(1), want)
    assert torch.get_num_threads() == threads
    assert signal.getsignal(signal.SIGINT) is handler


def test_watching_does_not_change_the_weights_and_is_logged(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    plain, _ = train(tmp_path / "a")
    log, watched = Log(), network()

    def watch(model: nn.Module) -> Mapping[str, float]:
        assert not model.training
        return {"drawn": float(torch.rand(1))}

    plan = Fit(num_steps=STEPS, optim=PLAN.optim, log_every=4, watch_every=5)
    fit(step, batches, watched, fit=plan, log=log, state=tmp_path / "s.safetensors", watch=watch)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), watched.parameters(), strict=True))
    assert [s for s, row in sorted(log.rows.items()) if "drawn" in row] == [5, 10, 12]


def test_logged_metrics_are_means_over_the_steps_of_a_row(tmp_path: Path) -> None:
    seen: list[float] = []

    def noting(model: nn.Module, batch: Tensor) -> StepResult:
        result = step(model, batch)
        seen.append(result.loss.item())
        return result

    log = Log()
    fit(noting, batches, network(), fit=PLAN, log=log, state=tmp_path / "state.safetensors")
    assert log.rows[8]["loss"] == pytest.approx(sum(seen[4:8]) / 4)
    assert log.rows[8]["double"] == pytest.approx(2 * log.rows[8]["loss"])


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    def broken(model: nn.Module, batch: Tensor) -> StepResult:
        return StepResult(step(model, batch).loss * float("nan"))

    with pytest.raises(RunError, match="the loss of step 1 is nan; lower the rate and start with --fresh"):
        fit(broken, batches, network(), fit=PLAN, log=Log(), state=tmp_path / "state.safetensors")


@pytest.mark.parametrize("damage", [b"", b"not a state at all, but long enough to have a header"])
def test_a_damaged_state_is_refused(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "state.safetensors").write_bytes(damage)
    with pytest.raises(DataError, match="the training state does not fit"):
        train(tmp_path)


def test_a_state_of_another_shape_is_refused(tmp_path: Path) -> None:
    train(tmp_path)
    with pytest.raises(DataError, match="does not fit"):
        fit(step, batches, nn.Linear(6, 6), fit=PLAN, log=Log(), state=tmp_path / "state.safetensors")


@given(
    num_steps=st.integers(1, 500),
    warmup=st.integers(0, 50),
    final=st.floats(0, 1),
)
def test_the_rate_rises_to_its_peak_then_falls_and_never_leaves_zero_to_peak(
    num_steps: int, warmup: int, final: float
) -> None:
    optim = Optim(peak=1.0, final=final, warmup_steps=warmup)
    rates = [learning_rate(s, num_steps, optim) for s in range(num_steps)]
    top = min(warmup, num_steps)
    assert all(a <= b for a, b in pairwise(rates[:top]))
    assert all(a >= b for a, b in pairwise(rates[top:]))
    assert all(0 < r <= 1 + 1e-9 for r in rates)


def test_the_rate_is_halved_again_and_again() -> None:
    optim = Optim(peak=1.0, final=1.0, warmup_steps=2, halve_every=2.5)
    assert [learning_rate(s, 8, optim) for s in range(8)] == [0.5, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25]


def test_only_matrices_decay() -> None:
    from gnomon.learn.optim import adamw

    decays = {
        p.dim(): g["weight_decay"] for g in adamw(network().parameters(), Optim()).param_groups for p in g["params"]
    }
    assert decays == {2: 0.05, 1: 0.0}


def test_one_thread_for_a_small_model_only() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread_if_small(network()):
            assert torch.get_num_threads() == 1
        with one_thread_if_small(nn.Linear(2500, 2500)):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
