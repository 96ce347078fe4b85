"""The one training loop. The algorithm is a step function; this file owns everything else.

A trainer hands over `step(model, batch) -> StepResult` and `batches(i)`, the batch of step `i` as a function of `i`
alone, so that a resumed run sees what an uninterrupted one would have seen. The loop owns the optimiser, the rate,
the log, the saved state and the ending: killed at any step and started again, it gives the same weights to the bit.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from gnomon.core.errors import RunError, Stopped
from gnomon.learn.checkpoint import load_state, save_state
from gnomon.learn.optim import Optim, adamw, learning_rate, update

__all__ = ["LOGGED", "Fit", "MetricLog", "StepResult", "fit", "one_thread_if_small"]

Batch = TypeVar("Batch")

# What the loop itself logs; every other metric comes from the step function or the readout.
LOGGED = ("loss", "grad_norm", "rate")
# On a busy machine two threads ran at a fifteenth of the speed of one; on a free one they gain 1.6x at this size.
_SMALL_PARAMETERS = 5_000_000


class StepResult(NamedTuple):
    """What a step function returns.

    Attributes:
        loss: scalar that the optimiser lowers.
        metrics: numbers to log beside it; averaged over the steps of a log line.
    """

    loss: Tensor
    metrics: Mapping[str, float | Tensor] = {}


class MetricLog(Protocol):
    """Where metrics go; a run is one. Writing a step twice keeps the later values."""

    def add_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Keeps `values` as the metrics of `step`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How long to train, and how often to write down.

    Attributes:
        num_steps: optimiser steps in all.
        optim: the optimiser and its schedule.
        seed: seeds torch's generator (dropout, sampling inside a step); the caller's generator is left alone.
        log_every: steps to a row of metrics.
        save_every_s: seconds between saved states.
        watch_every: steps between calls of `watch`; 0 calls it at the end only.
        bf16: bfloat16 autocast around the step function.
    """

    num_steps: int
    optim: Optim = field(default_factory=Optim)
    seed: int = 0
    log_every: int = 20
    save_every_s: float = 30.0
    watch_every: int = 0
    bf16: bool = False


def fit(
    step: Callable[[nn.Module, Batch], StepResult],
    batches: Callable[[int], Batch],
    model: nn.Module,
    *,
    fit: Fit,
    log: MetricLog | None = None,
    state: Path | None = None,
    watch: Callable[[nn.Module], Mapping[str, float]] | None = None,
    on_log: Callable[[int, Mapping[str, float]], None] | None = None,
) -> None:
    """Trains `model` in place; resumes from the file `state` when it is there.

    Args:
        step: the algorithm; draws randomness from torch's global generator only.
        batches: the batch of step i, 0 <= i < num_steps.
        model: on any device; only parameters with `requires_grad` move.
        fit: lengths and intervals.
        log: gets a row every `fit.log_every` steps: loss, gradient norm, rate, the step's own metrics.
        state: the file that training resumes from; None keeps nothing. It stays behind, at step `num_steps`.
        watch: a readout of the model in evaluation mode, logged every `fit.watch_every` steps and at the end.
        on_log: called after each row of metrics, for a progress line.

    Raises:
        Stopped: Ctrl-C; the state is saved and the same call goes on from there.
        RunError: the loss is not finite; the state before that step stays.
    """
    optimizer = adamw(model.parameters(), fit.optim)
    with torch.random.fork_rng(), one_thread_if_small(model), _interruptible() as stop:
        torch.manual_seed(fit.seed)
        done, notes = load_state(state, model, optimizer) if state and state.exists() else (0, {})
        sums = _Sums(notes.get("sums", {}), notes.get("count", 0))
        kept = _Kept(state, model, optimizer, fit)
        for index in range(done, fit.num_steps):
            sums.add(_one_step(step, batches(index), model, optimizer, fit, index))
            row = _row(index + 1, fit, sums, model, watch)
            _tell(index + 1, row, log, on_log)
            kept.save_if_due(index + 1, sums, stop.is_set())
            if stop.is_set() and index + 1 < fit.num_steps:
                raise _stopped(index + 1, fit, state)


@contextmanager
def one_thread_if_small(model: nn.Module) -> Iterator[None]:
    """Inside, torch uses one thread when `model` has under five million parameters; its setting returns afterwards."""
    before = torch.get_num_threads()
    if sum(p.numel() for p in model.parameters()) < _SMALL_PARAMETERS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Sums:
    """Sums of the metrics since the last row, kept in the state so that a kill does not change a logged mean."""

    def __init__(self, sums: Mapping[str, float], count: int) -> None:
        self.sums, self.count = dict(sums), count

    def add(self, values: Mapping[str, float]) -> None:
        self.count += 1
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def take(self) -> dict[str, float]:
        means = {name: value / self.count for name, value in self.sums.items()}
        self.sums, self.count = {}, 0
        return means

    def notes(self) -> dict[str, Any]:
        return {"sums": self.sums, "count": self.count}


class _Kept:
    """Writes the state when it is due: after so many seconds, at the end, and before stopping."""

    def __init__(self, path: Path | None, model: nn.Module, optimizer: torch.optim.Optimizer, fit: Fit) -> None:
        self.path, self.model, self.optimizer, self.fit = path, model, optimizer, fit
        self.saved_at = time.monotonic()

    def save_if_due(self, done: int, sums: _Sums, stopping: bool) -> None:
        due = stopping or done == self.fit.num_steps or time.monotonic() - self.saved_at >= self.fit.save_every_s
        if self.path and due:
            save_state(self.path, self.model, self.optimizer, step=done, notes=sums.notes())
            self.saved_at = time.monotonic()


def _one_step(
    step: Callable[[nn.Module, Batch], StepResult],
    batch: Batch,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    fit: Fit,
    index: int,
) -> dict[str, float]:
    model.train()
    device = next(model.parameters()).device.type
    with torch.autocast(device, torch.bfloat16, enabled=fit.bf16):
        loss, metrics = step(model, batch)
    value = loss.item()
    if not math.isfinite(value):
        raise RunError(f"the loss of step {index + 1} is {value}", todo="lower the rate and start with --fresh")
    rate = learning_rate(index, fit.num_steps, fit.optim)
    norm = update(optimizer, loss, rate=rate, clip=fit.optim.clip)
    return {"loss": value, "grad_norm": norm, "rate": rate, **{name: float(m) for name, m in metrics.items()}}


def _tell(
    done: int,
    row: Mapping[str, float],
    log: MetricLog | None,
    on_log: Callable[[int, Mapping[str, float]], None] | None,
) -> None:
    if row and log:
        log.add_metrics(done, row)
    if row and on_log:
        on_log(done, row)


def _stopped(done: int, fit: Fit, state: Path | None) -> Stopped:
    todo = "run the same command to go on" if state else "nothing was kept"
    return Stopped(f"stopped after step {done} of {fit.num_steps}", todo=todo)


def _row(
    done: int, fit: Fit, sums: _Sums, model: nn.Module, watch: Callable[[nn.Module], Mapping[str, float]] | None
) -> dict[str, float]:
    last = done == fit.num_steps
    row: dict[str, float] = {}
    if last or done % fit.log_every == 0:
        row |= sums.take()
    if watch and (last or (fit.watch_every and done % fit.watch_every == 0)):
        model.eval()
        # A readout that draws must not move the training's own generator.
        with torch.no_grad(), torch.random.fork_rng():
            row |= watch(model)
    return row


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Turns Ctrl-C into an event, so that no step is cut in half; in other threads the event just stays unset."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
