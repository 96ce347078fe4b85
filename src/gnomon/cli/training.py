"""One training run: resumed where it stopped, with a report on what it logged."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from gnomon.report.base import Estimate, Report

if TYPE_CHECKING:
    from gnomon.store.run import Manifest, Metric

__all__ = ["Trained", "run_training", "training_report"]

_NO_INTERVAL = "one training run; train with other seeds for a spread"


class Trained(NamedTuple):
    """What a training run left: its model's name (`run:ID`), its manifest, a report, and seconds of wall time."""

    model: str
    manifest: Manifest
    report: Report
    seconds: float


def run_training(config: Any, name: str, *, fresh: bool = False, root: Path | None = None) -> Trained:
    """Trains by the method that `config` configures; the same call goes on where an earlier one stopped.

    Args:
        config: an instance of a class registered under "train"; its module's `train(config, run)` does the work, its
            `identity(config)`, if it has one, gives what else decides the numbers, such as hashes of files, and its
            `summarise(rows)` a report on the rows that training left.
        name: its registered name.
        fresh: forget an earlier run of the same configuration.
        root: folder of the runs; None is GNOMON_RUNS or ./runs.
    """
    from gnomon.core.config import to_json
    from gnomon.store.run import Run

    module: Any = sys.modules[type(config).__module__]
    decides = module.identity(config) if hasattr(module, "identity") else {}
    began = monotonic()
    with Run.open("train", name, {"config": to_json(config), **decides}, root=root, fresh=fresh) as run:
        folder: Path = module.train(config, run)
        metrics, rows = run.metrics(), run.rows()
        run.finish("done")
        manifest = run.manifest
    model = f"run:{manifest.id}"
    found = module.summarise(rows) if rows else None
    return Trained(model, manifest, training_report(name, model, folder, metrics, found), monotonic() - began)


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
