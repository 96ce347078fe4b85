"""The model analysis table as a report: dates of what changed, whether they coincide, and the pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gnomon.explain.induction.snapshots import Shown
from gnomon.report.base import Drawn, Estimate, Figure, Report, Table
from gnomon.report.tokens import TokenText, tokens
from gnomon.report.words import number
from gnomon.stats.intervals import Interval, clustered_mean, undefined
from gnomon.stats.trajectories import Plane, pivot, plane
from gnomon.stats.transition import Transition
from gnomon.study._trained import over_seeds
from gnomon.study.induction_family.changes import Changes, Seen, changes
from gnomon.study.induction_family.figures import Told, figures, head_kinds
from gnomon.study.induction_family.measured import Measured
from gnomon.study.induction_family.series import Series

__all__ = ["dated", "report"]


def dated(found: Sequence[Measured], shown: Shown) -> list[Told]:
    """Every series, with what changed in it and when.

    Raises:
        DataError: a series has too few snapshots to date anything.
    """
    return [Told(seen, changes(seen, shown.clusters)) for seen in map(Seen, found)]


def report(told: Sequence[Told], shown: Shown, texts: Sequence[TokenText] = ()) -> Report:
    """What was read of every series, dated and drawn; `texts` are one document before and after a change."""
    known = all(each.seen.series.tokens_a_step > 1 for each in told)
    unit = "tokens" if known else "steps"
    joint = plane(np.concatenate([each.seen.picked for each in told]))
    kinds = list(dict.fromkeys(each.seen.series.kind for each in told))
    by_kind = {kind: [each for each in told if each.seen.series.kind == kind] for kind in kinds}
    return Report(
        title=f"{_of(len(told))}, {sum(len(each.seen.steps) for each in told)} snapshots",
        summary=" ".join(_said(kind, some, unit) for kind, some in by_kind.items()),
        estimates=[e for kind, some in by_kind.items() for e in _estimates(kind, some, shown, unit)],
        figures=Drawn(lambda: [*figures(told, joint, unit), *_spoken(texts)]),
        tables=[_dates(told, joint, unit), _heads(by_kind)],
        notes=_notes([each.seen.series for each in told], shown, unit),
    )


def _spoken(texts: Sequence[TokenText]) -> list[Figure]:
    if not texts:
        return []
    caption = "The last snapshot before the change of in-context learning, and the first after it. Hover for numbers."
    title = "One document before and after"
    return [tokens(texts, legend="probability of the token", title=title, caption=caption, section="A document")]


def _said(kind: str, some: Sequence[Told], unit: str) -> str:
    """Sentences on one kind of model."""
    n = len(some)
    icl, heads, both = (
        sum(map(which, (each.changes for each in some)))
        for which in (lambda c: c.icl.detected, lambda c: c.heads.detected, _coincide)
    )
    if not icl and not heads:
        best = max(float(each.seen.largest[-1]) for each in some)
        return f"{kind}: no sudden change in {_of(n)}; the largest prefix matching at the end is {number(best, 2)}."
    dates = f"in-context learning changes suddenly in {icl} of {_of(n)}"
    if icl:
        dates += f", half-way at {_middle(some, _icl)} {unit}"
    dates += f", the largest prefix matching in {heads}"
    if heads:
        dates += f", half-way at {_middle(some, _match)} {unit}"
    return f"{kind}: {dates}; the two windows overlap in {both}."


def _of(n: int) -> str:
    return f"{n} training{'s' * (n > 1)}"


def _icl(of: Changes) -> Transition:
    return of.icl


def _match(of: Changes) -> Transition:
    return of.heads


def _middle(some: Sequence[Told], which: Callable[[Changes], Transition]) -> str:
    """The mean half-way point of those that changed."""
    halves = [t.t50.value for t in (which(each.changes) for each in some) if t.detected and t.t50.value]
    return _short(float(np.mean(halves)))


def _short(tokens: float | None) -> str:
    """Tokens as people say them: 1.52M, 380k."""
    if tokens is None:
        return "–"
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if tokens >= size:
            return f"{tokens / size:.3g}{letter}"
    return f"{tokens:.3g}"


def _coincide(of: Changes) -> bool:
    """Whether both changes are there and their windows overlap."""
    if not (of.icl.detected and of.heads.detected):
        return False
    return of.icl.overlaps(float(of.heads.t10.value or 0), float(of.heads.t90.value or 0))


def _estimates(kind: str, some: Sequence[Told], shown: Shown, unit: str) -> list[Estimate]:
    """Numbers of one kind: over seeds, or of a single training over documents and sequences."""
    read: dict[str, Callable[[Told], Interval]] = {
        "largest prefix matching at the end": lambda t: _largest(t.seen),
        "in-context learning at the end": lambda t: clustered_mean(t.seen.losses("icl")[-1], shown.clusters),
        f"{unit} to half of the change of in-context learning": lambda t: _dated(t.changes.icl),
        f"{unit} to half of the change of prefix matching": lambda t: _dated(t.changes.heads),
        "the first of these over the second": lambda t: _ratio(t.changes),
        "copied tokens: change of the loss in the window": lambda t: _change(t.changes.copied),
        "fresh tokens: change of the loss in the window": lambda t: _change(t.changes.fresh),
    }
    if shown.is_copy_NT is None or not shown.is_copy_NT.any():
        read = {name: of for name, of in read.items() if "change of the loss" not in name}
    return [
        Estimate.of(name, _together([of(each) for each in some]), group=kind, headline=place < 2)
        for place, (name, of) in enumerate(read.items())
    ]


def _together(each: Sequence[Interval]) -> Interval:
    """One training's own interval, or the mean of several; undefined where one of them has no value."""
    if len(each) == 1:
        return each[0]
    lacking = [one for one in each if one.value is None]
    if lacking:
        reason = f"in {len(lacking)} of {len(each)} trainings: {lacking[0].reason}"
        return undefined(reason, n=len(each), clusters=len(each))
    return over_seeds([one.value for one in each if one.value is not None])


