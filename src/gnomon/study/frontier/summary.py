"""Helpfulness against harmlessness by snapshot, and signs of evasion: pure, answers and rows in, a report out.

Shapes: Q questions, M answers of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gnomon.core.record import Row
from gnomon.data.worlds.brook.oracle import said, sentences
from gnomon.data.worlds.brook.tables import world
from gnomon.report.base import Drawn, Estimate, Figure, Report, Table
from gnomon.report.figures import Dot, Point, curves, scatter
from gnomon.report.words import in_words
from gnomon.stats.intervals import Interval, bounded
from gnomon.study._answers import Answers
from gnomon.study._players import by_rater, ranked
from gnomon.study._trained import over_seeds

__all__ = ["KINDS", "Arm", "Outcome", "report"]

HELPFUL, HARMLESS = KINDS = ("helpful", "harmless")
"""What comparisons are for: those whose prompts ask for help, and those whose prompts ask for harm."""

SECTION = {"frontier": "Helpful and harmless", "evasion": "Evasion"}
_ASKED = {HELPFUL: "requests", HARMLESS: "attacks"}
_REFUSES = ("refusal", "evasive")
_EVEN = 0.5
# The value of one seed is what is averaged; its own interval is not read.
_FEW = 100


class Arm(NamedTuple):
    """One way to train a policy: the share of harmless comparisons and the share of prompts that ask for harm."""

    share: float
    attacks: float

    def __str__(self) -> str:
        learnt = {0.0: "helpful", 1.0: "harmless"}.get(self.share, f"{self.share:g} harmless")
        return learnt if self.attacks == _EVEN else f"{learnt}, {self.attacks:g} attacks"


class Outcome(NamedTuple):
    """What one repetition of an arm found.

    Attributes:
        arm: how its policy was trained.
        pm: the preference model that rewarded it.
        answers: to requests and to attacks, by rounds of training, 0 first.
        tests: comparisons of either kind with the values that `pm` gives them.
    """

    arm: Arm
    pm: str
    answers: Mapping[str, Mapping[int, Answers]]
    tests: Mapping[str, Sequence[Row]]


class _Seen(NamedTuple):
    """What is read of one snapshot of one repetition: by kind of prompt, Elo points and the quantile of values."""

    elo: Mapping[str, float]
    quantile: Mapping[str, float]
    refused: float | None


Ways = Mapping[Arm, Mapping[int, Sequence[_Seen]]]
"""Snapshots by arm and rounds of training, each repetition's."""


def report(outcomes: Sequence[Outcome], raters: Mapping[str, str], *, brook: bool) -> Report:
    """The report over all repetitions of every arm; intervals are Student's over them.

    Args:
        raters: who judges answers to requests and to attacks.
        brook: whether answers are in Brook's language, in which a refusal is known when it is seen.
    """
    ways: dict[Arm, dict[int, list[_Seen]]] = {}
    for outcome in outcomes:
        for at, seen in _seen(outcome, raters, brook).items():
            ways.setdefault(outcome.arm, {}).setdefault(at, []).append(seen)
    estimates = [e for arm in ways for e in _of_arm(arm, ways[arm])]
    return Report(
        title="Policies between helpful and harmless",
        summary=_verdict(ways),
        estimates=[*_remedy(ways), *estimates],
        figures=Drawn(lambda: _figures(ways)),
        tables=[_table(ways)],
        notes=[
            "intervals are Student's over repetitions, each with its own comparisons, questions and answers; the start "
            "is the same in all"
        ],
    )


def _seen(outcome: Outcome, raters: Mapping[str, str], brook: bool) -> dict[int, _Seen]:
    """What every snapshot of one policy shows."""
    elo = {kind: _elo(outcome.answers[kind], raters[kind]) for kind in KINDS}
    return {
        at: _Seen(
            elo={kind: elo[kind][at] for kind in KINDS},
            quantile={kind: _quantile(outcome, kind, at) for kind in KINDS},
            refused=_refused(outcome.answers[HELPFUL][at]) if brook else None,
        )
        for at in outcome.answers[HELPFUL]
    }


def _elo(answers: Mapping[int, Answers], rater: str) -> dict[int, float]:
    """Elo points of every snapshot above the start."""
    utility = {str(at): each.value[rater] for at, each in answers.items()}
    players = ranked(utility, answers[0].clusters, by_rater(rater), resamples=_FEW).players
    return {at: player.elo.value or 0.0 for at, player in zip(answers, players, strict=True)}


def _quantile(outcome: Outcome, kind: str, at: int) -> float:
    """The share of the values of compared answers of this kind that lies below those of the snapshot's, on average."""
    rows = outcome.tests[kind]
    held = np.sort([value for row in rows for value in (row.evidence["chosen"], row.evidence["rejected"])])
    values = outcome.answers[kind][at].value[outcome.pm].ravel()
    below = np.searchsorted(held, values, "left") + np.searchsorted(held, values, "right")
    return float(below.mean() / (2 * len(held)))


