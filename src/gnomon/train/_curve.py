"""The way of a policy: the same held-out questions answered every few rounds, and what the values of the answers say.

Values of different questions share no zero, and two preference models share none either, so a curve is drawn of the
same questions throughout, and what is compared are changes since the start. Bai et al. 2022a (arXiv 2204.05862), secs.
4.2 and 4.3: over-optimisation begins where the preference model that is learnt from and one that is not part; before
that, reward grows about linearly in the square root of KL.

Shapes: Q questions, R readings, b sets of weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gnomon.core.record import Row
from gnomon.learn.policy import Episodes, kl_terms
from gnomon.report.base import Estimate, Figure
from gnomon.report.figures import Point, curves
from gnomon.stats.bootstrap import cluster_bootstrap
from gnomon.stats.intervals import Interval, clustered_mean
from gnomon.train._rollout import Drawn

__all__ = [
    "GOLD",
    "REWARD",
    "Line",
    "Reading",
    "fallen",
    "figure",
    "fits",
    "gained",
    "line",
    "of_answers",
    "onset",
    "parted",
    "read",
    "root_kl",
    "since_best",
    "together",
    "told_rows",
]

Vector = NDArray[np.float64]

REWARD, GOLD = "reward", "gold utility"
_LEAST_KL = 0.05
_LEAST_READINGS = 5
_ERRORS = 3.0
_ROUNDING = 1e-9
_KEY = "round-"
_FORMS: Mapping[str, Callable[[Vector], Vector]] = {"sqrt(KL)": np.sqrt, "KL": np.asarray, "log KL": np.log}


class Reading(NamedTuple):
    """The answers of a policy to the held-out questions after some rounds.

    Attributes:
        round: rounds of training before it.
        kl: nats [Q] from the start, of each answer.
        values: of each answer [Q], by name: `REWARD`, the further values, and `GOLD` where it is known.
        clusters: of each question.
    """

    round: int
    kl: Vector
    values: Mapping[str, Vector]
    clusters: Sequence[str]


class Line(NamedTuple):
    """The least-squares line of a value on sqrt(KL).

    Attributes:
        slope: in units of the value for the square root of a nat.
        explained: R2 of lines on sqrt(KL), KL and log KL, by name.
        num_readings: readings that it goes through.
    """

    slope: float
    explained: Mapping[str, float]
    num_readings: int


def told_rows(drawn: Drawn, e: Episodes, round_: int) -> list[Row]:
    """The answers to the held-out questions after `round_` rounds, as rows of a run."""
    k1_B = of_answers(kl_terms(e.policy_N, e.reference_N)[0], e.text_N)
    return [
        Row(
            key=f"{_KEY}{round_:05d}-{i}",
            cluster=question.cluster,
            evidence={
                "round": round_,
                "group": question.group,
                "k1": k1_B[i],
                "reward": drawn.reward[i],
                "gold": drawn.gold[i],
                "watched": {name: values[i] for name, values in drawn.watched.items()},
                "tokens": len(drawn.said[i].tokens),
                "cut": drawn.said[i].finish == "length",
                "text": drawn.said[i].text,
            },
        )
        for i, question in enumerate(drawn.questions)
    ]


def read(rows: Sequence[Row]) -> list[Reading]:
    """The readings among a run's rows, in order of rounds; questions stand in the same order in each."""
    by_round: dict[int, dict[int, Row]] = {}
    for row in rows:
        if row.key.startswith(_KEY):
            round_, place = map(int, row.key.removeprefix(_KEY).split("-"))
            by_round.setdefault(round_, {})[place] = row
    return [_reading(round_, [by_round[round_][i] for i in sorted(by_round[round_])]) for round_ in sorted(by_round)]


def together(ways: Sequence[Sequence[Reading]]) -> list[Reading]:
    """The ways of several policies as one: what they were asked after the same rounds stands side by side.

    Args:
        ways: readings after the same rounds, with values of the same names.
    """
    return [
        Reading(
            same[0].round,
            np.concatenate([each.kl for each in same]),
            {name: np.concatenate([each.values[name] for each in same]) for name in same[0].values},
            [cluster for each in same for cluster in each.clusters],
        )
        for same in zip(*ways, strict=True)
    ]