def _largest(seen: Seen) -> Interval:
    last = seen.prefix[-1]
    means = last.mean(-1)
    layer, head = np.unravel_index(int(np.nanargmax(means)), means.shape)
    return clustered_mean(last[layer, head])


def _dated(of: Transition) -> Interval:
    return of.t50 if of.detected else undefined(of.reason)


def _ratio(of: Changes) -> Interval:
    """Half-way of in-context learning over half-way of heads; documents and sequences are drawn apart."""
    first, second = of.icl, of.heads
    if not (first.detected and second.detected and first.t50.value and second.t50.value):
        return undefined(first.reason or second.reason)
    if not (first.t50.se and second.t50.se):
        return undefined("no error of a date", value=first.t50.value / second.t50.value)
    ratio = first.t50.value / second.t50.value
    spread = float(np.hypot(first.t50.se / first.t50.value, second.t50.se / second.t50.value))
    reach = np.exp(1.96 * spread)
    return Interval(
        value=ratio, low=ratio / reach, high=ratio * reach, n=first.t50.n, clusters=first.t50.clusters, method="delta"
    )


def _change(of: Interval | None) -> Interval:
    return of or undefined("in-context learning does not change suddenly")


def _dates(told: Sequence[Told], joint: Plane, unit: str) -> Table:
    """When each training changed, by each sign."""
    rows: list[list[Any]] = []
    place = 0
    for seen, of in told:
        turned = pivot(joint.points[place : place + len(seen.steps)])
        place += len(seen.steps)
        at = _short(float(seen.tokens[turned.place]))
        loss = f"{_short(of.bend.low)} to {_short(of.bend.high)}" if of.bend.detected else of.bend.reason
        rows.append(
            [
                seen.name,
                _window(of.icl),
                _window(of.heads),
                loss,
                f"{at} (by {turned.degrees:.0f}°)",
                "yes" if _coincide(of) else "no",
            ]
        )
    columns = (
        "training",
        "in-context learning",
        "prefix matching",
        "loss speeds up",
        "path turns",
        "first two overlap",
    )
    caption = (
        f"In {unit}: from 10 to 90 % of the way between two levels, half-way in brackets; where the loss begins to "
        "fall faster again; where the path of single tokens' losses is farthest from the straight line between its "
        "ends, and by how much it turns there."
    )
    return Table(title="Dates", columns=columns, rows=rows, caption=caption)


def _window(of: Transition) -> str:
    if not of.detected:
        return f"no: {of.reason}"
    return f"{_short(of.t10.value)} to {_short(of.t90.value)} ({_short(of.t50.value)})"


def _heads(by_kind: Mapping[str, Sequence[Told]]) -> Table:
    """The heads of the first training of each kind at its end."""
    rows: list[list[Any]] = []
    for seen, _ in (some[0] for some in by_kind.values()):
        kinds, match = head_kinds(seen), seen.prefix[-1].mean(-1)
        for layer, head in np.ndindex(match.shape):
            icl = None if seen.without_icl is None else round(float(seen.without_icl[-1, layer, head].mean()), 3)
            numbers = (match[layer, head], *(of[-1, layer, head] for of in (seen.previous, seen.copying, seen.trace)))
            known = [round(v, 3) if np.isfinite(v) else None for v in map(float, numbers)]
            rows.append([seen.name, f"{layer}.{head}", kinds[layer][head], *known, icl])
    scores = ("prefix matching", "previous token", "copying", "QK eigenvalues", "ICL without it")
    caption = (
        "Of the first training of each kind; empty where a head's window does not reach, or no head is earlier. ICL: "
        "change of in-context learning in nats, later patterns kept."
    )
    return Table(title="Heads at the end", columns=("training", "head", "kind", *scores), rows=rows, caption=caption)


def _notes(series: Sequence[Series], shown: Shown, unit: str) -> list[str]:
    length = shown.tokens_NT.shape[1]
    late, early = (
        f"{s.start + 1} to {s.stop}" if s.stop - s.start > 1 else str(s.stop) for s in (shown.late, shown.early)
    )
    notes = [
        f"in-context learning is the loss of tokens {late} of {length} less that of tokens {early}, in nats, over "
        f"{len(shown.clusters)} documents; below 0 the model gains from context"
    ]
    rises = dict.fromkeys(_short(each.warmup * each.tokens_a_step) for each in series if each.warmup)
    if rises:
        notes.append(f"the learning rate rises until {', '.join(rises)} {unit}, and is constant from there on")
    gaps = [f"{each.name}: {', '.join(str(s.step) for s in each.missing)}" for each in series if each.missing]
    if gaps:
        notes.append(f"steps whose models are missing, gaps in the lines: {'; '.join(gaps)}")
    if unit == "steps":
        notes.append("steps are counted; --tokens-a-step says how many tokens each has")
    return notes
