"""Imitation, binary discrimination or ranking: which reading of the same comparisons gives the better judge?

    gnomon study objectives
    gnomon study objectives --model run:7f3a,run:19ab,brook --pairs 300,1000,3000 --seeds 3 --workers 2

Askell et al. 2021 (arXiv 2112.00861), sec. 3: where answers are better and worse by degrees, a ranked
preference model is far above imitation and grows faster with size; where each answer is right or wrong by itself, there
is little between them. Trainings of one seed learn the same comparisons and are measured on the same ones, so readings
are compared seed by seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gnomon.core.errors import UsageError
from gnomon.core.registry import registered
from gnomon.report.base import Drawn, Estimate, Figure, Report, Table
from gnomon.report.figures import Point, curves
from gnomon.stats.intervals import bounded
from gnomon.study._family import sized, spoken
from gnomon.study._measured import accuracy, planted
from gnomon.study._trained import Studied, Trained, over_seeds, train_all
from gnomon.study.objectives.rerank import with_choices
from gnomon.train.preference import Preference

__all__ = ["Objectives", "study"]

READINGS = ("ranked", "binary", "imitation", "imitation a token")
SECTION = {"ranked": "Better and worse by degrees", "judged": "Right or wrong by itself"}


@registered
@dataclass(frozen=True, kw_only=True)
class Objectives:
    """Learn the same comparisons by ranking, by binary discrimination and by imitation, over sizes and numbers."""

    model: tuple[str, ...] = ("brook",)
    "Models to start from; several are a ladder of sizes."
    ranked: str = "brook"
    "Comparisons of answers that are better and worse by degrees, as for `gnomon train preference --data`."
    judged: str = "brook:rules"
    "Comparisons of answers that are right or wrong by themselves."
    pairs: tuple[int, ...] = (300, 1000, 3000)
    "Comparisons to train on."
    held_out: int = 600
    "Comparisons to measure on."
    seeds: int = 3
    "Trainings of each; a seed draws comparisons and their order."
    batch: int = 8
    "Comparisons a step; with few comparisons, large batches leave too few steps."
    peak_rate: float = 6e-4
    "Highest learning rate of ranking and discrimination."
    imitation_rate: float = 1e-3
    "Highest learning rate of imitation."
    rerank: int = 0
    "Questions of Brook whose best of 1 to 32 answers the ranked model and log-probability choose; 0 for none."

    def __post_init__(self) -> None:
        if self.seeds < 1 or not self.pairs or not self.model:
            raise UsageError("a study needs a model, a number of pairs and a seed", todo="--pairs 300,3000 --seeds 3")


class _Place(NamedTuple):
    """Where in the study a training stands; `kind` is "ranked" or "judged", the nature of the comparisons."""

    kind: str
    parameters: float
    pairs: int
    seed: int


Values = Mapping[tuple[_Place, str], float]
"""Accuracy by place and reading."""


def study(cfg: Objectives, root: Path | None, workers: int) -> Studied:
    """Trains every reading on both kinds of comparisons, and compares their accuracy on held-out ones.

    Accuracy is the chance that the answer of the higher value is the one that the rater chooses, from the rater's own
    probability where it is planted; else the share of choices that were made.
    """
    family = sized(cfg.model, least=1)
    names = {m.parameters: m.name for m in family}
    asked = {
        (_Place(kind, m.parameters, n, seed), objective): Preference(
            data=getattr(cfg, kind),
            model=m.name,
            objective=objective,
            pairs=n,
            held_out=cfg.held_out,
            batch=cfg.batch,
            seed=seed,
            peak_rate=cfg.imitation_rate if objective == "imitation" else cfg.peak_rate,
        )
        for kind, m, n, seed in product(SECTION, family, sorted(cfg.pairs), range(cfg.seeds))
        for objective in ("ranked", "binary", "imitation")
    }
    trained = train_all(list(asked.values()), root=root, workers=workers)
    values: dict[tuple[_Place, str], float] = {}
    for (place, objective), done in zip(asked, trained, strict=True):
        values[place, objective] = accuracy(done.rows)
        if objective == "imitation":
            values[place, "imitation a token"] = accuracy(done.rows, a_token=True)
    report = _report(cfg, values, names, _best(asked, trained))
    if cfg.rerank:
        last = _Place("ranked", max(names), max(cfg.pairs), 0)
        by_reading = {
            objective: [
                t for (p, o), t in zip(asked, trained, strict=True) if (p._replace(seed=0), o) == (last, objective)
            ]
            for objective in ("ranked", "imitation")
        }
        report = with_choices(report, by_reading, cfg.rerank, root=root, workers=workers)
    return Studied(report, trained)


def _best(asked: Iterable[tuple[_Place, str]], trained: Sequence[Trained]) -> dict[str, float]:
    """The accuracy of the best predictor of each kind of comparisons, where the rater is planted."""
    by_kind: dict[str, list[float]] = {}
    for (place, _), done in zip(asked, trained, strict=True):
        p = planted(done.rows)
        if p is not None:
            by_kind.setdefault(place.kind, []).append(float(np.maximum(p, 1 - p).mean()))
    return {kind: float(np.mean(found)) for kind, found in by_kind.items()}


def _report(cfg: Objectives, values: Values, names: Mapping[float, str], best: Mapping[str, float]) -> Report:
    most, largest = max(cfg.pairs), max(names)
    at_end = {kind: _gain(values, kind, largest, most) for kind in SECTION}
    gains = [
        _gain(values, kind, size, n, f"{_named(kind)}, {spoken(size)}, {n} pairs")
        for kind, size, n in product(SECTION, names, sorted(cfg.pairs))
    ]
    slopes = [e for kind in SECTION for e in _slopes(values, kind, largest, most)]
    table = _table(values, names)
    summary = _verdict(at_end, slopes, most, names[largest])
    return Report(
        title="Imitation, binary discrimination and ranking of the same comparisons",
        summary=summary,
        estimates=[*at_end.values(), *gains, *slopes, *_accuracies(values), *_ceilings(best)],
        figures=Drawn(lambda: _figures(values, most, largest, best)),
        tables=[table],
        notes=[
            "intervals are Student's over trainings with other comparisons, order and held-out comparisons; the models "
            "that they start from are the same",
            *(["one training each: nothing says how far another would be"] if cfg.seeds == 1 else []),
        ],
    )


def _named(kind: str) -> str:
    return SECTION[kind].lower()


def _over(values: Values, kind: str, size: float, pairs: int, reading: str) -> list[float]:
    """The accuracies over seeds, in the order of seeds."""
    found = [
        (p.seed, v)
        for (p, r), v in values.items()
        if (p.kind, p.parameters, p.pairs, r) == (kind, size, pairs, reading)
    ]
    return [v for _, v in sorted(found)]


def _gain(values: Values, kind: str, size: float, pairs: int, group: str = "") -> Estimate:
    """Accuracy of the scalar's reading that suits the kind, less that of imitation in its better reading."""
    ours = "ranked" if kind == "ranked" else "binary"
    theirs = max(READINGS[2:], key=lambda r: float(np.mean(_over(values, kind, size, pairs, r))))
    pairs_of = zip(*(_over(values, kind, size, pairs, r) for r in (ours, theirs)), strict=True)
    gained = over_seeds([a - b for a, b in pairs_of])
    return Estimate.of(f"{ours} above imitation", gained, group=group or _named(kind), headline=not group)


