"""What online iteration gained over as many comparisons of the first model: pure, answers and rows in, a report out.

Bai et al. 2022a (arXiv 2204.05862), sec. 4.5 and appendix: Elo of policies, the distribution of values of what was
collected, and why the gain that a preference model predicts is larger than the one that raters see, in four steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from gnomon.core.record import Row
from gnomon.report.base import Drawn, Estimate, Figure, Report, Table
from gnomon.report.figures import Point, curves, forest, histogram
from gnomon.report.words import in_words
from gnomon.stats.clusters import Matrix, Vector
from gnomon.stats.elo import ELO
from gnomon.stats.intervals import bounded
from gnomon.study._answers import Answers
from gnomon.study._measured import accuracy, planted
from gnomon.study._players import Chance, by_choice, by_rater, ranked
from gnomon.study._trained import Trained, over_seeds
from gnomon.train._curve import GOLD, REWARD, gained, read

__all__ = ["LINES", "Outcome", "Step", "Tests", "decomposed", "report"]

LINES = ("values, held-out prompts", "values, raters' prompts", "choices by value", "choices by raters")
"""What the gain of a policy is read off: the preference model's values and choices, and at last what raters say."""

SECTION = {"elo": "Policies", "tranche": "What was collected", "gap": "Predicted and real gains"}
_STATIC, _MIXED, _START = "static", "mixed", "start"
# The value of one seed is what is averaged; its own interval is not read.
_FEW = 100
_LOST = ("other prompts", "values in place of choices", "choices by value in place of the raters'")

Numbers = Sequence[Mapping[str, float]]
"""A number of each policy, by repetition."""

Tests = Mapping[str, Mapping[str, Sequence[Row]]]
"""Rows of test comparisons, by whose preference model and then by kind."""


class Step(NamedTuple):
    """A policy after so many rounds of its training: Elo points since the start by each of `LINES`."""

    round: int
    points: Sequence[float]


class Outcome(NamedTuple):
    """What one repetition found.

    Attributes:
        answers: of every policy to the same questions, by what it is called.
        steps: of each side's policy on its way.
        tests: of both sides' preference models.
    """

    answers: Mapping[str, Answers]
    steps: Mapping[str, Sequence[Step]]
    tests: Tests


def decomposed(policy: Trained, pm: str, rater: str, said: Mapping[int, Answers]) -> list[Step]:
    """The gain of a policy on its way by each of `LINES`, in Elo points since its start.

    Args:
        policy: the training, with readings at the rounds of `said`.
        pm: the preference model that rewarded it.
        rater: who compares.
        said: answers to the raters' questions by round, 0 first; valued by both.
    """
    readings = {reading.round: reading for reading in read(policy.rows)}
    clusters = said[0].clusters
    value = {str(round_): answers.value[pm] for round_, answers in said.items()}
    utility = {str(round_): answers.value[rater] for round_, answers in said.items()}
    chosen, rated = _points(value, clusters, by_choice), _points(utility, clusters, by_rater(rater))
    found = []
    for round_ in said:
        seen = gained(readings[0], readings[round_], REWARD).value or 0.0
        there = float((value[str(round_)] - value["0"]).mean())
        found.append(Step(round_, (ELO * seen, ELO * there, chosen[str(round_)], rated[str(round_)])))
    return found


def report(outcomes: Sequence[Outcome], *, worth: str, rater: str, learnt: Mapping[str, int]) -> Report:
    """The report of all repetitions; intervals are Student's over them.

    Args:
        worth: the value that says what an answer is really worth.
        rater: who compared.
        learnt: comparisons behind each policy but the start.
    """
    elo = [_rated(o, rater) for o in outcomes]
    utility = [{name: float(a.value[worth].mean()) for name, a in o.answers.items()} for o in outcomes]
    main, gaps = _main(elo, utility, worth), list(_of_gaps(outcomes))
    return Report(
        title="Online iteration against as many comparisons of the first model",
        summary=_verdict(main, gaps),
        estimates=[*main, *_of_players(elo, utility, worth), *_of_tranches(outcomes), *gaps],
        figures=Drawn(lambda: _figures(outcomes, elo, learnt)),
        tables=[_table(elo, utility, learnt, worth), _gap_table(outcomes)],
        notes=[*_errors(main), _OVER],
    )


