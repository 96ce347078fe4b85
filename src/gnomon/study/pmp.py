"""How many comparisons does pre-training a preference model on cheap ones save?

    gnomon study pmp
    gnomon study pmp --workers 2
    gnomon study pmp --n 100,250,500,1000,4000 --source brook:forum,brook:vandal,brook:forum+brook:vandal
    gnomon study pmp --target FILE --source FILE --model hf:FOLDER

Askell et al. 2021 (arXiv 2112.00861), sec. 4, figs. 12 to 16: preference models pre-trained on votes and reverted edits
need far fewer comparisons of what is wanted; judging each text alone (binary) transfers better than an order that the
target may not share; a source whose order is wrong hurts. In Brook sources and target are about different halves of the
world and what the voters like is planted. Every seed has its own comparisons, its own pre-training and its own held-out
comparisons, which are the same for all arms and numbers, so arms are compared seed by seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from gnomon.stats.intervals import Interval, undefined
from gnomon.study._family import sized, spoken
from gnomon.study._measured import accuracy, measure_all, planted
from gnomon.study._trained import Studied, Trained, over_seeds, train_all
from gnomon.train.preference import Preference

__all__ = ["Pmp", "matched", "study"]

NONE = "none"
_FEW = 500


@registered
@dataclass(frozen=True, kw_only=True)
class Pmp:
    """Learn comparisons with and without pre-training on cheap ones; how many of them does that save?"""

    model: tuple[str, ...] = ("brook",)
    "Models to start from; several are a ladder of sizes."
    target: str = "brook:far"
    "What is to be learnt, as for `gnomon train preference --data`."
    source: tuple[str, ...] = ("brook:forum", "brook:forum+brook:vandal", "brook:flatterers")
    "What to pre-train on, ranked; + joins sources to a mixture."
    binary: tuple[str, ...] = ("brook:forum",)
    "What to pre-train on too, judging each text alone."
    n: tuple[int, ...] = (100, 250)
    "Comparisons of the target to learn, for every arm."
    without: tuple[int, ...] = (500, 1000, 2000, 4000)
    "Further numbers of them without pre-training, to read off what is saved."
    source_pairs: int = 4000
    "Comparisons to pre-train on."
    held_out: int = 800
    "Comparisons of the target to measure on; those that are learnt are left out."
    seeds: int = 3
    "Repetitions; a seed draws all comparisons and their order."
    mu: float = 1.0
    "Weight of the better texts' language-model loss in pre-training."
    source_rate: float = 6e-4
    "Highest learning rate of pre-training."
    peak_rate: float = 6e-4
    "Highest learning rate of learning the target."
    source_batch: int = 32
    "Comparisons a step of pre-training."
    batch: int = 32
    "Comparisons a step of learning the target."

    def __post_init__(self) -> None:
        if self.seeds < 1 or not self.n or not self.model or not (self.source or self.binary):
            raise UsageError("a study needs a model, a source, numbers and a seed", todo="--n 100,250 --seeds 3")
        if min((*self.n, *self.without)) < 1:
            raise UsageError("a training on no comparisons", where="--n", todo="give numbers of 1 or more")


class _Arm(NamedTuple):
    """One way to pre-train: a source, or none, and its reading."""

    source: str
    reading: str = ""

    def __str__(self) -> str:
        return "no pre-training" if self.source == NONE else f"{self.source}, {self.reading}"


class _Place(NamedTuple):
    """Where in the study a measurement stands; `n` is 0 right after pre-training."""

    parameters: float
    arm: _Arm
    n: int
    seed: int


Values = Mapping[_Place, float]
"""Accuracy on the held-out comparisons of the seed."""


class _Measured(NamedTuple):
    """Accuracies, and what the best predictor would reach, where the target's rater is planted."""

    values: Values
    best: float | None


