"""How good does a preference model get with size and comparisons, and can its values be read as win rates?

    gnomon study preference-scaling
    gnomon study preference-scaling --model run:7f3a,run:19ab,brook --pairs 300,1000,3000 --workers 2

Bai et al. 2022a (arXiv 2204.05862), sec. 2: accuracy against model size and data, fitted as a + b log N + c log D;
calibration; accuracy where both answers have high values. Brook's raters are planted, so accuracy stands beside that of
the best predictor (Bayes), the loss beside the rater's own entropy, and stated probabilities beside the true ones.
Askell et al. 2021 (arXiv 2112.00861) fit losses by power laws. Shapes: P comparisons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import expit, log_expit, xlogy

from gnomon.core.errors import UsageError
from gnomon.core.record import Row
from gnomon.core.registry import registered
from gnomon.report.base import Drawn, Estimate, Figure, Report, Table
from gnomon.report.figures import Point, ReliabilityBin, curves, reliability
from gnomon.report.words import in_words
from gnomon.stats.calibration import reliability_curve
from gnomon.stats.intervals import Interval, bounded, clustered_mean
from gnomon.stats.power_law import fit_power_law
from gnomon.study._family import sized, spoken
from gnomon.study._measured import Vector, accuracy, expected, gaps, measure_all, planted
from gnomon.study._trained import Studied, over_seeds, train_all
from gnomon.train._ranking import summarise
from gnomon.train.preference import Preference

__all__ = ["PreferenceScaling", "study"]

SECTION = {"size": "Accuracy by size and data", "calibration": "Values as win rates", "high": "High values"}
_CALIBRATED = ("Brier", "ECE", "temperature", "mean distance from the planted probability")
_QUANTILES = (0.0, 0.25, 0.5, 0.75)
_BINS = 6


@registered
@dataclass(frozen=True, kw_only=True)
class PreferenceScaling:
    """Train ranked preference models over sizes and numbers of comparisons; fit their accuracy and calibration."""

    model: tuple[str, ...] = ("brook",)
    "Models to start from; several are a ladder of sizes."
    data: str = "brook"
    "Comparisons to learn, as for `gnomon train preference --data`."
    other: str = "brook:flattered"
    "Comparisons of another rater, to see whether calibration carries over; empty for none."
    pairs: tuple[int, ...] = (300, 1000, 3000)
    "Comparisons to train on."
    held_out: int = 600
    "Comparisons to measure on, and of the other rater."
    seeds: int = 3
    "Trainings of each; a seed draws comparisons and their order."
    batch: int = 8
    "Comparisons a step; with few comparisons, large batches leave too few steps."
    peak_rate: float = 6e-4
    "Highest learning rate."

    def __post_init__(self) -> None:
        if self.seeds < 1 or not self.pairs or not self.model:
            raise UsageError("a study needs a model, a number of pairs and a seed", todo="--pairs 300,3000 --seeds 3")


class _Cell(NamedTuple):
    """Trainings that differ in their seed only."""

    parameters: float
    pairs: int


Cells = Mapping[_Cell, Sequence[Sequence[Row]]]
"""Held-out rows by cell and seed."""


def study(cfg: PreferenceScaling, root: Path | None, workers: int) -> Studied:
    """Trains every size on every number of comparisons; the largest on the most is looked at closely."""
    family = sized(cfg.model, least=1)
    names = {m.parameters: m.name for m in family}
    places = [_Cell(m.parameters, n) for m, n in product(family, sorted(cfg.pairs))]
    configs = [
        Preference(
            data=cfg.data,
            model=names[cell.parameters],
            pairs=cell.pairs,
            held_out=cfg.held_out,
            batch=cfg.batch,
            seed=seed,
            peak_rate=cfg.peak_rate,
        )
        for cell, seed in product(places, range(cfg.seeds))
    ]
    trained = train_all(configs, root=root, workers=workers)
    cells = {cell: [t.rows for t in trained[i * cfg.seeds : (i + 1) * cfg.seeds]] for i, cell in enumerate(places)}
    tests = {"held out": cells[max(places)]}
    if cfg.other:
        # No seed of a training, so that tests are fresh draws.
        last = trained[-cfg.seeds :]
        seen = measure_all(last, [cfg.other], n=cfg.held_out, seed=10_000, root=root, workers=workers)
        tests[cfg.other] = [rows for (rows,) in seen]
    return Studied(_report(cells, tests, names), trained)


def _report(cells: Cells, tests: Mapping[str, Sequence[Sequence[Row]]], names: Mapping[float, str]) -> Report:
    fit, stated = _fit(cells), [e for name, rows in tests.items() for e in _calibration(rows, name, headline=True)]
    best = _beside_bayes(cells)
    by_size = [e for cell, rows in _at_most(cells).items() for e in _calibration(rows, spoken(cell.parameters))]
    laws = _power_laws(cells)
    return Report(
        title="Preference models by size and comparisons",
        summary=_verdict(fit, best, stated, laws, max(cells)),
        estimates=[
            *fit,
            *best,
            *laws,
            *stated,
            *(by_size if len(names) > 1 else []),
            *_high(tests["held out"]),
            *_accuracies(cells),
        ],
        figures=Drawn(lambda: _figures(cells, tests)),
        tables=[_table(cells, names), _gap_table(tests["held out"])],
        notes=[
            "intervals of accuracies and of the fit are Student's over trainings; those of high values and of bins are "
            "over prompts, all trainings of the largest model together"
        ],
    )


def _fit(cells: Cells) -> list[Estimate]:
    """acc = a + b log10(N / N_max) + c log10(D / D_max), fitted to each seed's trainings; a is that of the largest."""
    sizes, numbers = ({getattr(cell, name) for cell in cells} for name in ("parameters", "pairs"))
    x = np.log10(np.array([[cell.parameters / max(sizes), cell.pairs / max(numbers)] for cell in cells]))
    used = [len(sizes) > 1, len(numbers) > 1]
    design = np.column_stack([np.ones(len(x)), x[:, used]])
    y = np.array([[accuracy(rows) for rows in seeds] for seeds in cells.values()])
    coefficients = np.linalg.lstsq(design, y, rcond=None)[0]
    spread = np.sqrt(np.mean((design @ coefficients - y) ** 2, axis=0))
    labels = ["a: accuracy fitted at the largest size and the most comparisons"]
    labels += [
        f"{letter}: accuracy gained by ten times the {of}"
        for letter, of, there in zip("bc", ("parameters", "comparisons"), used, strict=True)
        if there
    ]
    found = [
        Estimate.of(label, over_seeds(line.tolist()), headline=True)
        for label, line in zip(labels, coefficients, strict=True)
    ]
    return [*found, Estimate.of("distance of accuracies from the fit, root mean square", over_seeds(spread.tolist()))]