_OVER = (
    "intervals are Student's over repetitions, each with its own comparisons, questions and answers; the models that "
    "policies and preference models start from are the same in all"
)


def _rated(o: Outcome, rater: str) -> dict[str, float]:
    utility = {name: answers.value[rater] for name, answers in o.answers.items()}
    return _points(utility, o.answers[_START].clusters, by_rater(rater))


def _points(utility: Mapping[str, Matrix], clusters: Sequence[str], chance: Chance) -> dict[str, float]:
    """Elo points of every player above the first."""
    return {p.name: p.elo.value or 0.0 for p in ranked(utility, clusters, chance, resamples=_FEW).players}


def _main(elo: Numbers, utility: Numbers, worth: str) -> list[Estimate]:
    """What even thirds gain over the first model's comparisons alone."""
    return [
        Estimate.of(
            f"{what}: mixed above static", over_seeds([each[_MIXED] - each[_STATIC] for each in of]), headline=True
        )
        for what, of in ((_named(worth), utility), ("Elo", elo))
    ]


def _errors(main: Sequence[Estimate]) -> list[str]:
    """The first difference in standard errors, where there are several repetitions."""
    e = main[0]
    if e.value is None or e.low is None or e.high is None or e.n < 3 or e.high <= e.low:
        return []
    error = (e.high - e.low) / 2 / float(stdtrit(e.n - 1, 0.975))
    return [f"{e.metric}: {e.value / error:.1f} standard errors over {e.n} repetitions"]


def _named(worth: str) -> str:
    return GOLD if worth == "brook:gold" else f"value by {worth}"


def _of_players(elo: Numbers, utility: Numbers, worth: str) -> Iterator[Estimate]:
    for name in elo[0]:
        yield Estimate.of(_named(worth), over_seeds([each[name] for each in utility]), group=name)
    for name in elo[0]:
        if name != _START:
            yield Estimate.of("Elo above the start", over_seeds([each[name] for each in elo]), group=name)


def _of_tranches(outcomes: Sequence[Outcome]) -> Iterator[Estimate]:
    kinds = list(outcomes[0].tests[_MIXED])
    for side in (_STATIC, _MIXED):
        for kind in kinds:
            told = over_seeds([accuracy(o.tests[side][kind]) for o in outcomes])
            yield Estimate.of("accuracy", bounded(told), group=f"{side} preference model, {kind}")
    for kind in kinds:
        p = [planted(o.tests[_MIXED][kind]) for o in outcomes]
        best = [float(np.maximum(each, 1 - each).mean()) for each in p if each is not None]
        if best:
            yield Estimate.of("Bayes accuracy", bounded(over_seeds(best)), group=kind)
    values = [_values(o) for o in outcomes]
    for kind in kinds:
        yield Estimate.of("mean value of the answers", over_seeds([float(v[kind].mean()) for v in values]), group=kind)
        yield Estimate.of("spread of their values", over_seeds([float(v[kind].std()) for v in values]), group=kind)
    offset = over_seeds([float(np.concatenate(list(_sides(o).values())).mean()) for o in outcomes])
    yield Estimate.of("subtracted from all values", offset)


def _sides(o: Outcome) -> dict[str, Vector]:
    """Values of both answers of every test comparison by the mixed preference model, by kind."""
    return {
        kind: np.array([[row.evidence["chosen"], row.evidence["rejected"]] for row in rows]).ravel()
        for kind, rows in o.tests[_MIXED].items()
    }


def _values(o: Outcome) -> dict[str, Vector]:
    """The same less their mean over all kinds, for two preference models share no zero."""
    sides = _sides(o)
    mean = float(np.concatenate(list(sides.values())).mean())
    return {kind: of - mean for kind, of in sides.items()}


