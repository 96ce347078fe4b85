"""What repeats cost, as estimates with intervals: over seeds, or with one seed over documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from gnomon.core.errors import DataError
from gnomon.report.base import Estimate
from gnomon.stats.effective import multiplier, ratio
from gnomon.stats.intervals import Interval, proportion, undefined
from gnomon.stats.repeats import Peak, break_even, interior_peak
from gnomon.study._family import spoken
from gnomon.study._trained import over_seeds
from gnomon.study.repeated_data.family import METRICS, Family, Matrix, Measured, apart

__all__ = ["curves", "estimates", "peaks", "within"]


def estimates(of: Family) -> list[Estimate]:
    """Every estimate of the family; the largest size at the largest share stands first."""
    found = [*_worst(of), *_multipliers(of), *_by_heart(of), *_double_descent(of), *_without_copies(of), *_tuned(of)]
    return sorted(found, key=lambda e: not e.headline)


def peaks(of: Family, width: int, share: float) -> Peak:
    """The peak of the test loss over epochs."""
    return interior_peak(of.losses(width, share))


def within(of: Family, width: int, share: float, epochs: float) -> Peak:
    """The peak of the test loss over the steps of one place's trainings, the untrained model left out."""
    return interior_peak(curves(of.cell(width, share, epochs)))


def curves(trainings: Sequence[Measured]) -> Matrix:
    """Test losses [S, K] at every snapshot but that before the first step."""
    return np.array([each["curve"]["held-out"][1:] for each in trainings])


def _places(of: Family) -> Iterator[tuple[int, float, float, str, bool]]:
    """Width, share, worst epochs, what to call the place, and whether it is the one that leads."""
    for width in of.widths:
        for share in of.shares:
            epochs = of.worst(width, share)
            first = (width, share) == (of.widths[-1], of.shares[-1])
            yield width, share, epochs, f"{_size(of, width)}, {share:.0%} repeats, {epochs:g} epochs", first


def _size(of: Family, width: int) -> str:
    return spoken(of.size(width))


def _worst(of: Family) -> Iterator[Estimate]:
    """At the epochs that hurt most: what is lost, and what of it is more than not having seen as much that is new."""
    for width, share, epochs, group, first in _places(of):
        cell, control = of.cell(width, share, epochs), of.control(width)
        added = apart(cell, control, METRICS["test loss"])
        yield Estimate.of("test loss added by repeats, nats", added, group=group, headline=first)
        harm = [c["curve"]["held-out"][-1] - w for c, w in zip(cell, of.wasted(width, share), strict=True)]
        yield Estimate.of("of it more than what new tokens are missing, nats", over_seeds(harm), group=group)
        for metric, name in (("copying", "paragraphs said again"), ("other language", "the other language")):
            found = apart(cell, control, METRICS[metric])
            yield Estimate.of(f"loss added on {name}, nats", found, group=group)
        prefix = apart(cell, control, METRICS["prefix matching"])
        yield Estimate.of("change of the most prefix matching of a head", prefix, group=group, headline=first)
        learnt = over_seeds([float(np.mean(c["set"])) for c in cell])
        yield Estimate.of("loss on the set, nats", learnt, group=group, headline=first)
        yield Estimate.of("share from which learning by heart pays", _pays(of, width, share, epochs), group=group)


def _pays(of: Family, width: int, share: float, epochs: float) -> Interval:
    """1 - L(no repeats) / L(repeats), as if nothing of the set cost anything any more."""
    values = []
    for cell, control in zip(of.cell(width, share, epochs), of.control(width), strict=True):
        try:
            values.append(break_even(float(np.mean(control["held-out"])), float(np.mean(cell["held-out"]))))
        except DataError as error:
            return undefined(error.what)
    return over_seeds(values)


def _multipliers(of: Family) -> Iterator[Estimate]:
    """Effective sizes where repeats hurt most, and where they hurt most of what still lies on the ladder."""
    for width, share, epochs, _, first in _places(of):
        inside = [e for e in of.epochs(width, share) if _on_ladder(of, width, share, e)]
        mild = max(inside, key=lambda e: _added(of, width, share, e), default=epochs)
        for place in dict.fromkeys((epochs, mild)):
            group = f"{_size(of, width)}, {share:.0%} repeats, {place:g} epochs"
            for name in METRICS:
                found = of.multiplier(name, width, share, place)
                if found is not None:
                    leads = first and name in ("test loss", "copying")
                    yield Estimate.of(f"effective size over size, by {name}", found, group=group, headline=leads)
            copying, loss = (of.worth(name, width, share, place) for name in ("copying", "test loss"))
            if copying is not None and loss is not None:
                yield Estimate.of("multiplier by copying over that by test loss", ratio(copying, loss), group=group)


