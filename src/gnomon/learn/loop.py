"""The one training loop. The algorithm is a step function; this file owns everything else.

A trainer hands over `step(model, batch) -> StepResult` and `batches(i)`, the batch of step `i` as a function of `i`
alone, so that a resumed run sees what an uninterrupted one would have seen. The loop owns the optimiser, the rate,
the log, the saved state and the ending: killed at any step and started again, it gives the same weights to the bit.

A batch may come in parts, whose losses, gradients and metrics add up to those of the batch: forwarded one after the
other where memory is short (accumulation), and in several processes at once (`gnomon.learn.parallel`).
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from gnomon.core.errors import Diverged, Stopped, UsageError
from gnomon.learn.checkpoint import load_state, save_state
from gnomon.learn.optim import Optim, adamw, learning_rate, update
from gnomon.learn.parallel import Sharded, from_first, ranks, summed
from gnomon.learn.thrift import need_bfloat16, recomputed

__all__ = ["LOGGED", "Fit", "MetricLog", "StepResult", "fit", "interruptible", "one_thread_if_small"]

Batch = TypeVar("Batch")

# What the loop itself logs; every other metric comes from the step function or the readout.
LOGGED = ("loss", "grad_norm", "rate")
# On a busy machine two threads ran at a fifteenth of the speed of one; on a free one they gain 1.6x at this size.
_SMALL_PARAMETERS = 5_000_000


class StepResult(NamedTuple):
    """What a step function returns.

    Attributes:
        loss: scalar that the optimiser lowers; of a part of a batch, the part's share in the loss of the batch.
        metrics: numbers to log beside it; likewise, and averaged over the steps of a log line.
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
        together: steps that use what was drawn before the first of them; states are saved, and training stops, only
            after the last.
        drawn: batches are drawn from the model that was given, so before the first of these steps it is brought to
            where training is.
        watch_every: steps between calls of `watch`; 0 calls it at the end only.
        bf16: bfloat16 autocast around the step function; shards are whole bfloat16.
        recompute: keep less for the gradient and compute it again.
    """

    num_steps: int
    optim: Optim = field(default_factory=Optim)
    seed: int = 0
    log_every: int = 20
    save_every_s: float = 30.0
    together: int = 1
    drawn: bool = False
    watch_every: int = 0
    bf16: bool = False
    recompute: bool = False


def fit(
    step: Callable[[nn.Module, Batch], StepResult],
    batches: Callable[[int], Batch | list[Batch] | None],
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
        batches: the batch of step i, 0 <= i < num_steps, or a list of its parts; of several processes, of this one's.
            None ends the training before that step.
        model: on any device; only parameters with `requires_grad` move.
        fit: lengths and intervals.
        log: gets a row every `fit.log_every` steps: loss, gradient norm, rate, the step's own metrics.
        state: the file that training resumes from; None keeps nothing. It stays behind, at step `num_steps`.
        watch: a readout of the model in evaluation mode, logged every `fit.watch_every` steps and at the end.
        on_log: called after each row of metrics, for a progress line.

    Raises:
        Stopped: Ctrl-C; the state is saved and the same call goes on from there.
        Diverged: the loss is not finite; the state before that step stays.
        UsageError: there are several processes, and batches that do not come in parts; bfloat16 where there is none.
    """
    if fit.bf16:
        need_bfloat16()
    learner = _Learner(step, model, fit)
    state = from_first(state)
    alone = one_thread_if_small(model)
    with torch.random.fork_rng(), alone, recomputed(learner.model, fit.recompute), interruptible() as stop:
        torch.manual_seed(fit.seed)
        resumed = from_first(state is not None and state.exists())
        done, notes = load_state(state, learner.model, learner.optimizer) if state and resumed else (0, {})
        sums = _Sums(notes.get("sums", {}), notes.get("count", 0))
        kept = _Kept(state, learner, fit)
        for index in range(done, fit.num_steps):
            if fit.drawn and index % fit.together == 0:
                learner.give_back()
            batch = batches(index)
            if batch is None:
                break
            sums.add(learner.one_step(batch, index))
            row = _row(index + 1, fit, sums, learner, watch)
            _tell(index + 1, row, log, on_log)
            stopping = kept.save_if_due(index + 1, sums, stop.is_set())
            if stopping and index + 1 < fit.num_steps:
                raise _stopped(index + 1, fit, state)
        learner.give_back()


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

    def __init__(self, path: Path | None, learner: _Learner, fit: Fit) -> None:
        self.path, self.learner, self.fit = path, learner, fit
        self.saved_at = time.monotonic()

    def save_if_due(self, done: int, sums: _Sums, stop: bool) -> bool:
        """Whether to stop, which all processes do where one is asked to; their first one's clock says what is due."""
        if done % self.fit.together:
            return False
        late = ranks().rank == 0 and time.monotonic() - self.saved_at >= self.fit.save_every_s
        wanted = summed({"stop": stop, "late": late})
        if self.path and (done == self.fit.num_steps or any(wanted.values())):
            save_state(self.path, self.learner.model, self.learner.optimizer, step=done, notes=sums.notes())
            self.saved_at = time.monotonic()
        return wanted["stop"] > 0