def _beside_bayes(cells: Cells) -> list[Estimate]:
    """What each cell lacks of the best predictor's accuracy, where the rater is planted."""
    found = []
    for cell, seeds in cells.items():
        chances = [planted(rows) for rows in seeds]
        lost = [
            float(np.maximum(p, 1 - p).mean()) - accuracy(rows)
            for p, rows in zip(chances, seeds, strict=True)
            if p is not None
        ]
        if lost:
            found.append(Estimate.of("lost to Bayes", over_seeds(lost), group=_said(cell), headline=cell == max(cells)))
    return found


def _power_laws(cells: Cells) -> list[Estimate]:
    """The exponent of the loss against comparisons at the largest size, and against parameters at the most of them."""
    found = []
    largest, most = max(cells)
    lines: dict[str, dict[float, Sequence[Sequence[Row]]]] = {
        "comparisons": {c.pairs: rows for c, rows in cells.items() if c.parameters == largest},
        "parameters": {c.parameters: rows for c, rows in cells.items() if c.pairs == most},
    }
    for of, line in lines.items():
        flat = [(x, _loss(rows), seed) for x, seeds in line.items() for seed, rows in enumerate(seeds)]
        if len(line) > 1 and min(loss for _, loss, _ in flat) > 0:
            x, y, seeds = zip(*flat, strict=True)
            alone = len(set(seeds)) == 1
            law = fit_power_law(x, y, None if alone else [str(s) for s in seeds])
            found.append(
                Estimate.of(f"exponent of the excess loss in {of}", law.alpha, group=f"over {len(line)} sizes")
            )
    return found