def _slopes(values: Values, kind: str, largest: float, most: int) -> list[Estimate]:
    """What ten times the parameters, at the most pairs, or the pairs, at the largest size, add to each reading."""
    sizes, numbers = (sorted({getattr(p, name) for p, _ in values}) for name in ("parameters", "pairs"))
    found = []
    for reading in READINGS:
        by_size = [_over(values, kind, size, most, reading) for size in sizes]
        by_number = [_over(values, kind, largest, n, reading) for n in numbers]
        for of, x, y in (("parameters", sizes, by_size), ("pairs", numbers, by_number)):
            if len(x) > 1:
                slope = np.polyfit([math.log10(v) for v in x], np.array(y), 1)[0]
                group = f"{_named(kind)}: {reading}"
                found.append(
                    Estimate.of(f"accuracy gained by ten times the {of}", over_seeds(slope.tolist()), group=group)
                )
    return found


def _cells(values: Values) -> list[tuple[str, float, int, str]]:
    return list(dict.fromkeys((p.kind, p.parameters, p.pairs, reading) for p, reading in values))


def _accuracies(values: Values) -> list[Estimate]:
    return [
        Estimate.of(
            "accuracy",
            bounded(over_seeds(_over(values, *cell))),
            group=f"{_named(kind)}: {reading}, {spoken(size)}, {n} pairs",
        )
        for cell in _cells(values)
        for kind, size, n, reading in [cell]
    ]


