"""How do an evaluation's numbers change with the size of the model?

    gnomon study sizes self-knowledge --model run:7f3a,run:19ab,brook --only calibration

Kadavath et al. 2022, figs. 1, 3, 12 and 13: one evaluation on a family of models, its metrics against parameters on a
log axis. Every model is asked the same items, so sizes are compared item by item.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from gnomon.core.registry import registered
from gnomon.report.base import Drawn, Estimate, Figure, Report, Table
from gnomon.report.figures import Point, curves
from gnomon.study._family import Ask, Asked, Studied, asked, per_tenfold, sized, spoken
from gnomon.trial.compare import Pairing, paired

__all__ = ["Sizes", "study"]

SECTION = "Against size"


@registered
@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Ask models of several sizes the same items; draw every number against their parameters."""

    model: tuple[str, ...] = ()
    "The models; `gnomon models` says how to name one."
    parameters: tuple[float, ...] = ()
    "Their numbers of parameters, in the same order, such as 8e9,70e9; by default they are counted in the weights."


def study(cfg: Sizes, config: Any, name: str, ask: Ask) -> Studied:
    """The evaluation `config`, registered as `name`, on every model, and what changes with their size.

    Raises:
        UsageError: no family, or a size that is not known.
    """
    family = sized(cfg.model, cfg.parameters)
    runs = [asked(m.name, m.parameters, ask(config, m.name)) for m in family]
    pictures = _pictures(config, runs)
    shown = [
        replace(e, group=" · ".join(filter(None, (e.group, run.name))), headline=False)
        for of_runs in pictures.values()
        for run, some in zip(runs, of_runs, strict=True)
        for e in some
    ]
    steps = [Pairing(f"{b.name} less {a.name}", a.rows, b.rows) for a, b in pairwise(runs)]
    differences, table = paired(steps)
    report = Report(
        title=f"{name} against the size of the model",
        summary=_summary(runs),
        estimates=[*per_tenfold(runs), *(replace(e, headline=False) for e in differences), *shown],
        figures=Drawn(lambda: [*_figures(pictures, runs), *_overlay(config, runs)]),
        tables=[_runs_table(runs), *([replace(table, section="Between sizes")] if differences else [])],
        notes=[
            "intervals count items: they say what other items would show, not what other trainings of these sizes would"
        ],
    )
    return Studied(report, runs)


def _pictures(config: Any, runs: Sequence[Asked]) -> Mapping[str, list[list[Estimate]]]:
    """Title to the estimates drawn under it, a list for each run; by default the headline's, a picture a metric."""
    choose = getattr(config, "pictures", None)
    by_run = [choose(r.report.estimates) if choose else _headline(r, runs) for r in runs]
    titles = dict.fromkeys(title for found in by_run for title in found)
    return {title: [list(found.get(title, ())) for found in by_run] for title in titles}


def _headline(run: Asked, runs: Sequence[Asked]) -> Mapping[str, Sequence[Estimate]]:
    """Estimates that are in the headline of any run: which ones a report puts there may depend on the model."""
    first = {(e.metric, e.group) for r in runs for e in r.report.estimates if e.headline}
    found: dict[str, list[Estimate]] = {}
    for e in run.report.estimates:
        if (e.metric, e.group) in first:
            found.setdefault(e.metric, []).append(e)
    return found


def _figures(pictures: Mapping[str, list[list[Estimate]]], runs: Sequence[Asked]) -> list[Figure]:
    figures = []
    for title, of_runs in pictures.items():
        points = [
            point for run, some in zip(runs, of_runs, strict=True) for e in some for point in _points(e, run.parameters)
        ]
        if len({p.x for p in points}) < 2:
            continue
        caption = "Bands are 95 % intervals over items; every size was asked the same."
        if any(e.null is not None for some in of_runs for e in some):
            caption += ' "If calibrated" is what a calibrated model of the same confidences shows on average.'
        figures.append(
            curves(
                points, x="parameters", y=title, title=f"{title}, by size", caption=caption, section=SECTION, log_x=True
            )
        )
    return figures


def _points(e: Estimate, parameters: float) -> list[Point]:
    if e.value is None:
        return []
    points = [Point(parameters, e.value, e.low, e.high, e.group or e.metric)]
    if e.null is not None:
        points.append(Point(parameters, e.null, None, None, f"{e.group or e.metric}, if calibrated"))
    return points


def _overlay(config: Any, runs: Sequence[Asked]) -> list[Figure]:
    """The evaluation's own pictures of several models' rows, where it has some."""
    draw = getattr(config, "overlay", None)
    return list(draw({f"{r.name} ({spoken(r.parameters)})": r.rows for r in runs})) if draw else []


def _runs_table(runs: Sequence[Asked]) -> Table:
    rows = [[r.name, r.parameters, r.run, len(r.rows)] for r in runs]
    return Table(title="Runs", columns=("model", "parameters", "run", "rows"), rows=rows, section=SECTION)


def _summary(runs: Sequence[Asked]) -> str:
    small, large = runs[0], runs[-1]
    return (
        f"{len(runs)} models from {spoken(small.parameters)} ({small.name}) to {spoken(large.parameters)} "
        f"({large.name}) parameters, asked the same items."
    )