def _loss(rows: Sequence[Row]) -> float:
    """The held-out loss in nats; where the rater is planted, above its own entropy."""
    gap, p = gaps(rows), planted(rows)
    if p is None:
        return float(-log_expit(gap).mean())
    cross = -(p * log_expit(gap) + (1 - p) * log_expit(-gap))
    return float((cross + xlogy(p, p) + xlogy(1 - p, 1 - p)).mean())


def _at_most(cells: Cells) -> Cells:
    most = max(cell.pairs for cell in cells)
    return {cell: rows for cell, rows in cells.items() if cell.pairs == most}


def _calibration(seeds: Sequence[Sequence[Row]], group: str, *, headline: bool = False) -> list[Estimate]:
    """Brier, ECE, temperature and distance from the planted probability, each read of every training and averaged."""
    reports = [summarise(rows) for rows in seeds]
    found = []
    for metric in ("accuracy", *_CALIBRATED):
        of = [e for report in reports for e in report.estimates if (e.metric, e.group) == (metric, "")]
        values = [e.value for e in of if e.value is not None]
        nulls = [e.null for e in of if e.null is not None]
        if values:
            null = float(np.mean(nulls)) if nulls else None
            name = "share of choices told" if metric == "accuracy" else metric
            spread = over_seeds(values) if metric == "temperature" else bounded(over_seeds(values))
            found.append(Estimate.of(name, spread, group=group, null=null, headline=headline and metric == "ECE"))
    return found


def _high(seeds: Sequence[Sequence[Row]]) -> list[Estimate]:
    """Accuracy where both answers are above a quantile of all values of their training."""
    rows = [row for each in seeds for row in each]
    both = np.concatenate([_lower_of_two(each) for each in seeds])
    right = np.concatenate([expected(each) for each in seeds])
    found = []
    for quantile in _QUANTILES:
        places = np.flatnonzero(both >= quantile)
        clusters = [rows[place].cluster for place in places]
        interval = bounded(clustered_mean(right[places], clusters))
        found.append(Estimate.of("accuracy, both values high", interval, group=f"above quantile {quantile:g}"))
    return found


def _lower_of_two(rows: Sequence[Row]) -> Vector:
    """The quantile [P], among all values of these rows, of the lower value of each comparison."""
    sides = np.array([[r.evidence["chosen"], r.evidence["rejected"]] for r in rows])
    ordered = np.sort(sides, axis=None)
    found: Vector = np.searchsorted(ordered, sides.min(axis=1)) / len(ordered)
    return found


def _accuracies(cells: Cells) -> list[Estimate]:
    return [Estimate.of("accuracy", _accuracy(seeds), group=_said(cell)) for cell, seeds in cells.items()]


def _accuracy(seeds: Sequence[Sequence[Row]]) -> Interval:
    return bounded(over_seeds([accuracy(rows) for rows in seeds]))


def _said(cell: _Cell) -> str:
    return f"{spoken(cell.parameters)}, {cell.pairs} pairs"


def _table(cells: Cells, names: Mapping[float, str]) -> Table:
    rows = []
    for cell, seeds in cells.items():
        found, loss = _accuracy(seeds), over_seeds([_loss(each) for each in seeds])
        place = [names[cell.parameters], cell.parameters, cell.pairs]
        rows.append([*place, found.value, found.low, found.high, loss.value, loss.low, loss.high, found.n])
    columns = ("model", "parameters", "pairs", "accuracy", "low", "high", "excess loss", "low", "high", "seeds")
    return Table(title="Accuracy by size and comparisons", columns=columns, rows=rows, section=SECTION["size"])


