"""One training run: resumed where it stopped, with a report on what it logged."""

from __future__ import annotations

import sys
from collections.abc import Sequence
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
        config: an instance of a class registered under "train"; its module's `train(config, run)` does the work.
        name: its registered name.
        fresh: forget an earlier run of the same configuration.
        root: folder of the runs; None is GNOMON_RUNS or ./runs.
    """
    from gnomon.core.config import to_json
    from gnomon.store.run import Run

    fit = sys.modules[type(config).__module__].train
    began = monotonic()
    with Run.open("train", name, {"config": to_json(config)}, root=root, fresh=fresh) as run:
        folder: Path = fit(config, run)
        metrics = run.metrics()
        run.finish("done")
        manifest = run.manifest
    model = f"run:{manifest.id}"
    return Trained(model, manifest, training_report(name, model, folder, metrics), monotonic() - began)


def training_report(name: str, model: str, folder: Path, metrics: Sequence[Metric]) -> Report:
    """The last value of every logged metric, and their curves."""
    from gnomon.report.figures import learning

    lines: dict[str, list[tuple[int, float]]] = {}
    for step, metric, value in metrics:
        lines.setdefault(metric, []).append((step, value))
    estimates = [
        Estimate(metric=metric, value=line[-1][1], n=line[-1][0], reason=_NO_INTERVAL, headline=metric == "loss")
        for metric, line in lines.items()
    ]
    # A readout taken once, at the end, is a number and no curve.
    drawn = {metric: line for metric, line in lines.items() if len(line) > 1}
    return Report(
        title=f"train {name}: {model}",
        summary=f"The checkpoint is {folder}; use it as --model {model}. n is the number of steps.",
        estimates=estimates,
        figures=[learning(drawn, title="What training logged")] if drawn else [],
    )
