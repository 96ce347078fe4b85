"""What studies of trainings share: every training once, several at a time, and intervals over independent ones.

A training's run is named by the hash of its config and data, so studies share the trainings that they have in common,
and a study that was killed goes on where it stopped.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gnomon.core.config import to_json
from gnomon.core.engine import spread
from gnomon.core.errors import UsageError
from gnomon.core.progress import progress, unseen
from gnomon.core.record import Row
from gnomon.core.registry import names
from gnomon.report.base import Report, Table
from gnomon.stats.intervals import Interval, t_interval, undefined
from gnomon.store.files import replace_file
from gnomon.store.run import Run
from gnomon.study._family import Studied, keep_study
from gnomon.train._running import Training, finished_training, run_training

__all__ = ["Studied", "Trained", "environment", "over_seeds", "run_trainings", "train_all"]


class Trained(NamedTuple):
    """One training of a study.

    Attributes:
        config: the frozen config of a registered training method.
        run: id of its run.
        model: `run:ID`, which every command takes.
        rows: what training measured, such as held-out comparisons with their values.
        report: what those rows say.
    """

    config: Any
    run: str
    model: str
    rows: list[Row]
    report: Report

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model

    @property
    def about(self) -> Mapping[str, Any]:
        """Its config."""
        return {"config": to_json(self.config)}


class _Task(NamedTuple):
    """One training to do, as a worker process is told."""

    id: str
    config: Any
    name: str
    root: Path | None


def train_all(configs: Sequence[Any], *, root: Path | None, workers: int = 1) -> list[Trained]:
    """Trains each config by its method, or finds the finished run of that config; one result a config, in order.

    Args:
        configs: instances of classes registered under "train"; the same one twice is trained once.
        root: folder of the runs, also for models named `run:ID`; None is GNOMON_RUNS or ./runs.
        workers: processes; with more than one, torch has one thread in each.

    Raises:
        Stopped: Ctrl-C; the same call goes on.
        GnomonError: a training failed; those that were done are kept.
    """
    if workers < 1:
        raise UsageError(f"--workers is {workers}", todo="give at least 1")
    with environment(root, workers):
        wanted = {repr(config): config for config in configs}
        found = {key: finished_training(config, _method(config), root=root) for key, config in wanted.items()}
        tasks = [_Task(key, wanted[key], _method(wanted[key]), root) for key, done in found.items() if done is None]
        with progress(len(wanted), "trainings", done=len(wanted) - len(tasks)) as bar:
            # One process is this one, so that Ctrl-C reaches the training and its state is saved.
            for key, shown in spread(_train, tasks, where=f"processes:{workers}" if workers > 1 else "inline"):
                found[key] = finished_training(wanted[key], _method(wanted[key]), root=root)
                bar.advance(1, estimate=shown)
    return [_trained(config, found[repr(config)]) for config in configs]


@contextmanager
def environment(root: Path | None, workers: int) -> Iterator[None]:
    """Inside, here and in processes started here, `run:ID` is looked for in `root`; each of several has one thread."""
    wanted = {"GNOMON_RUNS": str(root)} if root else {}
    wanted |= {"OMP_NUM_THREADS": "1"} if workers > 1 else {}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def over_seeds(values: Sequence[float]) -> Interval:
    """The mean of one number a training, with Student's interval over independent trainings; n = trainings.

    >>> round(over_seeds([0.7, 0.8, 0.9]).high, 3)
    1.048
    """
    n = len(values)
    if n < 2:
        value = float(values[0]) if n else None
        return undefined("one training; --seeds 3 gives a spread", n=n, clusters=n, value=value, method="t over seeds")
    sample = np.asarray(values, dtype=np.float64)
    error = float(sample.std(ddof=1) / np.sqrt(n))
    found = t_interval(float(sample.mean()), error, n=n, clusters=n, method="t over seeds")
    flat = "every training has the same value: the interval has no width"
    return replace(found, reason=flat) if error == 0 else found


def run_trainings(cfg: Any, name: str, *, workers: int = 1, root: Path | None = None) -> tuple[Studied, Run]:
    """The study of trainings `cfg`, registered as `name`, and its own closed run.

    The run's rows are the trainings; beside them lies every table of the report as a CSV file.

    Args:
        cfg: its module's `study(cfg, root, workers)` does the work.
    """
    studied: Studied = import_module(type(cfg).__module__).study(cfg, root, workers)
    run = keep_study(name, {"config": to_json(cfg)}, studied, root)
    for table in studied.report.tables:
        replace_file(run.folder / f"{_slug(table.title)}.csv", _csv(table))
    return studied, run


def _train(task: _Task) -> tuple[str, str]:
    with unseen():
        done = run_training(task.config, task.name, root=task.root)
    first = next((e for e in done.report.estimates if e.headline), None)
    said = f"{first.metric} {first.value:.3f}" if first and first.value is not None else ""
    return task.id, said


def _trained(config: Any, done: Training | None) -> Trained:
    assert done is not None
    return Trained(config, done.manifest.id, done.model, list(done.rows), done.report)


def _method(config: Any) -> str:
    """The name that the config's class is registered under."""
    module = type(config).__module__
    return next(name for name, where in names("train").items() if where == module)


def _csv(table: Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(table.rows)
    return text.getvalue()


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