def study(cfg: Pmp, root: Path | None, workers: int) -> Studied:
    """Pre-trains each arm, learns the target from every number of comparisons, and measures all on the same others.

    Accuracy is the chance that the answer of the higher value is the one that the rater chooses, from the rater's own
    probability where it is planted; else the share of choices that were made.
    """
    family = sized(cfg.model, least=1)
    names = {m.parameters: m.name for m in family}
    first = {
        _Place(m.parameters, arm, 0, seed): _pretraining(cfg, m.name, arm, seed)
        for m, arm, seed in product(family, _arms(cfg), range(cfg.seeds))
        if arm.source != NONE
    }
    cheap = train_all(list(first.values()), root=root, workers=workers)
    starts = {place: done.model for place, done in zip(first, cheap, strict=True)}
    second = {
        _Place(m.parameters, arm, n, seed): _learning(cfg, starts, m.parameters, m.name, arm, n, seed)
        for m, arm, seed in product(family, _arms(cfg), range(cfg.seeds))
        for n in _numbers(cfg, arm)
    }
    learnt = train_all(list(second.values()), root=root, workers=workers)
    everything = dict(zip((*first, *second), (*cheap, *learnt), strict=True))
    measured = _measure(cfg, everything, root, workers)
    return Studied(_report(cfg, measured, names), list(everything.values()))


def matched(reached: float, numbers: Sequence[int], without: Sequence[float]) -> tuple[float, int]:
    """How many comparisons give accuracy `reached` by the curve `without`, and whether that is a bound.

    The curve is made to rise, since more comparisons cannot be worth less, and read on log n.

    Args:
        reached: an accuracy.
        numbers: comparisons, rising.
        without: accuracy at each.

    Returns:
        The number; and 0, or 1 where it is more than the largest of `numbers`, or -1 where less than the smallest.

    >>> matched(0.75, [100, 400], [0.7, 0.8])
    (200.0, 0)
    """
    rising = np.maximum.accumulate(without)
    if reached > rising[-1]:
        return float(numbers[-1]), 1
    if reached < rising[0]:
        return float(numbers[0]), -1
    place = max(1, int(np.searchsorted(rising, reached)))
    low, high = rising[place - 1], rising[place]
    part = (reached - low) / (high - low) if high > low else 0.0
    a, b = math.log(numbers[place - 1]), math.log(numbers[place])
    return round(math.exp(a + part * (b - a)), 6), 0


def _arms(cfg: Pmp) -> list[_Arm]:
    return [_Arm(NONE), *(_Arm(s, "ranked") for s in cfg.source), *(_Arm(s, "binary") for s in cfg.binary)]


def _numbers(cfg: Pmp, arm: _Arm) -> list[int]:
    return sorted({*cfg.n, *(cfg.without if arm.source == NONE else ())})


def _pretraining(cfg: Pmp, model: str, arm: _Arm, seed: int) -> Preference:
    return Preference(
        data=arm.source.replace("+", ","),
        model=model,
        objective="binary" if arm.reading == "binary" else "ranked",
        mu=cfg.mu,
        pairs=cfg.source_pairs,
        held_out=100,
        batch=cfg.source_batch,
        peak_rate=cfg.source_rate,
        seed=seed,
    )


def _learning(
    cfg: Pmp, starts: Mapping[_Place, str], parameters: float, model: str, arm: _Arm, n: int, seed: int
) -> Preference:
    start = model if arm.source == NONE else starts[_Place(parameters, arm, 0, seed)]
    return Preference(
        data=cfg.target, model=start, pairs=n, held_out=1, batch=cfg.batch, peak_rate=cfg.peak_rate, seed=seed
    )


def _measure(cfg: Pmp, everything: Mapping[_Place, Trained], root: Path | None, workers: int) -> _Measured:
    """Every model of a seed on the comparisons that none of them learnt."""
    values: dict[_Place, float] = {}
    best = []
    for seed in range(cfg.seeds):
        places = [place for place in everything if place.seed == seed]
        # Far from the seeds of training, whose comparisons would otherwise be these.
        found = measure_all(
            [everything[p] for p in places], [cfg.target], n=cfg.held_out, seed=1000 + seed, root=root, workers=workers
        )
        rows = _common([of_target for (of_target,) in found])
        values |= {place: accuracy(each) for place, each in zip(places, rows, strict=True)}
        p = planted(rows[0])
        best += [] if p is None else [float(np.maximum(p, 1 - p).mean())]
    return _Measured(values, float(np.mean(best)) if best else None)


def _common(tables: Sequence[Sequence[Row]]) -> list[list[Row]]:
    """The rows whose comparison is in every table, in one order."""
    keys = set.intersection(*({row.key for row in table} for table in tables))
    if not keys:
        raise UsageError("no comparison is left to measure on that no training learnt", todo="raise --held-out")
    return [sorted((row for row in table if row.key in keys), key=lambda row: row.key) for table in tables]