def gained(first: Reading, then: Reading, name: str, *, less: str = "") -> Interval:
    """The mean change of a value from one reading to a later one; with `less`, less the change of that other value."""
    change_Q = then.values[name] - first.values[name]
    if less:
        change_Q = change_Q - (then.values[less] - first.values[less])
    return clustered_mean(change_Q, then.clusters)


def onset(readings: Sequence[Reading], test: str) -> Reading | None:
    """The first reading from which on the reward has gained more than `test` by over three standard errors; or None.

    Source: the split of train and test preference models, sec. 4.2; the three errors are ours.
    """
    first, *later = readings
    return _to_stay(later, lambda reading: gained(first, reading, REWARD, less=test))


def parted(readings: Sequence[Reading], test: str, *, called: str = "", group: str = "") -> Estimate:
    """The round of `onset`, or that there is none; n is the number of readings.

    Args:
        called: what the report calls `test`, where that is not its name.
    """
    at = onset(readings, test)
    metric = f"reward parts from {called or test}: round"
    if at is None:
        reason = f"at no reading up to round {readings[-1].round} by three standard errors to stay"
        return Estimate(metric=metric, value=None, n=len(readings), group=group, reason=reason)
    apart = gained(readings[0], at, REWARD, less=test)
    reason = "the first reading from which on it stays apart by three standard errors: "
    reason += f"by {apart.value:.2f} there, at a KL of {float(at.kl.mean()):.2f}"
    return Estimate(metric=metric, value=float(at.round), n=len(readings), group=group, reason=reason)


def fallen(readings: Sequence[Reading], name: str) -> Reading | None:
    """The first reading behind the best one from which on a value is below it by over three standard errors; or None.

    The best is chosen by the same answers: see `since_best`.
    """
    best, _ = since_best(readings, name)
    later = [reading for reading in readings if reading.round > best.round]
    return _to_stay(later, lambda reading: gained(reading, best, name))


def since_best(readings: Sequence[Reading], name: str) -> tuple[Reading, Interval]:
    """The reading at which a value was highest, and its mean change from there to the last reading.

    The best is chosen by the same answers, so a fall from it is overstated where the curve is flat.
    """
    best = max(readings, key=lambda reading: float(reading.values[name].mean()))
    return best, gained(best, readings[-1], name)


def line(readings: Sequence[Reading], name: str = REWARD, *, before: Reading | None = None) -> Line | None:
    """A value's line on sqrt(KL) over the readings that `fits` takes; None where they are too few or all the same."""
    far = _far(readings, before)
    means = [[float(each.kl.mean()), float(each.values[name].mean())] for each in far]
    if len(far) < _LEAST_READINGS or np.ptp(means, axis=0).min() < _ROUNDING:
        return None
    whole = np.ones((1, len(far[0].clusters)))
    found = {form: [float(each[0]) for each in _fitted(far, name, form, whole)] for form in _FORMS}
    return Line(found["sqrt(KL)"][0], {form: explained for form, (_, explained) in found.items()}, len(far))


def fits(readings: Sequence[Reading], name: str = REWARD, *, before: Reading | None = None) -> list[Estimate]:
    """Least squares of a value on the square root of KL, and how well sqrt(KL), KL and log KL explain it.

    Readings of at most 0.05 nats are left out, and those from `before` on. Intervals resample questions; what another
    training would give is not in them.
    """
    far = _far(readings, before)
    if len(far) < _LEAST_READINGS:
        reason = f"only {len(far)} readings have more than {_LEAST_KL} nats of KL and lie before the onset"
        return [Estimate(metric=f"{name} on sqrt(KL): R2", value=None, n=len(far), reason=reason)]
    clusters = far[0].clusters
    n = len(clusters)
    slope = cluster_bootstrap(lambda w: _fitted(far, name, "sqrt(KL)", w)[0], n, clusters)
    found = [Estimate.of(f"{name} on sqrt(KL): slope", slope)]
    for form in _FORMS:
        explained = cluster_bootstrap(lambda w, form=form: _fitted(far, name, form, w)[1], n, clusters)  # type: ignore[misc]  # the default binds
        found.append(Estimate.of(f"{name} on {form}: R2", explained))
    return found


