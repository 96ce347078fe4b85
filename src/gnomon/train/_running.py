"""One training run: resumed where it stopped, with a report on what it logged."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from gnomon.core.errors import Stopped
from gnomon.core.progress import unseen
from gnomon.report.base import Estimate, Report

if TYPE_CHECKING:
    from gnomon.core.record import Row
    from gnomon.store.run import Manifest, Metric, Run

__all__ = ["CHECKPOINT", "Training", "finished_training", "run_training", "training_report"]

# Where in its run's folder every trainer leaves the model; `run:ID` looks for it there.
CHECKPOINT = "checkpoint"

_NO_INTERVAL = "one training run; train with other seeds for a spread"


class Training(NamedTuple):
    """What a training run left: its model's name (`run:ID`), its manifest, rows and report, and seconds it took now."""

    model: str
    manifest: Manifest
    rows: Sequence[Row]
    report: Report
    seconds: float


def run_training(config: Any, name: str, *, fresh: bool = False, root: Path | None = None) -> Training:
    """Trains by the method that `config` configures; the same call goes on where an earlier one stopped.

    What an earlier call finished is read, not trained again. Of several processes that torchrun started together, the
    first writes the run and returns; the others end here, with exit code 0.

    Args:
        config: an instance of a class registered under "train"; its module's `train(config, run)` does the work, its
            `identity(config)`, if it has one, gives what else decides the numbers, such as hashes of files, and its
            `summarise(rows)` a report on the rows that training left.
        name: its registered name.
        fresh: forget an earlier run of the same configuration.
        root: folder of the runs; None is GNOMON_RUNS or ./runs.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        found = None if fresh else finished_training(config, name, root=root)
        return found or _train(config, name, fresh=fresh, root=root)
    from gnomon.learn.parallel import from_first, joined

    with joined() as me:
        found = None if fresh or me.rank else finished_training(config, name, root=root)
        done = from_first(found is not None)
        if me.rank:
            sys.exit(0 if done else _follow(config, name))
        return found or _train(config, name, fresh=fresh, root=root)


def finished_training(config: Any, name: str, *, root: Path | None = None) -> Training | None:
    """What `run_training` left of this configuration when it was done; None where it was not."""
    from gnomon.store.run import Run

    began = monotonic()
    place = Run.place("train", name, _identity(config), root=root)
    if not (place / CHECKPOINT).is_dir():
        return None
    with closing(Run.find(str(place))) as run:
        return _training(config, run, began) if run.status == "done" else None


def _train(config: Any, name: str, *, fresh: bool, root: Path | None) -> Training:
    from gnomon.store.run import Run

    began = monotonic()
    with Run.open("train", name, _identity(config), root=root, fresh=fresh) as run:
        _module(config).train(config, run)
        run.finish("done")
        return _training(config, run, began)


def _follow(config: Any, name: str) -> int:
    """Takes part in a training that another process writes: its own run is thrown away, and it says nothing."""
    with unseen(), tempfile.TemporaryDirectory() as scratch:
        try:
            _train(config, name, fresh=False, root=Path(scratch))
        except Stopped as error:
            return error.exit_code
    return 0


def _training(config: Any, run: Run, began: float) -> Training:
    from gnomon.store.run import readable

    model, rows = f"run:{run.id}", run.rows()
    with readable(run.folder):
        found = _module(config).summarise(rows) if rows else None
    report = training_report(run.manifest.name, model, run.folder / CHECKPOINT, run.metrics(), found)
    return Training(model, run.manifest, rows, report, monotonic() - began)


def _module(config: Any) -> Any:
    return sys.modules[type(config).__module__]


def _identity(config: Any) -> dict[str, Any]:
    from gnomon.core.config import to_json

    module = _module(config)
    decides = module.identity(config) if hasattr(module, "identity") else {}
    return {"config": to_json(config), **decides}


def training_report(
    name: str, model: str, folder: Path, metrics: Sequence[Metric], found: Report | None = None
) -> Report:
    """What was measured of the trained model, then the last value of every logged metric, and their curves."""
    from gnomon.report.figures import learning

    lines: dict[str, list[tuple[int, float]]] = {}
    for step, metric, value in metrics:
        lines.setdefault(metric, []).append((step, value))
    estimates = [
        Estimate(
            metric=metric,
            value=line[-1][1],
            n=line[-1][0],
            reason=_NO_INTERVAL,
            headline=not found and metric == "loss",
        )
        for metric, line in lines.items()
    ]
    # A readout taken once, at the end, is a number and no curve.
    drawn = {metric: line for metric, line in lines.items() if len(line) > 1}
    curves = [learning(drawn, title="What training logged")] if drawn else []
    made = f"The checkpoint is {folder}; use it as --model {model}."
    if found is None:
        return Report(
            title=f"train {name}: {model}",
            summary=f"{made} n is the number of steps.",
            estimates=estimates,
            figures=curves,
        )
    return replace(
        found,
        title=f"train {name}: {model}, {found.title}",
        summary=f"{found.summary} {made} Of what was logged, n is the number of steps.",
        estimates=[*found.estimates, *estimates],
        figures=[*found.figures, *curves],
    )