def _of_gaps(outcomes: Sequence[Outcome]) -> Iterator[Estimate]:
    """The whole gain of each side by each line, and what is lost from each line to the next."""
    for side in (_STATIC, _MIXED):
        ends = [o.steps[side][-1].points for o in outcomes]
        for i, line in enumerate(LINES):
            yield Estimate.of(f"Elo gained: {line}", over_seeds([each[i] for each in ends]), group=side)
        overstated = over_seeds([each[0] - each[-1] for each in ends])
        yield Estimate.of("Elo overstated", overstated, group=side, headline=True)
        for i, why in enumerate(_LOST):
            lost = over_seeds([each[i] - each[i + 1] for each in ends])
            yield Estimate.of(f"Elo overstated: {why}", lost, group=side)


def _verdict(main: Sequence[Estimate], gaps: Sequence[Estimate]) -> str:
    worth, elo = main
    told = f"{worth.metric[0].upper()}{worth.metric[1:]} by {in_words(worth, 2)}, in Elo by {in_words(elo, 0)}."
    for e in gaps:
        if e.headline:
            told += f" {_SAID[e.group]} preference model overstates its policy's gain by {in_words(e, 0)} Elo points."
    return told


_SAID = {_STATIC: "The static side's", _MIXED: "The mixed side's"}


def _figures(outcomes: Sequence[Outcome], elo: Numbers, learnt: Mapping[str, int]) -> list[Figure]:
    points = [
        Estimate.of("Elo", over_seeds([each[name] for each in elo]), group=f"{name}, {learnt[name]} comparisons")
        for name in learnt
    ]
    caption = "Points above the start by the rater, on the same questions; 95 % intervals over repetitions."
    drawn = [forest(points, x="Elo", title="Elo of policies", caption=caption, section=SECTION["elo"], reference=0.0)]
    kinds = list(outcomes[0].tests[_MIXED])
    pooled = {kind: np.concatenate([_values(o)[kind] for o in outcomes]).tolist() for kind in kinds}
    caption = "Both answers of test comparisons, by the mixed side's preference model, less its mean over all kinds."
    title, x = "Values of what was compared", "value by the preference model"
    drawn.append(histogram(pooled, x=x, title=title, caption=caption, section=SECTION["tranche"]))
    return [*drawn, *(_lines(outcomes, side) for side in (_STATIC, _MIXED))]


def _lines(outcomes: Sequence[Outcome], side: str) -> Figure:
    points = []
    for i, line in enumerate(LINES):
        for place, step in enumerate(outcomes[0].steps[side]):
            found = over_seeds([o.steps[side][place].points[i] for o in outcomes])
            points.append(Point(step.round, found.value or 0.0, found.low, found.high, line))
    return curves(
        points,
        x="rounds of training",
        y="Elo above the start",
        title=f"Gains predicted and real: {side}",
        caption="Bands are 95 % intervals over repetitions.",
        section=SECTION["gap"],
        reference=0.0,
    )


def _table(elo: Numbers, utility: Numbers, learnt: Mapping[str, int], worth: str) -> Table:
    rows = []
    for name in elo[0]:
        found, points = over_seeds([each[name] for each in utility]), over_seeds([each[name] for each in elo])
        side = name.partition("@")[0]
        rows.append(
            [name, learnt.get(side, 0), found.value, found.low, found.high, points.value, points.low, points.high]
        )
    columns = ("policy", "comparisons", _named(worth), "low", "high", "Elo", "low", "high")
    return Table(title="Policies", columns=columns, rows=rows, section=SECTION["elo"])


def _gap_table(outcomes: Sequence[Outcome]) -> Table:
    rows = []
    for side in (_STATIC, _MIXED):
        for place, step in enumerate(outcomes[0].steps[side]):
            means = [np.mean([o.steps[side][place].points[i] for o in outcomes]) for i in range(len(LINES))]
            rows.append([side, step.round, *map(float, means)])
    columns = ("policy", "rounds", *LINES)
    return Table(title="Elo above the start, four ways", columns=columns, rows=rows, section=SECTION["gap"])
