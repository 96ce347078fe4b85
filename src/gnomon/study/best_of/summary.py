"""Choosing among k answers beside learning from the same values: pure, answers in, a report out.

Shapes: Q questions, M answers of each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gnomon.learn.policy import best_of_n_kl
from gnomon.report.base import Drawn, Estimate, Figure, Report, Table
from gnomon.report.figures import Point, curves
from gnomon.report.words import in_words
from gnomon.stats.best_of import best_of, best_of_wins
from gnomon.stats.clusters import Matrix, Vector
from gnomon.stats.elo import Game, elo
from gnomon.stats.intervals import Interval, bounded, clustered_mean
from gnomon.study._answers import Answers
from gnomon.study._players import by_rater, ranked
from gnomon.study.pmp import matched
from gnomon.train._curve import GOLD, REWARD, Reading, gained, root_kl

__all__ = ["MEDIAN_OF", "Evidence", "report"]

MEDIAN_OF = 17
"""Answers of a policy of which the median by value stands against what was written (Bai et al. 2022a, sec. 6)."""

Points = Mapping[int, Interval]
"""Elo points of the best of k answers above one, by k."""

_GOLD_NAME = "brook:gold"
_KNOWN = "known: log k - (k - 1)/k, an upper bound"


class Evidence(NamedTuple):
    """What was drawn and trained.

    Attributes:
        start: answers of the model that the policy started from, many to each question.
        end: those of the policy to the same questions, `MEDIAN_OF` to each.
        readings: the policy's way.
        written: what each value makes of the demonstrations [Q, 1]; empty where there are none.
        reward: what chooses and rewards.
        rater: who says which answer is better.
    """

    start: Answers
    end: Answers
    readings: Sequence[Reading]
    written: Mapping[str, Matrix]
    reward: str
    rater: str


def report(seen: Evidence, ks: Sequence[int]) -> Report:
    """Gains of the best of k in every value and in Elo, and those of the policy; intervals are over questions."""
    points = {k: _elo(seen, k) for k in sorted(set(ks))}
    chosen = [e for k in points if k > 1 for e in _chosen(seen, k, points[k])]
    learnt = list(_learnt(seen))
    level = _level(points, learnt)
    writers = list(_writers(seen))
    return Report(
        title="The best of k answers, and a policy that learnt from the same values",
        summary=_verdict(max(points), chosen, learnt, level, writers),
        estimates=[level, *writers, *chosen, *learnt],
        figures=Drawn(lambda: _figures(seen, points)),
        tables=[_table(seen, points)],
        notes=["one preference model and one policy: intervals are over questions, not over trainings"],
    )


def _spoken(seen: Evidence, name: str) -> str:
    """What a value is called, as the policy's own report calls it."""
    return REWARD if name == seen.reward else {_GOLD_NAME: GOLD}.get(name, name)


def _gain(seen: Evidence, name: str, k: int) -> Interval:
    """What the best of k by the reward has more of a value than one answer."""
    by_QM, value_QM = seen.start.value[seen.reward], seen.start.value[name]
    return clustered_mean(best_of(by_QM, value_QM, k) - best_of(by_QM, value_QM, 1), seen.start.clusters)


def _elo(seen: Evidence, k: int) -> Interval:
    """Elo points of the best of k above one answer of the same model."""
    value, utility = seen.start.value[seen.reward], seen.start.value[seen.rater]
    won_Q = best_of_wins(value, utility, k, by_rater(seen.rater))
    played = [Game("best", "one", float(won), of) for won, of in zip(won_Q, seen.start.clusters, strict=True)]
    return elo(played, players=["one", "best"]).players[1].elo


def _above_start(seen: Evidence, utility_QM: Matrix) -> Interval:
    """Elo points of answers to the first of the questions above one answer of the start."""
    q = len(utility_QM)
    players = {"start": seen.start.value[seen.rater][:q], "other": utility_QM}
    return ranked(players, seen.start.clusters[:q], by_rater(seen.rater)).players[1].elo


def _chosen(seen: Evidence, k: int, points: Interval) -> Iterator[Estimate]:
    group = f"best of {k}"
    yield Estimate.of("Elo above one answer", points, group=group, headline=True)
    for name in seen.start.value:
        yield Estimate.of(f"{_spoken(seen, name)} gained", _gain(seen, name, k), group=group)
    yield Estimate(metric="KL", value=best_of_n_kl(k), group=group, reason=_KNOWN)


def _learnt(seen: Evidence) -> Iterator[Estimate]:
    group = "policy"
    yield Estimate.of(
        "Elo above one answer", _above_start(seen, seen.end.value[seen.rater]), group=group, headline=True
    )
    for name, value_QM in seen.end.value.items():
        more_Q = value_QM.mean(axis=1) - seen.start.value[name].mean(axis=1)
        more = clustered_mean(more_Q, seen.start.clusters)
        yield Estimate.of(f"{_spoken(seen, name)} gained", more, group=group)
    last = seen.readings[-1]
    yield Estimate.of("KL", clustered_mean(last.kl, last.clusters), group=group)


