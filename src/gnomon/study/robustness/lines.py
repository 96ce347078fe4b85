"""What distance from the start buys: the reward of policies by the square root of KL.

Bai et al. 2022a (arXiv 2204.05862), sec. 4.3: near the start KL is quadratic in a step of the parameters and reward is
linear, so reward is linear in sqrt(KL). Lines are fitted to each policy's readings of more than 0.05 nats, before its
reward parts from PM_test. Pure: readings in, estimates out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from gnomon.report.base import Estimate, Figure, Table
from gnomon.report.figures import Point, curves
from gnomon.stats.intervals import Interval, undefined
from gnomon.study._trained import over_seeds
from gnomon.study.robustness.cells import Cell, where
from gnomon.train._curve import Line, line, onset

__all__ = ["figures", "lines", "table", "verdict"]

TITLE = "Reward by the square root of KL"
SLOPE = "slope of reward on sqrt(KL)"
FORMS = ("sqrt(KL)", "KL", "log KL")
DRAWS = "slopes of policies of one preference model: standard deviation over mean"
PARALLEL = "slope over that of the largest policy of the same preference model"


def lines(cells: Sequence[Cell]) -> list[Estimate]:
    """Slopes and R2 by place, and how far slopes of policies of the same preference model agree."""
    found = []
    for cell in cells:
        fitted = _fitted(cell)
        found.append(Estimate.of(SLOPE, _over(fitted, lambda each: each.slope), group=cell.label))
        found += [
            Estimate.of(f"R2 on {form}", explained, group=cell.label) for form, explained in _explained(fitted).items()
        ]
        found += _by_draws(cell, fitted)
    return [*found, *_parallel(cells)]


def table(cells: Sequence[Cell]) -> Table:
    """Lines by place."""
    names, places = where(cells)
    columns = [*names, "slope", "low", "high", *(f"R2 on {form}" for form in FORMS), "readings", "seeds"]
    rows = [[*place, *_row(_fitted(cell))] for place, cell in zip(places, cells, strict=True)]
    return Table(title=TITLE, columns=columns, rows=rows, section=TITLE)


def figures(cells: Sequence[Cell]) -> list[Figure]:
    """Slopes by size of the preference model, where there are several."""
    sizes = {cell.place.valued for cell in cells}
    points = []
    for cell in cells:
        found = _over(_fitted(cell), lambda each: each.slope)
        if cell.place.policy == cell.place.valued and found.value is not None:
            points.append(Point(cell.place.valued, found.value, found.low, found.high, cell.of_data))
    caption = "Policies of the preference model's own size. Bands are 95 % intervals over repetitions."
    title, x = "Slope by size", "parameters of preference model and policy"
    drawn = curves(points, x=x, y=SLOPE, title=title, caption=caption, section=TITLE, log_x=True, reference=0)
    return [drawn] if len(sizes) > 1 else []


def verdict(laws: Sequence[Estimate]) -> str:
    """A sentence on the law, over all places."""
    found = {form: [e.value for e in laws if e.metric == f"R2 on {form}" and e.value is not None] for form in FORMS}
    if not found[FORMS[0]]:
        return ""
    said = ", ".join(f"{np.median(values):.2f} on {form}" for form, values in found.items())
    return f"Before reward and PM_test part, the median R2 of reward is {said}."


def _fitted(cell: Cell) -> list[list[Line | None]]:
    """The line of each policy, by seed, up to where the policies of its repetition part from PM_test."""
    return [
        [line(way, before=onset(both, cell.test)) for way in policies]
        for both, policies in zip(cell.both, cell.ways, strict=True)
    ]


def _over(fitted: Sequence[Sequence[Line | None]], read: Callable[[Line], float]) -> Interval:
    """The mean over policies of each repetition, and over repetitions; those without a line are left out."""
    means = [[read(each) for each in policies if each] for policies in fitted]
    found = [float(np.mean(values)) for values in means if values]
    if not found:
        return undefined("fewer than five readings have more than 0.05 nats of KL and lie before the onset")
    return over_seeds(found)


def _row(fitted: Sequence[Sequence[Line | None]]) -> list[float | None]:
    slope = _over(fitted, lambda each: each.slope)
    explained = [found.value for found in _explained(fitted).values()]
    readings = _over(fitted, lambda each: float(each.num_readings)).value
    return [slope.value, slope.low, slope.high, *explained, readings, slope.n]


def _explained(fitted: Sequence[Sequence[Line | None]]) -> dict[str, Interval]:
    """R2 by form."""
    return {form: _over(fitted, lambda each, form=form: each.explained[form]) for form in FORMS}  # type: ignore[misc]  # the default binds


def _by_draws(cell: Cell, fitted: Sequence[Sequence[Line | None]]) -> list[Estimate]:
    """How far apart lines are of policies that differ in what is asked and drawn only."""
    found = []
    for policies in fitted:
        draws = len(policies) // 2
        halves = [[each.slope for each in half if each] for half in (policies[:draws], policies[draws:])]
        spread = [float(np.std(slopes, ddof=1) / abs(np.mean(slopes))) for slopes in halves if len(slopes) > 1]
        found += [float(np.mean(spread))] if spread else []
    return [Estimate.of(DRAWS, over_seeds(found), group=cell.label)] if found else []


def _parallel(cells: Sequence[Cell]) -> Iterator[Estimate]:
    """How much steeper than the largest policy's the lines of smaller ones are under the same preference models."""
    by_place = {cell.place: cell for cell in cells}
    for cell in cells:
        beside = by_place.get(cell.place._replace(policy=cell.place.valued))
        if cell.place.policy < cell.place.valued and beside:
            pairs = zip(_fitted(cell), _fitted(beside), strict=True)
            ratios = [[a.slope / b.slope for a, b in zip(*two, strict=True) if a and b] for two in pairs]
            means = [float(np.mean(each)) for each in ratios if each]
            if means:
                yield Estimate.of(PARALLEL, over_seeds(means), group=cell.label, null=1.0)
