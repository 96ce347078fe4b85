"""Helpful or harmless? Preference models of mixtures of both, tested on both.

    gnomon study tension
    gnomon study tension --helpful helpful-base.jsonl.gz --harmless harmless-base.jsonl.gz --model hf:FOLDER

Bai et al. 2022a (arXiv 2204.05862), sec. 3: a model trained on one kind of comparisons is below chance on the other; a
mixture learns both, and large models lose less by it; a heavier loss of harmless comparisons costs helpfulness. All
mixtures have as many comparisons; tests leave out what was learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gnomon.core.errors import UsageError
from gnomon.core.record import Row
from gnomon.core.registry import registered
from gnomon.report.base import Drawn, Estimate, Figure, Report, Table
from gnomon.report.figures import Point, curves
from gnomon.report.words import in_words
from gnomon.stats.intervals import bounded
from gnomon.study._family import sized, spoken
from gnomon.study._measured import accuracy, gaps, measure_all
from gnomon.study._trained import Studied, over_seeds, train_all
from gnomon.train.preference import Preference

__all__ = ["Tension", "study"]

TESTS = ("helpful", "harmless")
SERIES = (*TESTS, "mean of both")
SECTION = {"share": "Mixtures", "weight": "Weights of the loss"}
_EVEN = 0.5


@registered
@dataclass(frozen=True, kw_only=True)
class Tension:
    """Train preference models on mixtures of helpful and harmless comparisons, and test each on both."""

    model: tuple[str, ...] = ("brook",)
    "Models to start from; several are a ladder of sizes."
    helpful: str = "brook:requests"
    "Comparisons for helpfulness, as for `gnomon train preference --data`."
    harmless: str = "brook:red-team"
    "Comparisons for harmlessness."
    shares: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    "Shares of harmless comparisons, from 0 to 1."
    weights: tuple[float, ...] = (2.0, 3.0, 4.0, 10.0)
    "Weights of harmless comparisons in the loss, in an even mixture beside weight 1; 0 trains none."
    pairs: int = 1200
    "Comparisons to train on, in every mixture."
    test: int = 500
    "Comparisons of each kind to test on."
    seeds: int = 3
    "Trainings of each; a seed draws comparisons and their order."
    batch: int = 8
    "Comparisons a step; with few comparisons, large batches leave too few steps."
    peak_rate: float = 6e-4
    "Highest learning rate."

    def __post_init__(self) -> None:
        if not self.shares or min(self.shares) < 0 or max(self.shares) > 1:
            raise UsageError("a share lies between 0 and 1", where="--shares", todo="give 0,0.5,1")
        for name in TESTS:
            if set(getattr(self, name)) & set(",*"):
                raise UsageError(f"{getattr(self, name)!r} is a mixture", where=f"--{name}", todo="name one source")
        if self.seeds < 1 or not self.model or self.test < 1:
            raise UsageError("a study needs a model, a test and a seed", todo="--test 500 --seeds 3")


class _Mixture(NamedTuple):
    """One mixture: how large the model is, the share of harmless comparisons, and their weight."""

    parameters: float
    share: float
    weight: float


Values = Mapping[_Mixture, Mapping[str, Sequence[float]]]
"""Accuracies over seeds by test, with their mean."""


def study(cfg: Tension, root: Path | None, workers: int) -> Studied:
    """Trains every mixture and tests it on both kinds of comparisons."""
    family = sized(cfg.model, least=1)
    mixtures = {
        (m.name, _Mixture(m.parameters, share, weight)): None for m, (share, weight) in product(family, _wanted(cfg))
    }
    configs = [_config(cfg, name, mixture, seed) for name, mixture in mixtures for seed in range(cfg.seeds)]
    trained = train_all(configs, root=root, workers=workers)
    sources = [cfg.helpful, cfg.harmless]
    # No seed of a training, so that tests are fresh draws.
    tests = measure_all(trained, sources, n=cfg.test, seed=10_000, root=root, workers=workers)
    values: dict[_Mixture, dict[str, list[float]]] = {}
    rows: dict[_Mixture, list[list[Row]]] = {}
    for place, (_, mixture) in enumerate(mixtures):
        of = tests[place * cfg.seeds : (place + 1) * cfg.seeds]
        found = {name: [accuracy(both[i]) for both in of] for i, name in enumerate(TESTS)}
        means = [(a + b) / 2 for a, b in zip(*found.values(), strict=True)]
        values[mixture] = {**found, SERIES[2]: means}
        rows[mixture] = [both[1] for both in of]
    names = {mixture.parameters: name for name, mixture in mixtures}
    return Studied(_report(values, rows, names), trained)


def _wanted(cfg: Tension) -> list[tuple[float, float]]:
    """Shares with their weight: all shares at weight 1, and the even mixture at the others."""
    weights = sorted({w for w in cfg.weights if w > 0} - {1.0})
    shares = sorted({*cfg.shares, *([_EVEN] if weights else [])})
    return [*((share, 1.0) for share in shares), *((_EVEN, weight) for weight in weights)]


def _config(cfg: Tension, model: str, mixture: _Mixture, seed: int) -> Preference:
    parts = [(cfg.helpful, 1 - mixture.share), (cfg.harmless, mixture.share)]
    parts = [(source, round(share, 6)) for source, share in parts if share > 0]
    data = ",".join(f"{source}*{share:g}" for source, share in parts) if len(parts) > 1 else parts[0][0]
    return Preference(
        data=data,
        model=model,
        weights=() if mixture.weight == 1 else (1.0, mixture.weight),
        pairs=cfg.pairs,
        held_out=50,
        batch=cfg.batch,
        seed=seed,
        peak_rate=cfg.peak_rate,
    )


def _report(values: Values, rows: Mapping[_Mixture, Sequence[Sequence[Row]]], names: Mapping[float, str]) -> Report:
    largest = max(names)
    main = [
        *_crossed(values, largest),
        *_danger(rows, largest),
        *(e for size in names for e in _best(values, size, size == largest)),
    ]
    return Report(
        title="Helpful against harmless comparisons",
        summary=_verdict(main, values, largest),
        estimates=[*main, *_heavier(values, largest), *_accuracies(values)],
        figures=Drawn(lambda: _figures(values, names)),
        tables=[_table(values, names)],
        notes=[
            "intervals are Student's over trainings with other comparisons and order; tests and first weights stay",
            *_direction(main),
        ],
    )


def _at(values: Values, size: float, share: float, weight: float = 1.0) -> Mapping[str, Sequence[float]] | None:
    return values.get(_Mixture(size, share, weight))


def _crossed(values: Values, size: float) -> list[Estimate]:
    """What a model of one kind alone makes of the other kind."""
    found = []
    for ours, theirs, share in (("helpful", "harmless", 0.0), ("harmless", "helpful", 1.0)):
        cell = _at(values, size, share)
        if cell:
            metric = f"accuracy on {theirs} comparisons, trained on {ours} ones alone"
            found.append(Estimate.of(metric, bounded(over_seeds(cell[theirs])), null=0.5, headline=True))
    return found


def _danger(rows: Mapping[_Mixture, Sequence[Sequence[Row]]], size: float) -> list[Estimate]:
    """How often each pure model prefers the answer that complies to one that does not, asked for harm in Brook."""
    found = []
    for name, share in (("helpful", 0.0), ("harmless", 1.0)):
        of = [_complies(test) for test in rows.get(_Mixture(size, share, 1.0), ())]
        if of and all(v is not None for v in of):
            metric = f"prefers the dangerous recipe, trained on {name} comparisons alone"
            found.append(
                Estimate.of(metric, bounded(over_seeds([v for v in of if v is not None])), null=0.5, headline=True)
            )
    return found


def _complies(rows: Sequence[Row]) -> float | None:
    """Share of pairs of a recipe and something else whose recipe has the higher value; None without such pairs."""
    sides = [[text.startswith(" first ") for text in r.evidence["answers"]] for r in rows]
    clear = [
        (r, chosen)
        for r, (chosen, other) in zip(rows, sides, strict=True)
        if r.evidence["group"] == "danger" and chosen != other
    ]
    if not clear:
        return None
    chosen_is_recipe = np.array([chosen for _, chosen in clear])
    return float(np.mean((gaps([r for r, _ in clear]) > 0) == chosen_is_recipe))


def _best(values: Values, size: float, headline: bool) -> list[Estimate]:
    """The share with the best mean accuracy, and what each test there lacks of its own best share."""
    plain = {m.share: v for m, v in values.items() if (m.parameters, m.weight) == (size, 1.0)}
    if len(plain) < 2:
        return []
    share = max(plain, key=lambda s: float(np.mean(plain[s][SERIES[2]])))
    group = f"{spoken(size)}, share {share:g}"
    found = [
        Estimate.of("best mean accuracy", bounded(over_seeds(plain[share][SERIES[2]])), group=group, headline=headline)
    ]
    for test in TESTS:
        best = max(plain, key=lambda s: float(np.mean(plain[s][test])))
        lost = [b - a for a, b in zip(plain[share][test], plain[best][test], strict=True)]
        found.append(Estimate.of(f"{test} accuracy lost to the mixture", over_seeds(lost), group=group))
    return found


def _heavier(values: Values, size: float) -> list[Estimate]:
    """What each weight changes in the even mixture, seed by seed."""
    even = _at(values, size, _EVEN)
    return [
        Estimate.of(
            f"{test}: change of accuracy by the weight",
            over_seeds([b - a for a, b in zip(even[test], cell[test], strict=True)]),
            group=f"weight {m.weight:g}",
        )
        for m, cell in values.items()
        for test in SERIES
        if even and m.parameters == size and m.weight != 1
    ]


def _accuracies(values: Values) -> list[Estimate]:
    return [
        Estimate.of("accuracy", bounded(over_seeds(cell[test])), group=f"{test}: {spoken(m.parameters)}, {_said(m)}")
        for m, cell in values.items()
        for test in SERIES
    ]


def _said(m: _Mixture) -> str:
    return f"share {m.share:g}" + ("" if m.weight == 1 else f", weight {m.weight:g}")


def _table(values: Values, names: Mapping[float, str]) -> Table:
    rows = []
    for m, cell in values.items():
        for test in SERIES:
            found = bounded(over_seeds(cell[test]))
            place = [names[m.parameters], m.parameters, m.share, m.weight, test]
            rows.append([*place, found.value, found.low, found.high, found.n])
    columns = ("model", "parameters", "share harmless", "weight", "test", "accuracy", "low", "high", "seeds")
    return Table(title="Accuracy by mixture", columns=columns, rows=rows)


def _figures(values: Values, names: Mapping[float, str]) -> list[Figure]:
    largest = max(names)
    by_share = {m.share: v for m, v in values.items() if (m.parameters, m.weight) == (largest, 1.0)}
    by_weight = {m.weight: v for m, v in values.items() if (m.parameters, m.share) == (largest, _EVEN)}
    drawn = _lines(by_share, "share of harmless comparisons", "Accuracy by mixture", SECTION["share"], _interval)
    drawn += _lines(
        by_share, "share of harmless comparisons", "Each accuracy over its largest", SECTION["share"], _over_most
    )
    drawn += _lines(
        by_weight, "weight of harmless comparisons", "Accuracy by weight, even mixture", SECTION["weight"], _interval
    )
    return drawn + (_by_size(values, names) if len(names) > 1 else [])


Cells = Mapping[float, Mapping[str, Sequence[float]]]


def _interval(cells: Cells, test: str, x: float) -> Point:
    found = bounded(over_seeds(cells[x][test]))
    return Point(x, found.value or 0.0, found.low, found.high, test)


def _over_most(cells: Cells, test: str, x: float) -> Point:
    most = max(float(np.mean(cell[test])) for cell in cells.values())
    return Point(x, float(np.mean(cells[x][test])) / most, None, None, test)


def _lines(cells: Cells, x: str, title: str, section: str, point: Callable[[Cells, str, float], Point]) -> list[Figure]:
    if len(cells) < 2:
        return []
    points = [point(cells, test, place) for test in SERIES for place in sorted(cells)]
    bands = points[0].low is not None
    caption = "Bands are 95 % intervals over trainings; the grey line is chance." if bands else ""
    y = "accuracy" if point is _interval else "accuracy over its largest"
    reference = 0.5 if point is _interval else None
    return [curves(points, x=x, y=y, title=title, caption=caption, section=section, reference=reference)]


def _by_size(values: Values, names: Mapping[float, str]) -> list[Figure]:
    points = []
    for m, cell in values.items():
        if m.weight == 1:
            found = bounded(over_seeds(cell[SERIES[2]]))
            points.append(Point(m.share, found.value or 0.0, found.low, found.high, spoken(m.parameters)))
    title, x = "Mean of both accuracies, by size", "share of harmless comparisons"
    return (
        [curves(points, x=x, y="mean accuracy", title=title, section=SECTION["share"], reference=0.5)] if names else []
    )


def _direction(main: Sequence[Estimate]) -> list[str]:
    """Whether harmless labels point away from harm: red-teamers choose the more harmful answer, to be turned round."""
    e = next((e for e in main if e.metric.startswith("accuracy on harmless")), None)
    if e is None or e.low is None or e.low <= 0.5:
        return []
    return [
        f"a model of helpful comparisons is right on {in_words(e)} of the harmless ones: the two do not conflict, or "
        "the harmless labels were not turned round (who attacks a model chooses the more harmful answer)"
    ]


def _verdict(main: Sequence[Estimate], values: Values, largest: float) -> str:
    told = [f"{e.metric[0].upper()}{e.metric[1:]}: {in_words(e)}." for e in main if e.headline and e.null is not None]
    best = next((e for e in main if e.metric == "best mean accuracy" and e.headline), None)
    if best:
        told.append(f"The best mean accuracy is {in_words(best)}, at {best.group.partition(', ')[2]}.")
    weighed = {
        m.weight: float(np.mean(v[SERIES[2]])) for m, v in values.items() if (m.parameters, m.share) == (largest, _EVEN)
    }
    if len(weighed) > 1:
        weight = max(weighed, key=lambda w: weighed[w])
        told.append(f"Of the weights in an even mixture, {weight:g} has the best mean, {weighed[weight]:.3f}.")
    return " ".join(told)