def _ceilings(best: Mapping[str, float]) -> list[Estimate]:
    reason = "known: the mean of the planted probabilities over the held-out comparisons"
    return [Estimate(metric="Bayes accuracy", value=v, group=_named(kind), reason=reason) for kind, v in best.items()]


def _table(values: Values, names: Mapping[float, str]) -> Table:
    rows = []
    for kind, size, n, reading in _cells(values):
        found = bounded(over_seeds(_over(values, kind, size, n, reading)))
        rows.append([_named(kind), names[size], size, n, reading, found.value, found.low, found.high, found.n])
    columns = ("comparisons", "model", "parameters", "pairs", "reading", "accuracy", "low", "high", "seeds")
    return Table(title="Accuracy by reading", columns=columns, rows=rows)


def _figures(values: Values, most: int, largest: float, best: Mapping[str, float]) -> list[Figure]:
    return [
        figure
        for kind in SECTION
        for of, fixed in (("parameters", most), ("pairs", largest))
        for figure in _figure(values, kind, of, fixed, best.get(kind))
    ]


def _figure(values: Values, kind: str, of: str, fixed: float, best: float | None) -> list[Figure]:
    """Accuracy against parameters or pairs, the other one fixed; none where there is one only."""
    points = []
    for _, size, n, reading in [cell for cell in _cells(values) if cell[0] == kind]:
        x, other = (size, n) if of == "parameters" else (n, size)
        if other == fixed:
            found = bounded(over_seeds(_over(values, kind, size, n, reading)))
            points.append(Point(x, found.value or 0.0, found.low, found.high, reading))
    places = sorted({p.x for p in points})
    if len(places) < 2:
        return []
    points += [Point(x, best, None, None, "best there can be") for x in places if best is not None]
    at = f"{spoken(fixed)} parameters" if of == "pairs" else f"{fixed:g} pairs"
    caption = f"At {at}. Bands are 95 % intervals over trainings; the grey line is chance."
    title = f"{SECTION[kind]}: accuracy by {of}"
    axis = "parameters" if of == "parameters" else "comparisons to train on"
    return [
        curves(
            points, x=axis, y="accuracy", title=title, caption=caption, section=SECTION[kind], log_x=True, reference=0.5
        )
    ]


def _verdict(at_end: Mapping[str, Estimate], slopes: Sequence[Estimate], most: int, model: str) -> str:
    ranked, judged = at_end["ranked"], at_end["judged"]
    told = f"At the largest size ({model}) and {most} pairs, ranked PM above imitation by {_points(ranked)} points"
    for of in ("parameters", "pairs"):
        by = {e.group.rpartition(": ")[2]: e for e in slopes if of in e.metric and e.group.startswith(_named("ranked"))}
        if by:
            ours, theirs = _points(by["ranked"]), _points(by["imitation"])
            told += f"; slope per decade of {of} {ours} points, of imitation {theirs}"
    apart = f"where each answer is right or wrong by itself, binary above imitation by {_points(judged)} points"
    return f"{told}; {apart}{_none(judged)}."


def _none(e: Estimate) -> str:
    inside = e.low is not None and e.high is not None and e.low <= 0 <= e.high
    return ": no difference beyond the spread of trainings" if inside else ""


def _points(e: Estimate) -> str:
    """A difference of accuracies in points."""
    if e.value is None:
        return "an unknown number of"
    if e.low is None or e.high is None:
        return f"{100 * e.value:.1f}"
    return f"{100 * e.value:.1f} ({100 * e.low:.1f} to {100 * e.high:.1f})"
