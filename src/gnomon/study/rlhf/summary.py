"""What trainings from comparisons to an assistant say, read together. Pure: reports and rows in, a report out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from gnomon.report.base import Drawn, Estimate, Figure, Report, Table
from gnomon.report.figures import forest
from gnomon.report.words import in_words
from gnomon.stats.elo import Elo as Ranking
from gnomon.study._trained import Trained, over_seeds
from gnomon.train._curve import GOLD, REWARD, Reading, figure, parted, read

__all__ = ["Evidence", "report"]

_PM = ("accuracy", "Bayes accuracy", "accuracy of length alone", "ECE", "temperature")
_TEST = "the other half's value"


class Evidence(NamedTuple):
    """What was trained and asked.

    Attributes:
        taught: preference models that policies learn from, by seed.
        policies: policies within a budget of KL, by seed.
        pushed: policies rewarded by few comparisons, without a budget, by seed; none where they were left out.
        test: the first preference model of the other half.
        ranking: Elo of policies of the first seed.
        tax: what each policy can do beside its start, by seed.
    """

    taught: Sequence[Trained]
    policies: Sequence[Trained]
    pushed: Sequence[Trained]
    test: str
    ranking: Ranking
    tax: Sequence[Report]


def report(seen: Evidence) -> Report:
    """The report; what several trainings measured is their mean, with Student's interval over them."""
    sides = {"healthy": seen.policies, **({"goodhart": seen.pushed} if seen.pushed else {})}
    estimates = [
        *(e for name, trained in sides.items() for e in _policy(name, trained)),
        *(Estimate.of("Elo", p.elo, group=p.name) for p in seen.ranking.players),
        *_tax(seen.tax),
        *_valued(seen.taught),
    ]
    return Report(
        title="From comparisons to an assistant",
        summary=_summary(estimates, sides),
        estimates=estimates,
        figures=Drawn(lambda: list(_figures(seen, sides))),
        tables=[table for name, trained in sides.items() for table in _galleries(name, trained[0])],
        notes=_notes(seen),
    )


def _policy(name: str, trained: Sequence[Trained]) -> Iterator[Estimate]:
    """What each value gained, the KL that it took, and where the two preference models part."""
    for metric in (REWARD, _TEST, GOLD):
        found = _over([_gained(each, metric) for each in trained])
        if found:
            headline = metric in (REWARD, GOLD)
            yield replace(found, metric=f"{metric} gained", group=name, headline=headline)
    for metric in ("KL", "tokens an answer", "cut short", "distinct-2"):
        found = _over([each.report.estimate(metric) for each in trained])
        if found:
            yield replace(found, metric=metric, group=name)
    for seed, each in enumerate(trained):
        yield _parts(name if len(trained) == 1 else f"{name}, training {seed}", read(each.rows))


def _gained(trained: Trained, metric: str) -> Estimate | None:
    """The gain on all held-out questions; None where the value is not known."""
    name = trained.config.watched[0] if metric == _TEST else metric
    known = {e.metric for e in trained.report.estimates}
    return trained.report.estimate(f"{name} gained") if f"{name} gained" in known else None


def _over(found: Sequence[Estimate | None]) -> Estimate | None:
    """One training's own estimate, with its interval over questions; of several, their mean."""
    kept = [e for e in found if e is not None]
    if len(kept) < 2:
        return kept[0] if kept else None
    return Estimate.of(kept[0].metric, over_seeds([e.value for e in kept if e.value is not None]))


def _parts(group: str, readings: Sequence[Reading]) -> Estimate:
    """Where the reward and the other half's value part."""
    test = next(name for name in readings[0].values if name not in (REWARD, GOLD))
    return parted(readings, test, called="the other half", group=group)


def _tax(found: Sequence[Report]) -> Iterator[Estimate]:
    """Accuracy that the policy lost on each task, positive where it lost some."""
    groups = dict.fromkeys(e.group for e in found[0].estimates if e.metric == "tax")
    for group in groups:
        whole = group == "mean of tasks" or len(groups) == 1
        each = _over([one.estimate("tax", group) for one in found])
        if each:
            yield replace(each, metric="tax", group=group, headline=whole)


def _valued(taught: Sequence[Trained]) -> Iterator[Estimate]:
    """How right and how calibrated the preference model is that the policy learns from."""
    for metric in _PM:
        known = [e for each in taught for e in each.report.estimates if (e.metric, e.group) == (metric, "")]
        found = _over(known)
        if found:
            yield replace(found, group="preference model", headline=False)


def _figures(seen: Evidence, sides: dict[str, Sequence[Trained]]) -> Iterator[Figure]:
    yield next(iter(seen.taught[0].report.figures))
    for name, trained in sides.items():
        (drawn,) = figure([_named(reading) for reading in read(trained[0].rows)])
        yield replace(drawn, title=f"What was gained, by distance from the start: {name}")
    shown = [Estimate.of("Elo", p.elo, group=p.name) for p in seen.ranking.players]
    caption = "Answers to the same questions, compared in pairs; the start is 0. 95 % intervals over questions."
    yield forest(shown, x="Elo", title="Elo of policies on the way", caption=caption, reference=0.0)
    caption = "Accuracy lost on each task, paired by item; negative where the policy does better."
    yield forest(list(_tax(seen.tax)), x="tax", title="What alignment cost", caption=caption, reference=0.0)


def _named(reading: Reading) -> Reading:
    """The same with the other half's value called so."""
    values = {name if name in (REWARD, GOLD) else _TEST: each for name, each in reading.values.items()}
    return reading._replace(values=values)


def _galleries(name: str, trained: Trained) -> list[Table]:
    return [replace(table, title=f"{table.title}: {name}") for table in trained.report.tables]


def _summary(estimates: Sequence[Estimate], sides: dict[str, Sequence[Trained]]) -> str:
    by = {(e.metric, e.group): e for e in estimates}
    told = []
    for name, trained in sides.items():
        said = [
            f"{metric} {in_words(e, 2)}"
            for metric in (REWARD, _TEST, GOLD)
            if (e := by.get((f"{metric} gained", name)))
        ]
        preset = "within its budget of KL" if name == "healthy" else "on few comparisons, without a budget,"
        told.append(f"The policy {preset} gains: {', '.join(said)}, at a KL of {in_words(by['KL', name], 2)} nats.")
        last = [float(np.mean(reading.values[GOLD])) for reading in read(trained[0].rows) if GOLD in reading.values]
        if last and name == "goodhart":
            told.append(
                f"What was meant is at its best {max(last):.2f} on the way there and {last[-1]:.2f} at the end."
            )
    cost = next((e for e in estimates if e.metric == "tax" and e.headline), None)
    return " ".join([*told, f"What it could do before lost {in_words(cost)}."] if cost else told)


def _notes(seen: Evidence) -> list[str]:
    if len(seen.policies) == 1:
        return ["one training of each: intervals are over questions; --seeds 3 gives a spread of trainings"]
    return [f"means over {len(seen.policies)} trainings; Elo, figures and answers are of the first"]
