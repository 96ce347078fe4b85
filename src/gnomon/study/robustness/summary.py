"""What policies gained by the preference model that rewards them, and by those that watch; where the two part.

Pure: readings in, a report out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Literal, NamedTuple

import numpy as np

from gnomon.core.record import Row
from gnomon.report.base import Drawn, Estimate, Figure, Report, Table
from gnomon.report.figures import Dot, Point, curves, scatter
from gnomon.report.words import in_words
from gnomon.stats.intervals import Interval, bounded, clustered_mean, undefined
from gnomon.study._measured import accuracy, gaps
from gnomon.study._trained import over_seeds
from gnomon.study.robustness import lines, weights
from gnomon.study.robustness.cells import Cell, Place, over, where
from gnomon.train._curve import GOLD, REWARD, Reading, fallen, figure, gained, onset, since_best, together

__all__ = ["Sort", "report"]

SECTION = {"way": "The way there", "apart": "Where they part", "models": "Preference models"}
ONSET = "reward parts from PM_test: round"
TOGETHER = "reward parts from PM_test, repetitions together: round"
APART = "reward gained above PM_test"
SHARE = "share of the reward gained that PM_test does not see"
FALLS = f"{GOLD} falls: round"
LOST = f"{GOLD}: change since its best"


class Sort(NamedTuple):
    """What preference models have in common that differ in seed and half only."""

    data: str
    pairs: int
    parameters: float


def report(
    ways: Mapping[Place, Sequence[Sequence[Sequence[Reading]]]],
    valued: Mapping[Sort, Sequence[Sequence[Row]]],
    *,
    answers: int,
) -> Report:
    """The report.

    Args:
        ways: readings of policies, by place, then by seed, then by policy; those of the first half come first.
        valued: held-out comparisons of each preference model with its values.
        answers: answers a round of training.
    """
    cells = [Cell.of(place, by_seed, list(ways)) for place, by_seed in ways.items()]
    main = [cell for cell in cells if cell.main]
    estimates = [e for cell in cells for e in _estimates(cell)]
    laws, changed = lines.lines(cells), weights.compared(cells)
    told = [*(_verdict(cell, estimates) for cell in main), lines.verdict(laws), *weights.verdict(changed)]
    meant = [_meant(cells)] if GOLD in cells[0].values else []
    return Report(
        title="How far preference models can be trusted by policies that they reward",
        summary=" ".join(filter(None, told)),
        estimates=[*estimates, *laws, *changed],
        figures=Drawn(lambda: [*_ways(main), *_apart_figures(main), *lines.figures(cells), *weights.figures(cells)]),
        tables=[
            _policies(cells),
            *meant,
            _repetitions(main),
            lines.table(cells),
            *weights.tables(cells),
            _preference_models(valued),
            _curves(main, answers),
        ],
        notes=_notes(cells),
    )


def _estimates(cell: Cell) -> Iterator[Estimate]:
    """What a place's policies gained at the end, and where their values part; of places beside the main, the latter."""
    known = GOLD in cell.values
    yield _round(ONSET, cell, cell.both, lambda readings: onset(readings, cell.test), headline=cell.main)
    if len(cell.both) > 1:
        yield _round(TOGETHER, cell, [together(cell.both)], lambda readings: onset(readings, cell.test))
    yield Estimate.of(APART, over(cell, _apart(cell.test)), group=cell.label)
    yield Estimate.of(SHARE, over(cell, _share(cell.test)), group=cell.label, headline=cell.main)
    if known:
        yield _round(FALLS, cell, cell.both, lambda readings: fallen(readings, GOLD), headline=cell.main)
        yield Estimate.of(LOST, over(cell, _lost), group=cell.label, headline=cell.main)
    if cell.main:
        for name, value in (("reward", REWARD), ("PM_test", cell.test), *([(GOLD, GOLD)] if known else [])):
            yield Estimate.of(f"{name} gained", over(cell, _gained(value)), group=cell.label)
        if known:
            yield Estimate.of(f"{GOLD} gained at its best", over(cell, _best), group=cell.label)
        yield Estimate.of("KL", over(cell, _kl), group=cell.label)


def _round(
    metric: str,
    cell: Cell,
    ways: Sequence[Sequence[Reading]],
    find: Callable[[Sequence[Reading]], Reading | None],
    *,
    headline: bool = False,
) -> Estimate:
    """The round of what is found, the mean over the ways that have it."""
    found = [find(readings) for readings in ways]
    rounds = [float(each.round) for each in found if each is not None]
    interval, last = over_seeds(rounds), ways[0][-1].round
    told = [
        f"in {len(rounds)} of {len(found)} repetitions" if len(found) > 1 else "",
        f"at no reading up to round {last}" if not rounds else "",
        interval.reason if len(rounds) > 1 else "",
    ]
    return Estimate.of(
        metric, replace(interval, reason="; ".join(filter(None, told))), group=cell.label, headline=headline
    )