class _Learner:
    """What moves: the model itself, or of several processes this one's shard of it.

    Attributes:
        model: the module whose parameters the optimiser has.
        optimizer: over those of them that learn.
    """

    def __init__(self, step: Callable[[nn.Module, Any], StepResult], model: nn.Module, fit: Fit) -> None:
        self.given, self.fit = model, fit
        self.sharded = Sharded(step, model, bf16=fit.bf16) if ranks().size > 1 else None
        self.model = self.sharded.model if self.sharded else model
        self._forward: Callable[[Any], StepResult] = self.sharded or partial(step, model)
        self.optimizer = adamw(self.model.parameters(), fit.optim)

    def one_step(self, batch: Any, index: int) -> dict[str, float]:
        """Takes step `index`; its loss, the gradient's norm, the rate, and the step function's metrics."""
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        found: dict[str, float] = {}
        for part in _parts(batch):
            loss, metrics = self._forwarded(part)
            for name, value in {"loss": loss.detach(), **metrics}.items():
                found[name] = found.get(name, 0.0) + float(value)
            # Sharded gradients are averaged over the processes, and parts add up.
            (loss if self.sharded is None else loss * ranks().size).backward()  # type: ignore[no-untyped-call]
        found = summed(found)
        if not math.isfinite(found["loss"]):
            what = f"the loss of step {index + 1} is {found['loss']}"
            raise Diverged(what, todo="lower the rate and start with --fresh")
        rate = learning_rate(index, self.fit.num_steps, self.fit.optim)
        norm = update(self.optimizer, rate=rate, clip=self.fit.optim.clip)
        return {"loss": found.pop("loss"), "grad_norm": norm, "rate": rate, **found}

    def give_back(self) -> None:
        """Brings the model that was given to where the shards are."""
        if self.sharded:
            self.sharded.give_back(self.given)

    def _forwarded(self, part: Any) -> StepResult:
        device = next(self.model.parameters()).device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.fit.bf16 and self.sharded is None):
            return self._forward(part)


def _parts(batch: Any) -> list[Any]:
    if isinstance(batch, list):
        return batch
    if ranks().size > 1:
        raise UsageError(f"{ranks().size} processes cannot share this training", todo="start it without torchrun")
    return [batch]


def _tell(
    done: int,
    row: Mapping[str, float],
    log: MetricLog | None,
    on_log: Callable[[int, Mapping[str, float]], None] | None,
) -> None:
    if row and log is not None:
        log.add_metrics(done, row)
    if row and on_log is not None:
        on_log(done, row)


def _stopped(done: int, fit: Fit, state: Path | None) -> Stopped:
    todo = "run the same command to go on" if state else "nothing was kept"
    return Stopped(f"stopped after step {done} of {fit.num_steps}", todo=todo)


def _row(
    done: int, fit: Fit, sums: _Sums, learner: _Learner, watch: Callable[[nn.Module], Mapping[str, float]] | None
) -> dict[str, float]:
    last = done == fit.num_steps
    row: dict[str, float] = {}
    if last or done % fit.log_every == 0:
        row |= sums.take()
    if watch and (last or (fit.watch_every and done % fit.watch_every == 0)):
        learner.give_back()
        learner.given.eval()
        # A readout that draws must not move the training's own generator.
        with torch.no_grad(), torch.random.fork_rng():
            row |= watch(learner.given)
    return row


@contextmanager
def interruptible() -> Iterator[threading.Event]:
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