def _level(points: Points, learnt: Sequence[Estimate]) -> Estimate:
    """Among how many answers one must choose to reach the policy's Elo points, read off the curve on log k."""
    k, beyond = matched(learnt[0].value or 0.0, list(points), [each.value or 0.0 for each in points.values()])
    bound = {0: "", 1: "at least this: ", -1: "at most this: "}[beyond]
    reason = f"{bound}the policy's Elo points, read off those of the best of k answers"
    return Estimate(metric="k of the policy's level", value=k, n=learnt[0].n, reason=reason)


def _median(answers: Answers, by: str, name: str) -> Matrix:
    """A value [Q, 1] of the median answer by another value, of `MEDIAN_OF` to each question."""
    order_QM = np.argsort(answers.value[by][:, :MEDIAN_OF], axis=1, kind="stable")
    middle_Q1 = order_QM[:, [order_QM.shape[1] // 2]]
    return np.take_along_axis(answers.value[name], middle_Q1, axis=1)


def _writers(seen: Evidence) -> Iterator[Estimate]:
    """How often the median answer by value is preferred to what was written."""
    if not seen.written:
        return
    for who, answers in (("start", seen.start), ("policy", seen.end)):
        ours_Q1, theirs_Q1 = _median(answers, seen.reward, seen.rater), seen.written[seen.rater]
        preferred = clustered_mean(by_rater(seen.rater)(ours_Q1, theirs_Q1)[:, 0], answers.clusters)
        yield Estimate.of("median answer preferred to the writers'", bounded(preferred), group=who, null=0.5)
    yield Estimate.of("Elo above one answer", _above_start(seen, seen.written[seen.rater]), group="writers")


def _verdict(
    most: int,
    chosen: Sequence[Estimate],
    learnt: Sequence[Estimate],
    level: Estimate,
    writers: Sequence[Estimate],
) -> str:
    elos = {e.group: e for e in (*chosen, *learnt) if e.metric == "Elo above one answer"}
    top = f"best of {most}"
    told = f"The {top} is {in_words(elos[top], 0)} Elo points above one answer, at most {best_of_n_kl(most):.1f} nats "
    told += f"from its model; the policy {in_words(elos['policy'], 0)}, at {in_words(learnt[-1], 1)} nats: "
    told += f"{level.reason.partition('the policy')[0].replace('this: ', '')}the best of {level.value:.2g}."
    for e in writers:
        if e.group == "policy":
            told += f" Its median answer is preferred to the writers' {in_words(e, 2)} of the time."
    return told


def _figures(seen: Evidence, points: Points) -> list[Figure]:
    return [_elos(seen, points), *(_values(seen, list(points), name) for name in seen.start.value)]


def _values(seen: Evidence, ks: Sequence[int], name: str) -> Figure:
    spoken = _spoken(seen, name)
    points = [Point(math.sqrt(best_of_n_kl(k)), *_ends(_gain(seen, name, k)), "best of k") for k in ks]
    if spoken in seen.readings[0].values:
        points += [
            Point(root_kl(each), *_ends(gained(seen.readings[0], each, spoken)), "policy") for each in seen.readings
        ]
    return _drawn(points, f"{spoken} gained")


def _elos(seen: Evidence, points: Points) -> Figure:
    drawn = [Point(math.sqrt(best_of_n_kl(k)), *_ends(found), "best of k") for k, found in points.items()]
    rated = _spoken(seen, seen.rater)
    if rated in seen.readings[0].values:
        for each in seen.readings:
            utility_Q: Vector = each.values[rated][: len(seen.start.clusters)]
            drawn.append(Point(root_kl(each), *_ends(_above_start(seen, utility_Q[:, None])), "policy"))
    return _drawn(drawn, "Elo above one answer")


def _ends(found: Interval) -> tuple[float, float | None, float | None]:
    return found.value or 0.0, found.low, found.high


def _drawn(points: Sequence[Point], y: str) -> Figure:
    caption = "Best of k stands at its largest KL, log k - (k - 1)/k; 95 % intervals over questions."
    title = f"{y[0].upper()}{y[1:]}, by distance from the start"
    return curves(points, x="square root of KL, nats", y=y, title=title, caption=caption, reference=0.0, as_given=True)


def _table(seen: Evidence, points: Points) -> Table:
    names = list(seen.start.value)
    rows = [
        [k, best_of_n_kl(k), math.log(k), *_ends(found), *(_gain(seen, name, k).value for name in names)]
        for k, found in points.items()
    ]
    columns = ("k", "KL at most", "log k", "Elo", "low", "high", *(f"{_spoken(seen, name)} gained" for name in names))
    return Table(title="The best of k answers", columns=columns, rows=rows)