def _gap_table(seeds: Sequence[Sequence[Row]]) -> Table:
    """Accuracy by the distance of the two values, in bins of as many comparisons."""
    rows = [row for each in seeds for row in each]
    gap, right = np.abs(gaps(rows)), expected(rows)
    found = []
    for places in np.array_split(np.argsort(gap, kind="stable"), _BINS):
        interval = bounded(clustered_mean(right[places], [rows[place].cluster for place in places]))
        stated = float(expit(gap[places]).mean())
        found.append(
            [gap[places].min(), gap[places].max(), stated, interval.value, interval.low, interval.high, len(places)]
        )
    columns = ("values apart, from", "to", "stated", "accuracy", "low", "high", "comparisons")
    return Table(title="Accuracy by distance of values", columns=columns, rows=found, section=SECTION["calibration"])


def _figures(cells: Cells, tests: Mapping[str, Sequence[Sequence[Row]]]) -> list[Figure]:
    sizes, numbers = ({getattr(cell, name) for cell in cells} for name in ("parameters", "pairs"))
    drawn = []
    if len(numbers) > 1:
        drawn.append(_curve(cells, "comparisons to train on", [(c.pairs, spoken(c.parameters), c) for c in cells]))
    if len(sizes) > 1:
        drawn.append(_curve(cells, "parameters", [(c.parameters, f"{c.pairs} pairs", c) for c in cells]))
    drawn += [_reliability(seeds, name) for name, seeds in tests.items()]
    return [*drawn, _high_figure(tests["held out"])]


def _curve(cells: Cells, x: str, points: Sequence[tuple[float, str, _Cell]]) -> Figure:
    drawn, best = [], []
    for place, series, cell in points:
        found = _accuracy(cells[cell])
        drawn.append(Point(place, found.value or 0.0, found.low, found.high, series))
        best += [float(np.maximum(p, 1 - p).mean()) for rows in cells[cell] if (p := planted(rows)) is not None]
    if best:
        drawn += [Point(place, float(np.mean(best)), None, None, "Bayes") for place in sorted({p.x for p in drawn})]
    caption = "Bands are 95 % intervals over trainings; Bayes is the best there can be, the grey line chance."
    title = f"Accuracy by {x}"
    section = SECTION["size"]
    return curves(drawn, x=x, y="accuracy", title=title, caption=caption, section=section, log_x=True, reference=0.5)


def _reliability(seeds: Sequence[Sequence[Row]], name: str) -> Figure:
    """Folded: the stated chance of the answer of the higher value, and how often it was chosen."""
    rows = [row for each in seeds for row in each]
    gap = gaps(rows)
    bins = reliability_curve(expit(np.abs(gap)), (gap > 0).astype(np.float64), [row.cluster for row in rows])
    drawn = [
        ReliabilityBin(b.mean, b.frequency.value or 0.0, b.frequency.low or 0.0, b.frequency.high or 1.0, b.frequency.n)
        for b in bins
    ]
    caption = "The largest model on the most comparisons, all trainings together; intervals by prompt."
    return reliability(drawn, title=f"Win rates: {name}", caption=caption, section=SECTION["calibration"])


def _high_figure(seeds: Sequence[Sequence[Row]]) -> Figure:
    points = [
        Point(quantile, e.value or 0.0, e.low, e.high)
        for quantile, e in zip(_QUANTILES, _high(seeds), strict=True)
        if e.value is not None
    ]
    title, x = "Accuracy where both answers have high values", "both values above this quantile of all values"
    caption = "Intervals by prompt. Where it falls, high values tell less of each other."
    return curves(points, x=x, y="accuracy", title=title, caption=caption, section=SECTION["high"], reference=0.5)


def _verdict(
    fit: Sequence[Estimate], best: Sequence[Estimate], stated: Sequence[Estimate], laws: Sequence[Estimate], at: _Cell
) -> str:
    a, *slopes, _ = fit
    told = f"Accuracy {in_words(a)} at {spoken(at.parameters)} parameters and {at.pairs} pairs"
    for e in slopes:
        told += f"; ten times the {e.metric.rpartition(' ')[2]} add {in_words(e)}"
    lost = next((e for e in best if e.headline), None)
    told += f"; {in_words(lost)} below the best predictor." if lost else "."
    for e in stated:
        if e.metric == "ECE" and e.null is not None:
            told += f" ECE on {e.group}: {in_words(e)}, where a calibrated model has {e.null:.3f}."
    for e in laws:
        told += f" The {e.metric} is {in_words(e)}."
    return told