def figure(
    readings: Sequence[Reading], *, by: Literal["distance", "rounds"] = "distance", section: str = ""
) -> list[Figure]:
    """What each value gained since the start, by sqrt(KL) or by rounds; none where nothing was read on the way."""
    if len(readings) < 2:
        return []
    points = [point for name in readings[0].values for point in _gains(readings, name, by)]
    caption = "The same held-out questions throughout, with 95 % intervals over them."
    x, along = ("square root of KL, nats", "distance from the start") if by == "distance" else ("rounds", "rounds")
    title, y, way = f"What was gained, by {along}", "change since the start", by == "distance"
    return [curves(points, x=x, y=y, title=title, caption=caption, section=section, reference=0, as_given=way)]


def of_answers(each_N: Tensor, text_N: Tensor) -> list[float]:
    """Sums over the tokens of each answer."""
    sums: list[float] = each_N.new_zeros(int(text_N[-1]) + 1).index_add(0, text_N, each_N).tolist()
    return sums


def root_kl(reading: Reading) -> float:
    """Square root of the mean KL; 0 where an estimate is negative."""
    return math.sqrt(max(0.0, float(reading.kl.mean())))


def _gains(readings: Sequence[Reading], name: str, by: str) -> Iterator[Point]:
    for reading in readings:
        found = gained(readings[0], reading, name)
        x = root_kl(reading) if by == "distance" else float(reading.round)
        yield Point(x, found.value or 0.0, found.low, found.high, name)


def _reading(round_: int, rows: Sequence[Row]) -> Reading:
    evidence = [row.evidence for row in rows]
    values = {REWARD: np.array([e["reward"] for e in evidence])}
    values |= {name: np.array([e["watched"][name] for e in evidence]) for name in evidence[0]["watched"]}
    if all(e["gold"] is not None for e in evidence):
        values[GOLD] = np.array([e["gold"] for e in evidence])
    return Reading(round_, np.array([e["k1"] for e in evidence]), values, [row.cluster for row in rows])


def _to_stay(readings: Sequence[Reading], apart: Callable[[Reading], Interval]) -> Reading | None:
    """The first reading from which on `apart` is above 0 by more than three standard errors; or None."""
    found = None
    for reading in readings:
        parted = apart(reading)
        if (parted.value or 0.0) <= max(_ERRORS * (parted.se or 0.0), _ROUNDING):
            found = None
        elif found is None:
            found = reading
    return found


def _far(readings: Sequence[Reading], before: Reading | None) -> list[Reading]:
    """The readings that lines are fitted to."""
    return [
        each for each in readings if float(each.kl.mean()) > _LEAST_KL and (before is None or each.round < before.round)
    ]


def _fitted(readings: Sequence[Reading], name: str, form: str, weights_bQ: Vector) -> tuple[Vector, Vector]:
    """Slope and R2 [b] of a value's line on KL in that form, of questions weighted by each set."""
    kl_RQ = np.array([each.kl for each in readings])
    value_RQ = np.array([each.values[name] for each in readings])
    share_bQ = weights_bQ / weights_bQ.sum(1, keepdims=True)
    return _line(_FORMS[form](np.maximum(share_bQ @ kl_RQ.T, 1e-6)), share_bQ @ value_RQ.T)


def _line(x_bR: Vector, y_bR: Vector) -> tuple[Vector, Vector]:
    """Slope and R2 [b] of the least-squares line of each set; NaN where x or y does not vary."""
    x_bR, y_bR = (each - each.mean(1, keepdims=True) for each in (x_bR, y_bR))
    xx_b, yy_b, xy_b = ((a * b).sum(1) for a, b in ((x_bR, x_bR), (y_bR, y_bR), (x_bR, y_bR)))
    with np.errstate(divide="ignore", invalid="ignore"):
        return xy_b / xx_b, xy_b**2 / (xx_b * yy_b)
