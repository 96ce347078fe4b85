"""What studies of several models share: how large the models are, and one run of an evaluation for each.

Shapes: M models, N items.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from gnomon.core.config import to_json
from gnomon.core.errors import UsageError
from gnomon.core.record import Row
from gnomon.report.base import Estimate, Report
from gnomon.stats.intervals import clustered_mean
from gnomon.store.files import replace_file
from gnomon.store.run import Run
from gnomon.trial.runner import Finished

__all__ = ["Ask", "Asked", "Part", "Studied", "asked", "keep_study", "per_tenfold", "run_study", "sized", "spoken"]


class Ask(Protocol):
    """Runs an evaluation on a model, or finds the run that holds it."""

    def __call__(self, config: Any, model: str) -> Finished:
        """The finished run."""
        ...


class Sized(NamedTuple):
    """A model and its number of parameters."""

    name: str
    parameters: float


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One run of a study.

    Attributes:
        name: what it is called in the study's tables: the model, or whose samples were judged by whom.
        parameters: of the model whose size the study varies.
        run: its id.
        rows: those without error.
    """

    name: str
    parameters: float
    run: str
    report: Report
    rows: Sequence[Row]

    @property
    def about(self) -> Mapping[str, Any]:
        """How large its model is."""
        return {"parameters": self.parameters}


class Part(Protocol):
    """One run that a study was read from: of an evaluation (`Asked`), or a training."""

    @property
    def name(self) -> str:
        """What the study's tables call it; no other run of the study is called so."""
        ...

    @property
    def run(self) -> str:
        """Its id."""
        ...

    @property
    def report(self) -> Report:
        """What its rows say."""
        ...

    @property
    def about(self) -> Mapping[str, Any]:
        """What it differs in from the study's other runs; JSON values."""
        ...


class Studied(NamedTuple):
    """A study's report, and what it was read from.

    Attributes:
        report: what the study says.
        runs: of evaluations or trainings.
        rows: what a study asked or read itself; without any, its own run has a row for each of `runs`.
        files: texts that it leaves for other commands to read, by file name.
        identity: what decides its numbers beside config and runs, such as the hash of a file.
    """

    report: Report
    runs: Sequence[Part]
    rows: Sequence[Row] = ()
    files: Mapping[str, str] = {}
    identity: Mapping[str, Any] = {}


def sized(models: Sequence[str], parameters: Sequence[float] = (), *, least: int = 2) -> list[Sized]:
    """Models with their sizes, the smallest first; sizes that are not given are counted in the weights.

    Raises:
        UsageError: fewer than `least` models, one named twice, or a size that is neither given nor can be counted.
    """
    if len(models) < least:
        raise UsageError(f"{len(models)} models are no family", todo="name two or more: --model A,B")
    twice = [m for m in models if models.count(m) > 1]
    if twice:
        raise UsageError(f"model {twice[0]!r} is named twice")
    if parameters and len(parameters) != len(models):
        raise UsageError(f"{len(parameters)} sizes for {len(models)} models", todo="give --parameters one a model")
    wrong = [p for p in parameters if not (p > 0 and math.isfinite(p))]
    if wrong:
        raise UsageError(f"a model of {wrong[0]:g} parameters", where="--parameters", todo="give numbers above 0")
    sizes = parameters or [_counted(m) for m in models]
    return sorted(map(Sized, models, sizes), key=lambda s: s.parameters)


def _counted(name: str) -> float:
    from gnomon.models.load import load

    model: Any = load(name)
    net = getattr(model, "net", None)
    # What `transformers` runs for us is one level further in.
    module: Any = getattr(net, "model", net)
    count = sum(p.numel() for p in module.parameters()) if hasattr(module, "parameters") else 0
    # A notebook's thread runs an event loop already.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, model.close()).result()
    if not count:
        raise UsageError(f"the size of {name!r} is not known", todo="give --parameters, one a model, such as 8e9,70e9")
    return float(count)


def asked(name: str, parameters: float, finished: Finished) -> Asked:
    """A finished run as part of a study."""
    run = Run.find(str(finished.run.folder))
    try:
        rows = [r for r in run.rows() if r.error is None]
    finally:
        run.close()
    return Asked(name=name, parameters=parameters, run=finished.run.id, report=finished.report, rows=rows)


def per_tenfold(runs: Sequence[Asked], of: str = "") -> list[Estimate]:
    """How much each per-item score changes when parameters grow tenfold: the least-squares slope over the models.

    The slope is linear in an item's scores [M], so its mean over items has the clustered interval of any paired
    difference. Only items that every run holds count. With two models it is their difference over the log10 of the
    ratio of their sizes.

    Args:
        of: added to the estimates' groups.
    """
    x = [math.log10(r.parameters) for r in runs]
    middle = sum(x) / len(x)
    squares = sum((v - middle) ** 2 for v in x)
    if squares == 0:
        return []
    weights = [(v - middle) / squares for v in x]
    tables = [{r.key: r for r in run.rows} for run in runs]
    slopes: dict[tuple[str, str], tuple[list[float], list[str]]] = {}
    for key, row in tables[0].items():
        if not all(key in t for t in tables):
            continue
        for metric in _scores(row):
            values = [_scores(t[key]).get(metric) for t in tables]
            if None in values:
                continue
            found, clusters = slopes.setdefault((metric, str(row.evidence.get("series", ""))), ([], []))
            found.append(sum(w * v for w, v in zip(weights, values, strict=True) if v is not None))
            clusters.append(row.cluster)
    return [
        Estimate.of(
            f"change of {metric} for ten times the parameters",
            clustered_mean(found, clusters),
            group=": ".join(filter(None, (series, of))),
            headline=True,
        )
        for (metric, series), (found, clusters) in slopes.items()
    ]


def spoken(parameters: float) -> str:
    """A number of parameters as people say it: 900k, 2.8M, 52B."""
    for unit, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if parameters >= unit:
            return f"{parameters / unit:.3g}{letter}"
    return f"{parameters:.3g}"


def run_study(
    cfg: Any, name: str, config: Any, evaluation: str, ask: Ask, *, seed: int = 0, root: Path | None = None
) -> tuple[Studied, Run]:
    """The study `cfg`, registered as `name`, of the evaluation `config`, and its own closed run.

    Args:
        ask: asks with the same seed, and keeps runs in the same folder.
    """
    studied: Studied = import_module(type(cfg).__module__).study(cfg, config, evaluation, ask)
    identity = {"study": to_json(cfg), "evaluation": evaluation, "config": to_json(config), "seed": seed}
    return studied, keep_study(name, identity, studied, root)


def keep_study(name: str, identity: Mapping[str, Any], studied: Studied, root: Path | None = None) -> Run:
    """The study's own run, with its rows and files."""
    whole = {**identity, **studied.identity, "runs": [r.run for r in studied.runs]}
    with Run.open("study", name, whole, root=root, fresh=True) as run:
        rows = studied.rows or [Row(key=r.name, cluster=r.name, evidence=_evidence(r)) for r in studied.runs]
        run.add(rows, range(len(rows)))
        for file, text in studied.files.items():
            replace_file(run.folder / file, text)
        run.finish("done")
    return run


def _evidence(run: Part) -> dict[str, Any]:
    headline = {f"{e.metric} [{e.group}]" if e.group else e.metric: e.value for e in run.report.estimates if e.headline}
    return {"run": run.run, **run.about, "headline": headline}


def _scores(row: Row) -> Mapping[str, float | None]:
    found: Mapping[str, float | None] = row.evidence.get("scores", {})
    return found
