"""What repeats cost, as estimates with intervals: over seeds, or with one seed over documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from gnomon.core.errors import DataError
from gnomon.report.base import Estimate
from gnomon.stats.effective import multiplier, ratio
from gnomon.stats.intervals import Interval, proportion, undefined
from gnomon.stats.repeats import Peak, break_even, interior_peak
from gnomon.study._family import spoken
from gnomon.study._trained import over_seeds
from gnomon.study.repeated_data.family import (
    AGAIN,
    METRICS,
    OTHER_DRAW,
    WITHOUT_COPIES,
    Family,
    Matrix,
    Measured,
    apart,
    beside,
)

__all__ = ["curves", "estimates", "last", "peaks", "within"]

_KINDS_OF_TEXT = {
    "loss of what is no copy": "what is no copy",
    "copying": "paragraphs said again",
    "other language": "the other language",
}


def estimates(of: Family) -> list[Estimate]:
    """Every estimate of the family; the largest size at the largest share stands first."""
    found = [*_worst(of), *_multipliers(of), *_by_heart(of), *_double_descent(of), *_without_copies(of)]
    found += [*_other_draw(of), *_mitigations(of), *_tuned(of)]
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


def last(of: Measured) -> float:
    """The test loss at the end of training, of the documents that curves are read of."""
    return float(of["curve"]["held-out"][-1])


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
        early = [min(c["curve"]["held-out"][1:]) - last(k) for c, k in zip(cell, control, strict=True)]
        yield Estimate.of("added where training stops at its lowest test loss, nats", over_seeds(early), group=group)
        as_low = [_until(k["curve"], last(c)) for c, k in zip(cell, control, strict=True)]
        metric = "share of the tokens after which models without repeats had as low a test loss"
        yield Estimate.of(metric, _reached(as_low), group=group)
        fewer = of.fewer(width, share)
        if fewer is not None:
            harm = apart(cell, fewer, METRICS["test loss"])
            yield Estimate.of("of it more than where repeats are left out, nats", harm, group=group)
        for metric, name in _KINDS_OF_TEXT.items():
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
        if kind == WITHOUT_COPIES + AGAIN:
            one, other = of.places[kind, width, share, epochs], of.places[WITHOUT_COPIES, width, 0.0, 1.0]
            group = f"a language without copies, {_size(of, width)}, {share:.0%} repeats, {epochs:g} epochs"
            added = apart(one, other, METRICS["test loss"])
            yield Estimate.of("test loss added by repeats, nats", added, group=group)
            change = apart(one, other, METRICS["prefix matching"])
            yield Estimate.of("change of the most prefix matching of a head", change, group=group)


def _other_draw(of: Family) -> Iterator[Estimate]:
    """What is read where nothing is repeated and only the draw differs: the negative control of every cost."""
    for kind, width, _, _ in of.places:
        if kind == OTHER_DRAW:
            group = f"no repeats, another draw, {_size(of, width)}"
            added = apart(of.places[kind, width, 0.0, 1.0], of.control(width), METRICS["test loss"])
            yield Estimate.of("test loss added by repeats, nats", added, group=group, null=0.0)
            for name in METRICS:
                worth = of.worth_other(name, width)
                if worth is not None:
                    metric = f"effective size over size, by {name}"
                    yield Estimate.of(metric, multiplier(worth), group=group, null=1.0)


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
        found = _reached([_until(one["curve"], last(two)) for one, two in zip(tuned, scratch, strict=True)])
        yield Estimate.of("share of the tokens that reach what scratch reaches", found, group=group)


def _reached(shares: Sequence[float | None]) -> Interval:
    known = [share for share in shares if share is not None]
    return over_seeds(known) if len(known) == len(shares) else replace(undefined("not reached"), n=len(shares))


def _until(curve: Mapping[str, Sequence[float]], goal: float) -> float | None:
    """At which share of training its test loss first is `goal`, straight over log steps; None where it never is.

    Where it is there before the first snapshot, that of the first snapshot.
    """
    steps, losses = np.array(curve["steps"][1:], dtype=np.float64), np.array(curve["held-out"][1:])
    below = np.flatnonzero(losses <= goal)
    if not len(below):
        return None
    i = int(below[0])
    if i == 0:
        return float(steps[0] / steps[-1])
    share = (losses[i - 1] - goal) / (losses[i - 1] - losses[i])
    return float(steps[i - 1] * (steps[i] / steps[i - 1]) ** share / steps[-1])


def _mitigations(of: Family) -> Iterator[Estimate]:
    """What repeats add where something is done against learning by heart, and what that itself costs or gains."""
    for kind, width, share, epochs in of.places:
        if not kind.endswith(AGAIN) or kind.startswith(WITHOUT_COPIES):
            continue
        cell, own = of.places[kind, width, share, epochs], of.places[beside((kind, width, share, epochs))]
        group = f"{kind.removesuffix(AGAIN)}, {_size(of, width)}, {share:.0%} repeats, {epochs:g} epochs"
        yield Estimate.of("test loss added by repeats, nats", apart(cell, own, METRICS["test loss"]), group=group)
        less = apart(cell, of.cell(width, share, epochs), METRICS["test loss"])
        yield Estimate.of("test loss less that with nothing done, nats", less, group=group)
        if own is not of.control(width):
            price = apart(own, of.control(width), METRICS["test loss"])
            yield Estimate.of("test loss that it adds without repeats, nats", price, group=group)
        learnt = over_seeds([float(np.mean(c["set"])) for c in cell])
        yield Estimate.of("loss on the set, nats", learnt, group=group)
