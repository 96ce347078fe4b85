"""What studies of trainings share: every training once, several at a time, and intervals over independent ones.

A training's run is named by the hash of its config and data, so studies share the trainings that they have in common,
and a study that was killed goes on where it stopped.
"""

from __future__ import annotations

import csv
import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from gnomon.core.config import to_json
from gnomon.core.engine import spread
from gnomon.core.errors import Diverged, UsageError
from gnomon.core.progress import Bar, progress, unseen
from gnomon.core.record import Row
from gnomon.core.registry import names
from gnomon.report.base import Report, Table
from gnomon.stats.intervals import Interval, t_interval, undefined
from gnomon.store.export import to_parquet
from gnomon.store.files import replace_file
from gnomon.store.run import Run
from gnomon.study._family import Studied, keep_study
from gnomon.train._running import Training, finished_training, run_training

__all__ = [
    "RESULTS",
    "Studied",
    "Trained",
    "environment",
    "over_seeds",
    "run_trainings",
    "shared",
    "train_all",
    "train_each",
]

T = TypeVar("T")
R = TypeVar("R")

RESULTS = "results.parquet"
"""A study's rows, in its run's folder."""


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
    """One training to do, as a worker process is told; `spare` gives back what diverged in place of raising it."""

    id: str
    config: Any
    name: str
    root: Path | None
    spare: bool


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
    return [each for each in _each(configs, root, workers, spare=False) if isinstance(each, Trained)]


def train_each(configs: Sequence[Any], *, root: Path | None, workers: int = 1) -> list[Trained | Diverged]:
    """As `train_all`, but a training that diverged is given back as its error, and the others go on."""
    return _each(configs, root, workers, spare=True)


def _each(configs: Sequence[Any], root: Path | None, workers: int, *, spare: bool) -> list[Trained | Diverged]:
    if workers < 1:
        raise UsageError(f"--workers is {workers}", todo="give at least 1")
    with environment(root, workers):
        wanted = {repr(config): config for config in configs}
        found = {key: finished_training(config, _method(config), root=root) for key, config in wanted.items()}
        left = [key for key, done in found.items() if done is None]
    tasks = [_Task(key, wanted[key], _method(wanted[key]), root, spare) for key in left]
    with progress(len(wanted), "trainings", done=len(wanted) - len(tasks)) as bar:
        done = shared(_train, tasks, root=root, workers=workers, bar=bar)
    errors = {task.id: error for task, error in done if isinstance(error, Diverged)}
    with environment(root, workers):
        found |= {key: finished_training(wanted[key], _method(wanted[key]), root=root) for key in left}
    return [errors.get(repr(c)) or _trained(c, found[repr(c)]) for c in configs]


def shared(fn: Callable[[T], R], tasks: Sequence[T], *, root: Path | None, workers: int, bar: Bar) -> list[tuple[T, R]]:
    """Each task with what `fn` makes of it, in order: here, in `workers` processes, or in all that torchrun started.

    Those share the folder of runs, and each does a part of the tasks by itself; all have to call, and wait for each
    other.

    Args:
        fn: a function of a module.
        tasks: those of the first process count, because another one may look when some are done already.
        bar: is advanced by one for every task that is done here, with its result where that is text.
    """
    from gnomon.learn.parallel import alone, from_first, gathered, ranks

    wanted, me = from_first(list(tasks)), ranks()
    mine = list(enumerate(wanted))[me.rank :: me.size]
    found: dict[int, R] = {}
    with environment(root, workers), alone():
        # One process is this one, so that Ctrl-C reaches the training and its state is saved.
        where = f"processes:{workers}" if workers > 1 else "inline"
        for place, value in spread(partial(_placed, fn), mine, where=where):
            found[place] = value
            bar.advance(1, estimate=value if isinstance(value, str) else "")
    return list(zip(wanted, gathered([found[place] for place, _ in mine]), strict=True))


def _placed(fn: Callable[[T], R], task: tuple[int, T]) -> tuple[int, R]:
    return task[0], fn(task[1])


@contextmanager
def environment(root: Path | None, workers: int) -> Iterator[None]:
    """Inside, here and in processes started here, `run:ID` is looked for in `root`; each of several has one thread.

    What is trained inside is trained by one process alone, also where torchrun started several.
    """
    wanted = {"WORLD_SIZE": "1"} | ({"GNOMON_RUNS": str(root)} if root else {})
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

    The run's rows are the trainings; beside them lie every table of the report as a CSV file, and the rows of the study
    as `RESULTS`. Of several processes that torchrun started together, the first writes and returns; the others end
    here, with exit code 0.

    Args:
        cfg: its module's `study(cfg, root, workers)` does the work.
    """
    from gnomon.learn.parallel import joined

    with joined() as me:
        studied: Studied = import_module(type(cfg).__module__).study(cfg, root, workers)
    if me.rank:
        sys.exit(0)
    run = keep_study(name, {"config": to_json(cfg)}, studied, root)
    to_parquet(studied.rows, run.folder / RESULTS)
    for table in studied.report.tables:
        replace_file(run.folder / f"{_slug(table.title)}.csv", _csv(table))
    return studied, run


def _train(task: _Task) -> str | Diverged:
    with unseen():
        try:
            done = run_training(task.config, task.name, root=task.root)
        except Diverged as error:
            if not task.spare:
                raise
            return error
    first = next((e for e in done.report.estimates if e.headline), None)
    return f"{first.metric} {first.value:.3f}" if first and first.value is not None else ""


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