def _gained(name: str) -> Callable[[Sequence[Reading]], Interval]:
    return lambda readings: gained(readings[0], readings[-1], name)


def _apart(test: str) -> Callable[[Sequence[Reading]], Interval]:
    return lambda readings: gained(readings[0], readings[-1], REWARD, less=test)


def _share(test: str) -> Callable[[Sequence[Reading]], Interval]:
    def of(readings: Sequence[Reading]) -> Interval:
        gain, apart = (found(readings) for found in (_gained(REWARD), _apart(test)))
        if gain.value is None or apart.value is None or gain.value <= 0:
            return undefined("nothing was gained", n=gain.n)
        why = "a ratio of one repetition; --seeds 3 gives a spread"
        return undefined(why, n=gain.n, clusters=gain.clusters, value=apart.value / gain.value)

    return of


def _lost(readings: Sequence[Reading]) -> Interval:
    return since_best(readings, GOLD)[1]


def _best(readings: Sequence[Reading]) -> Interval:
    return gained(readings[0], since_best(readings, GOLD)[0], GOLD)


def _kl(readings: Sequence[Reading]) -> Interval:
    return clustered_mean(readings[-1].kl, readings[-1].clusters)


def _ends(interval: Interval) -> list[float | None]:
    return [interval.value, interval.low, interval.high]


def _policies(cells: Sequence[Cell]) -> Table:
    """Every policy by every preference model that watches it."""
    names, places = where(cells)
    columns = [*names, "test", "parts at round", "repetitions that part", "reward gained", "test gained"]
    columns += [APART, "low", "high", "share not seen", "low", "high", "reward at start", "test at start", "KL"]
    rows = [[*at, *_tested(cell, name)] for at, cell in zip(places, cells, strict=True) for name in cell.tests]
    caption = "Rounds are means over the repetitions that have one."
    title = "Policies by preference model"
    return Table(title=title, columns=columns, rows=rows, caption=caption, section=SECTION["apart"])


def _tested(cell: Cell, test: str) -> list[float | str | None]:
    parted = _counted([onset(each, test) for each in cell.both])
    gains = [over(cell, _gained(name)).value for name in (REWARD, test)]
    first = [float(np.mean([each[0].values[name].mean() for each in cell.both])) for name in (REWARD, test)]
    apart, share = (_ends(over(cell, found(test))) for found in (_apart, _share))
    return [test, *parted, *gains, *apart, *share, *first, over(cell, _kl).value]


def _meant(cells: Sequence[Cell]) -> Table:
    """What was meant, where it is known."""
    names, places = where(cells)
    columns = [*names, f"{GOLD} gained", "low", "high", "gained at its best", "falls at round", "repetitions that fall"]
    columns += ["change since its best", "low", "high", "KL", "low", "high", "seeds"]
    rows = [[*place, *_golden(cell)] for place, cell in zip(places, cells, strict=True)]
    return Table(title="What was meant", columns=columns, rows=rows, section=SECTION["apart"])


def _golden(cell: Cell) -> list[float | str | None]:
    fell = _counted([fallen(each, GOLD) for each in cell.both])
    gains = [*_ends(over(cell, _gained(GOLD))), over(cell, _best).value]
    return [*gains, *fell, *_ends(over(cell, _lost)), *_ends(over(cell, _kl)), len(cell.both)]


def _repetitions(cells: Sequence[Cell]) -> Table:
    """Each repetition of the largest models by itself, for they differ more than their means tell."""
    names, places = where(cells)
    columns = [*names, "seed", "parts at round", "share not seen", "reward gained", "PM_test gained"]
    columns += [f"{GOLD} gained", "gained at its best", "falls at round", "KL"]
    rows = [
        [*place, seed, *_repetition(cell._replace(both=[readings]))]
        for place, cell in zip(places, cells, strict=True)
        for seed, readings in enumerate(cell.both)
    ]
    return Table(title="Repetitions", columns=columns, rows=rows, section=SECTION["apart"])


def _repetition(alone: Cell) -> list[float | str | None]:
    parted, fell = onset(alone.both[0], alone.test), None
    gains: list[float | None] = [over(alone, _gained(name)).value for name in (REWARD, alone.test)]
    gains += [None, None]
    if GOLD in alone.values:
        fell, gains[2:] = fallen(alone.both[0], GOLD), [over(alone, found).value for found in (_gained(GOLD), _best)]
    share = over(alone, _share(alone.test)).value
    return [parted and parted.round, share, *gains, fell and fell.round, over(alone, _kl).value]


def _counted(found: Sequence[Reading | None]) -> list[float | None]:
    """The mean round of what was found, and how often it was."""
    rounds = [each.round for each in found if each is not None]
    return [float(np.mean(rounds)) if rounds else None, len(rounds)]