def _on_ladder(of: Family, width: int, share: float, epochs: float) -> bool:
    found = of.multiplier("test loss", width, share, epochs)
    return found is not None and found.value is not None


def _added(of: Family, width: int, share: float, epochs: float) -> float:
    return float(of.damage(width, share).mean(axis=0)[of.epochs(width, share).index(epochs)])


def _by_heart(of: Family) -> Iterator[Estimate]:
    """How many documents of the set are continued exactly; beside it, of held-out documents."""
    for width, share, epochs, group, _ in _places(of):
        cell = of.cell(width, share, epochs)
        known = proportion([hit for each in cell for hit in each["known"]], _seeds(cell, "known"))
        null = float(np.mean([hit for each in cell for hit in each["known, held out"]]))
        yield Estimate.of("documents of the set said by heart", known, group=group, null=null)


def _seeds(cell: Sequence[Measured], name: str) -> list[int] | None:
    """The seed of each document, where there are several."""
    return [seed for seed, each in enumerate(cell) for _ in each[name]] if len(cell) > 1 else None


def _double_descent(of: Family) -> Iterator[Estimate]:
    for width, share, _, _, first in _places(of):
        over = f"{_size(of, width)}, {share:.0%} repeats"
        seeds = len(of.control(width))
        yield _peak("height of the peak over epochs, nats", peaks(of, width, share), over, seeds, first)
        place = max(of.epochs(width, share), key=lambda e: within(of, width, share, e).above)
        found = within(of, width, share, place)
        yield _peak("height of the peak within training, nats", found, f"{over}, {place:g} epochs", seeds, first)
    for width in of.widths:
        found = interior_peak(curves(of.control(width)))
        group, seeds = f"{_size(of, width)}, no repeats", len(of.control(width))
        yield _peak("height of the peak within training, nats", found, group, seeds, False)


def _peak(metric: str, found: Peak, group: str, seeds: int, headline: bool) -> Estimate:
    said = found.verdict if found.error is None else f"{found.verdict}; standard error {found.error:.3f}"
    value = found.above if np.isfinite(found.above) else None
    return Estimate(metric=metric, value=value, n=seeds, group=group, headline=headline, null=0.0, reason=said)


def _without_copies(of: Family) -> Iterator[Estimate]:
    """What repeats do to prefix matching where the language has no copies: the negative control."""
    for kind, width, share, epochs in of.places:
        if kind == "without copies, repeats":
            one, other = of.places[kind, width, share, epochs], of.places["without copies", width, 0.0, 1.0]
            group = f"a language without copies, {_size(of, width)}, {share:.0%} repeats, {epochs:g} epochs"
            added = apart(one, other, METRICS["test loss"])
            yield Estimate.of("test loss added by repeats, nats", added, group=group)
            change = apart(one, other, METRICS["prefix matching"])
            yield Estimate.of("change of the most prefix matching of a head", change, group=group)


def _tuned(of: Family) -> Iterator[Estimate]:
    """Further training on the other language: the loss beside that of models trained on it alone."""
    for kind, width, share, epochs in of.places:
        if kind != "tuned":
            continue
        tuned, scratch = of.places[kind, width, share, epochs], of.places["scratch", width, 0.0, 1.0]
        before = f"after {share:.0%} repeats, {epochs:g} epochs" if share else "after no repeats"
        group = f"{_size(of, width)}, {before}"
        more = apart(tuned, scratch, METRICS["test loss"])
        yield Estimate.of("loss further trained less that from scratch, nats", more, group=group)
        worth = of.worth_tuned(width, share, epochs)
        if worth is not None:
            metric = "effective size over size after training further, beside models from scratch"
            yield Estimate.of(metric, multiplier(worth), group=group)
        share_of = [_steps_to(a, b) for a, b in zip(tuned, scratch, strict=True)]
        found = over_seeds([s for s in share_of if s is not None])
        if None in share_of:
            found = replace(undefined("not reached"), n=len(share_of))
        yield Estimate.of("share of the tokens that reach what scratch reaches", found, group=group)


def _steps_to(tuned: Measured, scratch: Measured) -> float | None:
    """At which share of its training a model has the last loss of one from scratch; None where it never has."""
    goal, curve = scratch["curve"]["held-out"][-1], tuned["curve"]
    for step, loss in zip(curve["steps"], curve["held-out"], strict=True):
        if loss <= goal:
            return float(step / curve["steps"][-1])
    return None