def _over(values: Values, size: float, arm: _Arm, n: int) -> list[float]:
    """Accuracies in the order of seeds."""
    return [values[p] for p in sorted(p for p in values if (p.parameters, p.arm, p.n) == (size, arm, n))]


def _report(cfg: Pmp, measured: _Measured, names: Mapping[float, str]) -> Report:
    arms = [arm for arm in _arms(cfg) if arm.source != NONE]
    largest = max(names)
    several = len(names) > 1
    at = _quoted(cfg)
    estimates: list[Estimate] = []
    for size, arm in product(sorted(names, reverse=True), arms):
        group = f"{arm}, {spoken(size)}" if several else str(arm)
        told = size == largest
        estimates += _savings(cfg, measured.values, size, arm, group, headline_at=at if told else 0)
    estimates += [e for size in names for e in _readings(cfg, measured.values, size, several)]
    estimates += _accuracies(measured.values, several)
    if measured.best is not None:
        reason = "known: the mean of the planted probabilities over the held-out comparisons"
        estimates.append(Estimate(metric="Bayes accuracy", value=measured.best, reason=reason))
    return Report(
        title="Pre-training of preference models: comparisons saved",
        summary=_verdict(cfg, estimates, largest, several, at),
        estimates=estimates,
        figures=Drawn(lambda: _figures(cfg, measured, names)),
        tables=[_table(measured.values, names)],
        notes=[
            "intervals are Student's over repetitions with other comparisons, order and pre-training; the models that "
            "they start from are the same",
            *(["one repetition: nothing says how far another would be"] if cfg.seeds == 1 else []),
        ],
    )


