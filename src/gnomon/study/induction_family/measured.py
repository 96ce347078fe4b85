"""Every snapshot of every series, read once: a run a series, whose rows are its models."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gnomon.core.engine import spread
from gnomon.core.errors import UsageError
from gnomon.core.progress import progress
from gnomon.core.record import Row
from gnomon.explain.induction.snapshots import Shown, read_snapshot
from gnomon.models.families import load_folder
from gnomon.models.load import checkpoint_folder
from gnomon.report.base import Report
from gnomon.store.run import Run
from gnomon.study._trained import environment
from gnomon.study.induction_family.series import Series, Snapshot

__all__ = ["Measured", "measure"]


class Measured(NamedTuple):
    """A series, the run that holds what was read of it, and its rows by rising step; gaps have no row."""

    series: Series
    run: str
    rows: list[Row]

    @property
    def name(self) -> str:
        """The series'."""
        return self.series.name

    @property
    def report(self) -> Report:
        """Nothing of its own: the study reads rows together."""
        return Report(title=self.name)

    @property
    def about(self) -> dict[str, Any]:
        """Its models by step."""
        return {"models": {str(each.step): each.model for each in self.series.snapshots}}


class _Task(NamedTuple):
    """One snapshot to read: of the series of this place."""

    series: int
    snapshot: Snapshot
    shown: Shown


def measure(series: Sequence[Series], shown: Shown, *, root: Path | None, workers: int) -> list[Measured]:
    """What is read of every model; what earlier calls read is kept."""
    where = f"processes:{workers}" if workers > 1 else "inline"
    with environment(root, workers), ExitStack() as stack:
        runs = [
            stack.enter_context(Run.open("explain", "induction-snapshots", _identity(each, shown), root=root))
            for each in series
        ]
        wanted = [_Task(i, s, shown) for i, each in enumerate(series) for s in each.snapshots if s.revision]
        done = [run.keys() for run in runs]
        tasks = [task for task in wanted if str(task.snapshot.step) not in done[task.series]]
        with progress(len(wanted), "snapshots", done=len(wanted) - len(tasks)) as bar:
            for place, row in spread(_read, tasks, where=where):
                runs[place].add([row], [int(row.key)])
                bar.advance(1, estimate=f"{series[place].name}, step {row.key}")
        return [Measured(each, run.id, run.rows()) for each, run in zip(series, runs, strict=True)]


def _read(task: _Task) -> tuple[int, Row]:
    net = load_folder(checkpoint_folder(task.snapshot.model))
    limit, needed = net.config.max_positions, max(task.shown.repeats.tokens_NT.shape[1], task.shown.tokens_NT.shape[1])
    if limit < needed:
        raise UsageError(f"{task.snapshot.model} has {limit} positions, and is to read {needed} tokens")
    back, config = task.shown.repeats.period - 1, net.config
    if config.window is not None and back >= config.window and all(map(config.windowed, range(config.num_layers))):
        what = f"every head of {task.snapshot.model} sees {config.window} tokens, and an earlier copy lies {back} back"
        raise UsageError(what, todo="name models with a longer window")
    key = str(task.snapshot.step)
    return task.series, Row(key=key, cluster=key, evidence=read_snapshot(net, task.shown))


def _identity(series: Series, shown: Shown) -> dict[str, Any]:
    """What decides the numbers: weights, and what is shown."""
    content = hashlib.blake2b(digest_size=8)
    for tokens in (shown.repeats.tokens_NT, shown.tokens_NT, shown.picked_MP):
        content.update(str(tuple(tokens.shape)).encode() + tokens.contiguous().numpy().tobytes())
    if shown.is_copy_NT is not None:
        content.update(shown.is_copy_NT.to(torch.uint8).numpy().tobytes())
    bands = [[each.start, each.stop] for each in (shown.late, shown.early)]
    models = {str(each.step): each.revision for each in series.snapshots if each.revision}
    # "reads" rises when a model's row holds more than before: rows of earlier runs lack it.
    return {"models": models, "shown": content.hexdigest(), "bands": bands, "ablated": shown.ablated, "reads": 2}
