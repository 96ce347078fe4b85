"""What it changes that KL has a price: policies that differ in it alone, after as many rounds.

Bai et al. 2022a (arXiv 2204.05862), sec. 4.1: a small price hardly matters while KL is small, for it is little of the
reward. Pure: readings in, estimates out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gnomon.report.base import Estimate, Figure, Table
from gnomon.report.figures import Point, curves
from gnomon.report.words import in_words
from gnomon.stats.intervals import Interval, clustered_mean, undefined
from gnomon.study._trained import over_seeds
from gnomon.study.robustness.cells import Cell, Place, over, where
from gnomon.train._curve import GOLD, REWARD, Reading, together

__all__ = ["compared", "figures", "tables", "verdict"]

Vector = NDArray[np.float64]

TITLE = "The weight of KL"
PRICE = "price of KL over reward gained"
KL = "KL"


def compared(cells: Sequence[Cell]) -> list[Estimate]:
    """Of cells that differ in the weight of KL: what KL costs beside the reward, and what the weight changed."""
    return [e for least, *dearer in _by_weight(cells) for cell in dearer for e in _changes(cell, least)]


def tables(cells: Sequence[Cell]) -> list[Table]:
    """What each value gained by the weight of KL; none where there is one weight."""
    swept = [cell for group in _by_weight(cells) for cell in group]
    names, places = where(swept)
    values = ["reward gained", "PM_test gained", f"{GOLD} gained", KL]
    columns = [*names, *(cell for name in values for cell in (name, "low", "high")), PRICE, "seeds"]
    rows = [[*place, *_row(cell)] for place, cell in zip(places, swept, strict=True)]
    return [Table(title=TITLE, columns=columns, rows=rows, section=TITLE)] if swept else []


def figures(cells: Sequence[Cell]) -> list[Figure]:
    """KL and what each value gained, by rounds, a line a weight."""
    caption = "Bands are 95 % intervals over held-out questions, all repetitions together."
    drawn = []
    for group in _by_weight(cells):
        for name in (KL, REWARD, *([GOLD] if GOLD in group[0].values else [])):
            points = [point for cell in group for point in _way(cell, name)]
            title = f"{name} by the weight of KL: {group[0].of_data}"
            y = "nats" if name == KL else "change since the start"
            drawn.append(curves(points, x="rounds", y=y, title=title, caption=caption, section=TITLE, reference=0))
    return drawn


def verdict(found: Sequence[Estimate]) -> list[str]:
    """What KL costs beside the reward, and what its weight changed at the end, of the largest models."""
    told = []
    for price in (e for e in found if e.metric == PRICE and e.headline):
        changed = [e for e in found if e.group == price.group and e.metric.startswith("change of")]
        said = ", ".join(f"{e.metric.removeprefix('change of ')} {in_words(e, 2)}" for e in changed)
        told.append(f"{price.group}: what KL costs is {in_words(price, 3)} of the reward gained, and changes {said}.")
    return told


def _by_weight(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Cells that differ in the weight of KL only, the smallest first; none where there is one weight."""
    groups: dict[Place, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.place._replace(kl=0.0), []).append(cell)
    return [sorted(group, key=lambda cell: cell.place.kl) for group in groups.values() if len(group) > 1]


def _quantities(cell: Cell) -> dict[str, str]:
    """What is compared, by name: values as readings call them, and KL."""
    named = {"reward": REWARD, "PM_test": cell.test, GOLD: GOLD}
    return {name: value for name, value in named.items() if value in cell.values} | {KL: KL}


def _since(readings: Sequence[Reading], name: str, at: int = -1) -> Vector:
    """Of each question: what a value gained from the first reading to that at `at`; of KL what it is there."""
    first, then = readings[0], readings[at]
    return then.kl if name == KL else then.values[name] - first.values[name]


def _changes(cell: Cell, least: Cell) -> Iterator[Estimate]:
    main = least.main
    yield Estimate.of(
        PRICE, over(cell, lambda readings: _price(cell.place.kl, readings)), group=cell.label, headline=main
    )
    for name, value in _quantities(cell).items():
        yield Estimate.of(f"change of {name}", _apart(cell, least, value, -1), group=cell.label, headline=main)
    yield _matters(cell, least)


def _price(weight: float, readings: Sequence[Reading]) -> Interval:
    gain = float(_since(readings, REWARD).mean())
    n = len(readings[-1].clusters)
    if gain <= 0:
        return undefined("nothing was gained", n=n)
    share = weight * float(readings[-1].kl.mean()) / gain
    return undefined("one repetition; --seeds 3 gives a spread", n=n, value=share)


def _apart(cell: Cell, least: Cell, name: str, at: int) -> Interval:
    """What the weight changed at a reading: repetition by repetition, or question by question where there is one."""
    each = [_since(a, name, at) - _since(b, name, at) for a, b in zip(cell.both, least.both, strict=True)]
    if len(each) == 1:
        return clustered_mean(each[0], cell.both[0][at].clusters)
    return over_seeds([float(one.mean()) for one in each])


def _matters(cell: Cell, least: Cell) -> Estimate:
    """The first reading from which on the weight has changed KL, by its 95 % interval."""
    metric, found = "the weight changes KL: round", None
    for at in range(len(least.both[0])):
        change = _apart(cell, least, KL, at)
        if not at or change.low is None or change.high is None or change.low <= 0 <= change.high:
            found = None
        elif found is None:
            found = at
    group, n = cell.label, len(cell.both)
    if found is None:
        reason = f"at no reading up to round {least.both[0][-1].round} to stay"
        return Estimate(metric=metric, value=None, n=n, group=group, reason=reason)
    nats = float(np.mean([readings[found].kl.mean() for readings in least.both]))
    reason = f"the first reading from which on it does to stay; KL is {nats:.2f} there at the smallest weight"
    return Estimate(metric=metric, value=float(least.both[0][found].round), n=n, group=group, reason=reason)


def _row(cell: Cell) -> list[float | None]:
    values = {name: over(cell, lambda r, name=value: _mean(r, name)) for name, value in _quantities(cell).items()}  # type: ignore[misc]  # the default binds
    missing = undefined("not known")
    found = [values.get(name, missing) for name in ("reward", "PM_test", GOLD, KL)]
    ends = [end for each in found for end in (each.value, each.low, each.high)]
    price = over(cell, lambda readings: _price(cell.place.kl, readings)).value
    return [*ends, price, len(cell.both)]


def _mean(readings: Sequence[Reading], name: str) -> Interval:
    return clustered_mean(_since(readings, name), readings[-1].clusters)


def _way(cell: Cell, name: str) -> Iterator[Point]:
    readings = together(cell.both)
    for at, reading in enumerate(readings):
        found = clustered_mean(_since(readings, name, at), reading.clusters)
        yield Point(float(reading.round), found.value or 0.0, found.low, found.high, f"{cell.place.kl:g}")