def _quoted(cfg: Pmp) -> int:
    """The number of comparisons at which the savings are told first: 250 where it is there."""
    return 250 if 250 in cfg.n else sorted(cfg.n)[len(cfg.n) // 2]


def _savings(cfg: Pmp, values: Values, size: float, arm: _Arm, group: str, *, headline_at: int) -> list[Estimate]:
    """What an arm gains at every number, how many comparisons that is worth, and whether four times as many do as
    well without it."""
    found: list[Estimate] = []
    none, numbers = _Arm(NONE), _numbers(cfg, _Arm(NONE))
    curve = list(zip(*(_over(values, size, none, n) for n in numbers), strict=True))
    for n in sorted(cfg.n):
        ours = _over(values, size, arm, n)
        place = f"{group}, n={n}"
        first = n == headline_at
        gained = over_seeds([a - b for a, b in zip(ours, _over(values, size, none, n), strict=True)])
        found.append(Estimate.of("accuracy gained by pre-training", gained, group=place, headline=first))
        saved = [matched(a, numbers, each) for a, each in zip(ours, curve, strict=True)]
        found.append(Estimate.of("data multiplier", _times(saved, n), group=place, null=1.0, headline=first))
        if 4 * n in numbers:
            ahead = over_seeds([a - b for a, b in zip(ours, _over(values, size, none, 4 * n), strict=True)])
            metric = f"accuracy above {4 * n} comparisons without"
            found.append(Estimate.of(metric, ahead, group=place, headline=first))
    return found


def _times(saved: Sequence[tuple[float, int]], n: int) -> Interval:
    """The geometric mean of how many times `n` is matched, over seeds; no interval where the curve ends before."""
    logs = over_seeds([math.log(number / n) for number, _ in saved])
    assert logs.value is not None
    value = math.exp(logs.value)
    beyond = [side for _, side in saved if side]
    if beyond:
        words = "at least this: beyond the curve without pre-training" if max(beyond) > 0 else "at most this: below it"
        told = f"{words} in {len(beyond)} of {len(saved)} repetitions"
        return undefined(told, n=logs.n, clusters=logs.clusters, value=value, method="t over seeds")
    if logs.low is None or logs.high is None:
        return replace(logs, value=value)
    return replace(logs, value=value, low=math.exp(logs.low), high=math.exp(logs.high), se=None)


def _readings(cfg: Pmp, values: Values, size: float, several: bool) -> list[Estimate]:
    """Binary less ranked pre-training on the same source, over the small numbers."""
    few = [n for n in cfg.n if n <= _FEW]
    found = []
    for source in (s for s in cfg.source if s in cfg.binary and few):
        ours, theirs = (
            np.mean([_over(values, size, _Arm(source, reading), n) for n in few], axis=0)
            for reading in ("binary", "ranked")
        )
        group = f"{source}, {spoken(size)}" if several else source
        metric = f"binary above ranked pre-training, n up to {max(few)}"
        found.append(Estimate.of(metric, over_seeds((ours - theirs).tolist()), group=group, headline=True))
    return found


def _cells(values: Values) -> list[tuple[float, _Arm, int]]:
    return list(dict.fromkeys((p.parameters, p.arm, p.n) for p in sorted(values)))


def _accuracies(values: Values, several: bool) -> list[Estimate]:
    return [
        Estimate.of(
            "accuracy",
            over_seeds(_over(values, size, arm, n)),
            group=f"{arm}{f', {spoken(size)}' if several else ''}, n={n}",
        )
        for size, arm, n in _cells(values)
    ]


def _table(values: Values, names: Mapping[float, str]) -> Table:
    rows = []
    for size, arm, n in _cells(values):
        found = over_seeds(_over(values, size, arm, n))
        rows.append(
            [names[size], size, arm.source, arm.reading or NONE, n, found.value, found.low, found.high, found.n]
        )
    columns = ("model", "parameters", "source", "reading", "n", "accuracy", "low", "high", "seeds")
    return Table(title="Accuracy by comparisons", columns=columns, rows=rows)


def _figures(cfg: Pmp, measured: _Measured, names: Mapping[float, str]) -> list[Figure]:
    found = []
    for size in sorted(names, reverse=True):
        points = [
            Point(n, level.value or 0.0, level.low, level.high, str(arm))
            for s, arm, n in _cells(measured.values)
            if s == size and n
            for level in [over_seeds(_over(measured.values, size, arm, n))]
        ]
        if measured.best is not None:
            points += [Point(x, measured.best, series="best there can be") for x in sorted({p.x for p in points})]
        caption = f"{names[size]}, {spoken(size)} parameters. Bands are 95 % intervals over repetitions."
        title = f"Accuracy by comparisons learnt, {names[size]}"
        found.append(curves(points, x="comparisons learnt", y="accuracy", title=title, caption=caption, log_x=True))
    return [*found, *(_by_size(cfg, measured.values) if len(names) > 1 else [])]


def _by_size(cfg: Pmp, values: Values) -> list[Figure]:
    """What pre-training gains against the size of the model."""
    at = _quoted(cfg)
    points = []
    for size, arm in dict.fromkeys((p.parameters, p.arm) for p in sorted(values) if p.arm.source != NONE):
        pairs = zip(_over(values, size, arm, at), _over(values, size, _Arm(NONE), at), strict=True)
        gained = over_seeds([a - b for a, b in pairs])
        points.append(Point(size, gained.value or 0.0, gained.low, gained.high, str(arm)))
    caption = f"At {at} comparisons of the target. Bands are 95 % intervals over repetitions."
    title = "Accuracy gained by pre-training, by size"
    return [curves(points, x="parameters", y="gain", title=title, caption=caption, log_x=True, reference=0.0)]


def _verdict(cfg: Pmp, estimates: Sequence[Estimate], largest: float, several: bool, at: int) -> str:
    by_name = {(e.metric, e.group): e for e in estimates}
    told = []
    for arm in _arms(cfg)[1:]:
        place = f"{arm}{f', {spoken(largest)}' if several else ''}, n={at}"
        times, gained = by_name["data multiplier", place], by_name["accuracy gained by pre-training", place]
        told.append(f"{arm}: {_multiplier(times)}, accuracy {_signed(gained)}")
    return f"What {at} comparisons of {cfg.target} are worth after pre-training on {'; on '.join(told)}."


def _multiplier(e: Estimate) -> str:
    if e.value is None:
        return "an unknown number"
    bound = e.reason.partition(" this")[0] if e.low is None and " this" in e.reason else ""
    low_high = "" if e.low is None or e.high is None else f" ({e.low:.2g} to {e.high:.2g})"
    return f"{bound} {e.value:.2g}{low_high} times as many without".strip()


def _signed(e: Estimate) -> str:
    """A difference with its sign and interval."""
    return in_words(e) if (e.value or 0.0) < 0 else f"+{in_words(e)}"