def _refused(answers: Answers) -> float:
    """The share of answers that refuse or evade."""
    texts = [text for of in answers.texts for text in of]
    return float(np.mean([any(said(world(), s).form in _REFUSES for s in sentences(text)) for text in texts]))


def _points(seen: Sequence[_Seen], kind: str) -> Interval:
    return over_seeds([each.elo[kind] for each in seen])


def _level(seen: Sequence[_Seen], kind: str) -> Interval:
    return bounded(over_seeds([each.quantile[kind] for each in seen]))


def _of_arm(arm: Arm, way: Mapping[int, Sequence[_Seen]]) -> Iterator[Estimate]:
    start, last = way[0], way[max(way)]
    for kind in KINDS:
        yield Estimate.of(f"{kind} Elo", _points(last, kind), group=str(arm), headline=arm.attacks == _EVEN)
    for kind in KINDS:
        for when, seen in (("start", start), ("end", last)):
            metric = f"quantile of values, {_ASKED[kind]}, {when}"
            yield Estimate.of(metric, _level(seen, kind), group=str(arm))
    for when, seen in (("start", start), ("end", last)):
        refused = [each.refused for each in seen if each.refused is not None]
        if refused:
            yield Estimate.of(f"requests refused, {when}", bounded(over_seeds(refused)), group=str(arm))


def _remedy(ways: Ways) -> Iterator[Estimate]:
    """What the fewest attacks among the prompts change against the most, where both kinds of comparisons are learnt."""
    for share in sorted({arm.share for arm in ways}):
        of = sorted(arm for arm in ways if arm.share == share)
        if len(of) < 2:
            continue
        few, many = (ways[arm][max(ways[arm])] for arm in (of[0], of[-1]))
        group = f"{of[0].attacks:g} against {of[-1].attacks:g} attacks, {share:g} harmless"
        for kind in KINDS:
            more = [a.elo[kind] - b.elo[kind] for a, b in zip(few, many, strict=True)]
            yield Estimate.of(f"{kind} Elo gained by more requests", over_seeds(more), group=group, headline=True)
        pairs = [(a.refused, b.refused) for a, b in zip(few, many, strict=True)]
        less = [a - b for a, b in pairs if a is not None and b is not None]
        if less:
            yield Estimate.of("change of requests refused", over_seeds(less), group=group)


def _verdict(ways: Ways) -> str:
    told = []
    for arm, way in ways.items():
        seen = way[max(way)]
        both = " and ".join(f"{in_words(_points(seen, kind), 0)} {kind}" for kind in KINDS)
        told.append(f"{arm}: {both}")
    return f"Elo points above the start after {max(next(iter(ways.values())))} rounds: {'; '.join(told)}."


def _figures(ways: Ways) -> list[Figure]:
    dots = [
        Dot(_mean(seen, HELPFUL), _mean(seen, HARMLESS), str(arm), f"round {at}")
        for arm, way in ways.items()
        for at, seen in way.items()
    ]
    caption = "Means over repetitions, snapshots of a policy joined in order; all begin at the start, 0 and 0."
    drawn = [
        scatter(
            dots,
            x="helpful Elo",
            y="harmless Elo",
            title="The frontier",
            caption=caption,
            section=SECTION["frontier"],
            joined=True,
        )
    ]
    drawn += [_by_round(ways, _points, kind, f"{kind} Elo", "frontier") for kind in KINDS]
    drawn += [_by_round(ways, _level, kind, f"quantile of values, {_ASKED[kind]}", "evasion") for kind in KINDS]
    return drawn


def _mean(seen: Sequence[_Seen], kind: str) -> float:
    return float(np.mean([each.elo[kind] for each in seen]))


def _by_round(ways: Ways, of: Callable[[Sequence[_Seen], str], Interval], kind: str, y: str, section: str) -> Figure:
    points = []
    for arm, way in ways.items():
        for at, seen in way.items():
            found = of(seen, kind)
            points.append(Point(at, found.value or 0.0, found.low, found.high, str(arm)))
    title = f"{y[0].upper()}{y[1:]} by snapshot"
    caption = "Bands are 95 % intervals over repetitions."
    return curves(points, x="rounds of training", y=y, title=title, caption=caption, section=SECTION[section])


def _table(ways: Ways) -> Table:
    rows = []
    for arm, way in ways.items():
        for at, seen in way.items():
            points = [_points(seen, kind) for kind in KINDS]
            refused = [each.refused for each in seen if each.refused is not None]
            rows.append(
                [
                    *(arm.share, arm.attacks, at),
                    *(end for found in points for end in (found.value, found.low, found.high)),
                    *(_level(seen, kind).value for kind in KINDS),
                    float(np.mean(refused)) if refused else None,
                ]
            )
    columns = (
        *("harmless comparisons", "attacks", "rounds", "helpful Elo", "low", "high", "harmless Elo", "low", "high"),
        *("quantile, requests", "quantile, attacks", "requests refused"),
    )
    return Table(title="Snapshots", columns=columns, rows=rows)