def _preference_models(valued: Mapping[Sort, Sequence[Sequence[Row]]]) -> Table:
    rows = []
    for sort, each in valued.items():
        right = bounded(over_seeds([accuracy(one) for one in each]))
        far = over_seeds([float(np.sqrt(np.mean(gaps(one) ** 2))) for one in each])
        rows.append([*sort, *_ends(right), *_ends(far), right.n])
    columns = ("data", "pairs", "PM", "accuracy", "low", "high", "values apart", "low", "high", "models")
    caption = (
        "On held-out comparisons; values apart is the root mean square of the difference between the two answers' "
        "values, the scale in which a preference model gives rewards."
    )
    return Table(title="Preference models", columns=columns, rows=rows, caption=caption, section=SECTION["models"])


def _curves(cells: Sequence[Cell], answers: int) -> Table:
    """What each value gained by round, of the largest models; means over repetitions."""
    names, places = where(cells)
    columns = [*names, "round", "answers", "KL", "sqrt(KL)", "reward gained", "PM_test gained", f"{GOLD} gained"]
    columns += [APART, "low", "high"]
    rows = [
        [*place, *_reading(cell, at, answers)]
        for place, cell in zip(places, cells, strict=True)
        for at in range(len(cell.both[0]))
    ]
    return Table(title="Curves", columns=columns, rows=rows, section=SECTION["way"])


def _reading(cell: Cell, at: int, answers: int) -> list[float | str | None]:
    upto, round_ = cell.up_to(at), cell.both[0][at].round
    nats = over(upto, _kl).value or 0.0
    gains = [over(upto, _gained(name)).value for name in (REWARD, cell.test)]
    meant = over(upto, _gained(GOLD)).value if GOLD in cell.values else None
    apart = _ends(over(upto, _apart(cell.test)))
    return [round_, round_ * answers, nats, math.sqrt(max(0.0, nats)), *gains, meant, *apart]


def _ways(cells: Sequence[Cell]) -> Iterator[Figure]:
    caption = "Means over repetitions, both halves in turn, with 95 % intervals over held-out questions."
    ways: tuple[Literal["rounds", "distance"], ...] = ("rounds", "distance")
    for cell, by in product(cells, ways):
        for drawn in figure(together(cell.both), by=by, section=SECTION["way"]):
            yield replace(drawn, title=f"{drawn.title}: {cell.label}", caption=caption)


def _apart_figures(cells: Sequence[Cell]) -> Iterator[Figure]:
    points = [point for cell in cells for point in _distances(cell)]
    caption = "Above 0 the policy has gained more by the preference model that rewards it than by the other half's."
    title, section = "Where reward and PM_test part", SECTION["apart"]
    yield curves(points, x="rounds", y=APART, title=title, caption=caption, section=section, reference=0)
    if len({cell.place.pairs for cell in cells}) > 1:
        dots = [dot for cell in cells for dot in _onsets(cell)]
        caption = f"A dot a repetition. Those that do not part stand at the last round, {cells[0].both[0][-1].round}."
        x, y = "comparisons in each half", "round"
        yield scatter(dots, x=x, y=y, title="Where they part, by comparisons", caption=caption, section=section)


def _distances(cell: Cell) -> Iterator[Point]:
    readings = together(cell.both)
    for at, reading in enumerate(readings):
        found = _apart(cell.test)(readings[: at + 1])
        yield Point(float(reading.round), found.value or 0.0, found.low, found.high, cell.label)


def _onsets(cell: Cell) -> Iterator[Dot]:
    for seed, readings in enumerate(cell.both):
        at = onset(readings, cell.test)
        group = cell.place.data if at else f"{cell.place.data}, does not part"
        yield Dot(float(cell.place.pairs), float((at or readings[-1]).round), group, f"{cell.label}, seed {seed}")


def _verdict(cell: Cell, estimates: Sequence[Estimate]) -> str:
    by = {e.metric: e for e in estimates if e.group == cell.label}
    at, share = by[ONSET], by[SHARE]
    often = f", in {at.n} of {len(cell.both)} repetitions" if len(cell.both) > 1 else ""
    never = f"does not part from PM_test up to round {cell.both[0][-1].round}"
    parts = never if at.value is None else f"parts from PM_test at round {at.value:.0f}{often}"
    told = f"{cell.label}: reward {parts}; PM_test does not see {in_words(share, 2)} of what it gains"
    if LOST not in by:
        return f"{told}."
    best, lost = by[f"{GOLD} gained at its best"], by[LOST]
    return f"{told}. {GOLD.capitalize()} gains {in_words(best, 2)} at its best, and {in_words(lost, 2)} from there on."


def _notes(cells: Sequence[Cell]) -> list[str]:
    seeds = len(cells[0].both)
    over_what = f"intervals are Student's over {seeds} repetitions; rounds are judged by errors over questions"
    alone = "one repetition: intervals are over questions; --seeds 3 gives a spread of trainings"
    shared = (
        "both halves are one rater's: what the rater likes wrongly parts nothing, and only the gold utility shows it"
    )
    return [alone if seeds == 1 else over_what, shared]
