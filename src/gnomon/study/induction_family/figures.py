"""The rows of the model analysis table as pictures, a panel a kind of model.

Olsson et al. 2022 (arXiv 2209.11895), "model analysis table". Lines are of every seed; heat maps and windows are of the
first. Windows run from a tenth to nine tenths of the change of in-context learning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from gnomon.explain.induction.kinds import LEAST, kind_of
from gnomon.report.base import Figure
from gnomon.report.figures import Dot, scatter
from gnomon.report.panels import Tile, Trace, tiles, traces
from gnomon.stats.clusters import Matrix, Vector
from gnomon.stats.trajectories import Plane, turns
from gnomon.study.induction_family.changes import Changes, Seen

__all__ = ["Told", "figures", "head_kinds"]

_SECTION = "Model analysis table"
_BINS = 14
_EARLY = (0.05, 0.1, 0.2, 0.4)
_DIGITS = 4


class Told(NamedTuple):
    """A series, and what changed in it."""

    seen: Seen
    changes: Changes


def figures(told: Sequence[Told], plane: Plane, unit: str) -> list[Figure]:
    """Every picture; rows that a family has nothing for are left out.

    Args:
        plane: of the losses of single tokens of all snapshots, series after series.
        unit: what training is counted in, "tokens" or "steps".
    """
    first = {each.seen.series.kind: each for each in reversed(told)}
    shown = _Shown(told, list(reversed(first.values())), unit)
    return [
        _paths(shown, plane),
        shown.lines("2. Loss", "nats", lambda s: s.losses("loss").mean(1)[None], _WINDOW),
        *_maps(shown),
        shown.lines("5. In-context learning", "nats", lambda s: s.losses("icl").mean(1)[None]),
        shown.heads("6. Prefix matching by head", "share", lambda s: s.prefix.mean(-1), _layer),
        *_of_weights(shown),
        *_left_out(shown),
        *_copies(shown),
        _choices(shown),
        _turning(shown),
    ]


def head_kinds(seen: Seen) -> list[list[str]]:
    """What each head is at the end, [layer][head]: as `kind_of` calls it, or "other"."""
    match, back, copied = seen.prefix[-1].mean(-1), seen.previous[-1], seen.copying[-1]
    return [
        [
            kind_of(matches=m >= LEAST, copies=c > seen.chance[-1], looks_back=b >= LEAST) or "other"
            for m, c, b in zip(*three, strict=True)
        ]
        for three in zip(match, copied, back, strict=True)
    ]


def _layer(_: Seen, layer: int, head: int) -> str:
    return f"layer {layer}"


def _kind(seen: Seen, layer: int, head: int) -> str:
    return head_kinds(seen)[layer][head]


_WINDOW = "Orange: from a tenth to nine tenths of the change of in-context learning, of the first training of a kind."
_Read = Callable[[Seen], Matrix]


class _Shown:
    """Series as panels."""

    def __init__(self, told: Sequence[Told], first: Sequence[Told], unit: str) -> None:
        self.told, self.first, self.unit = told, first, unit
        self.windows = {
            each.seen.series.kind: (float(c.icl.t10.value or 0), float(c.icl.t90.value or 0))
            for each in first
            if (c := each.changes).icl.detected
        }

    def lines(self, title: str, y: str, read: _Read, caption: str = "", names: Sequence[str] = ("",)) -> Figure:
        """Lines [names, S] of every series."""
        points = [
            point
            for seen, _ in self.told
            for name, values in zip(names, read(seen), strict=True)
            for point in _points(seen, values, f"{seen.name} {name}".strip(), name)
        ]
        return self._drawn(points, title, y, caption)

    def heads(
        self, title: str, y: str, read: _Read, group: Callable[[Seen, int, int], str], caption: str = ""
    ) -> Figure:
        """Lines of numbers of heads [S, L, H] of every series, coloured by what `group` says of a head."""
        points: list[Trace] = []
        for seen, _ in self.told:
            values_SLH = read(seen)
            for layer, head in np.ndindex(values_SLH.shape[1:]):
                line = f"{seen.name}, head {layer}.{head}"
                points += _points(seen, values_SLH[:, layer, head], line, group(seen, layer, head))
        # "layer 2" before "layer 10", and kinds of heads in one order on all pictures.
        return self._drawn(sorted(points, key=lambda p: (len(p.group), p.group)), title, y, caption)

    def _drawn(self, points: Sequence[Trace], title: str, y: str, caption: str) -> Figure:
        panels = [each.seen.series.kind for each in self.first]
        windows = {p.panel: self.windows[p.panel] for p in points if p.panel in self.windows}
        return traces(
            points,
            x=self.unit,
            y=y,
            title=title,
            panels=panels,
            windows=windows,
            caption=caption,
            section=_SECTION,
        )


def _points(seen: Seen, values: Vector, line: str, group: str) -> Iterator[Trace]:
    """A line through what was read; it breaks at models that are missing."""
    kind, size = seen.series.kind, seen.series.tokens_a_step
    there = dict(zip(seen.steps.tolist(), values.tolist(), strict=True))
    for snapshot in seen.series.snapshots:
        value = there.get(snapshot.step)
        if value is None or math.isfinite(value):
            yield Trace(snapshot.step * size, None if value is None else round(value, _DIGITS), kind, line, group)


def _paths(shown: _Shown, plane: Plane) -> Figure:
    """The path of the first series of each kind in the common plane."""
    dots, place = [], 0
    first = {each.seen.name for each in shown.first}
    for seen, _ in shown.told:
        points = plane.points[place : place + len(seen.steps)]
        place += len(seen.steps)
        if seen.name in first:
            dots += [
                Dot(round(float(x), 2), round(float(y), 2), seen.series.kind, f"{seen.name}, {at:,.0f} {shown.unit}")
                for (x, y), at in zip(points, seen.tokens, strict=True)
            ]
    one, two = (f"{100 * share:.0f} %" for share in plane.explained)
    caption = "Losses of the same tokens at every snapshot, centred; all begin at one place. Hover for the snapshot."
    return scatter(
        dots,
        x=f"first component ({one} of the variance)",
        y=f"second component ({two})",
        title="1. Paths of single tokens' losses",
        caption=caption,
        section=_SECTION,
        joined=True,
    )


def _maps(shown: _Shown) -> list[Figure]:
    """Loss by place in the context, and its slope in the logarithm of the place."""
    losses, slopes = [], []
    for seen, _ in shown.first:
        length = seen.by_index.shape[1]
        edges = np.unique(np.round(np.geomspace(1, length, _BINS + 1))).astype(int)
        binned = np.stack([seen.by_index[:, a - 1 : b - 1].mean(1) for a, b in pairwise(edges)], axis=1)
        middles = np.log(np.sqrt(edges[:-1] * edges[1:]))
        losses += _tiles(seen, binned, edges)
        slopes += _tiles(seen, np.diff(binned, axis=1) / np.diff(middles), np.exp(middles))
    at = "token index"
    told = "Below 0 (blue) the model still gains from context at that place."
    return [
        tiles(losses, x=shown.unit, y=at, legend="nats", title="3. Loss by token index", section=_SECTION),
        tiles(
            slopes,
            x=shown.unit,
            y=at,
            legend="nats per unit of ln index",
            title="4. Slope of the loss in ln index",
            diverging=True,
            caption=told,
            section=_SECTION,
        ),
    ]


def _tiles(seen: Seen, values: Matrix, edges: Vector) -> list[Tile]:
    """Numbers [S, bins] between the middles of neighbouring snapshots; the untrained model has no place on the axis."""
    there = seen.tokens > 0
    at = np.log(seen.tokens[there])
    middles = (at[1:] + at[:-1]) / 2
    ends = np.exp(np.concatenate(([at[0]], middles, [at[-1]])))
    kind = seen.series.kind
    return [
        Tile(float(x), float(x2), float(y), float(y2), round(float(v), 3), kind)
        for x, x2, line in zip(ends[:-1], ends[1:], values[there], strict=True)
        for y, y2, v in zip(edges[:-1], edges[1:], line, strict=True)
    ]


def _of_weights(shown: _Shown) -> Iterator[Figure]:
    """Nothing where no model has an earlier head."""
    if any(np.isfinite(seen.trace).any() for seen, _ in shown.told):
        caption = (
            "Share of positive eigenvalues: whether a head prefers keys whose previous token is the query's. A first "
            "layer has none."
        )
        yield shown.heads("7. QK eigenvalues by head", "share", lambda s: s.trace, _layer, caption)


def _left_out(shown: _Shown) -> Iterator[Figure]:
    known = [each for each in shown.told if each.seen.without_icl is not None]
    dated = [each for each in known if each.changes.along is not None]
    if dated:
        along = {each.seen.name: each.changes.along for each in dated}
        first = [each for each in shown.first if each.seen.name in along]
        caption = (
            "What leaving a head out does to single tokens' losses, along what the change of in-context learning did "
            "to them: above 0 the head is part of it. Later patterns are as they were. Models without a change: N/A."
        )
        part = _Shown(dated, first, shown.unit)
        yield part.heads("8. Heads left out, along the change", "nats", lambda s: _known(along[s.name]), _kind, caption)
    if known:
        caption = "Above 0 the model learns less from context without the head. Later patterns are as they were."
        yield shown.heads(
            "9. Heads left out: in-context learning", "nats", lambda s: _known(s.without_icl).mean(-1), _kind, caption
        )


def _known(values: Matrix | None) -> Matrix:
    assert values is not None
    return values


def _copies(shown: _Shown) -> Iterator[Figure]:
    """Only of a language whose copies are known."""
    names = [name for name in ("fresh", "copied") if all(seen.knows(name) for seen, _ in shown.told)]
    if names:
        caption = "What was copied from earlier in a document, and what was not."
        yield shown.lines(
            "Loss of fresh and of copied tokens",
            "nats",
            lambda s: np.stack([np.nanmean(s.losses(name), axis=1) for name in names]),
            caption,
            names,
        )


def _choices(shown: _Shown) -> Figure:
    """In-context learning against other early tokens, over training: whether its date hangs on the choice."""
    length = shown.told[0].seen.by_index.shape[1]
    early = sorted({max(1, round(length * share)) for share in _EARLY})

    def scores(seen: Seen) -> Matrix:
        late = seen.by_index[:, 3 * length // 4 :].mean(1)
        around = [seen.by_index[:, 3 * at // 4 : 5 * at // 4 + 1].mean(1) for at in early]
        return np.stack([late - each for each in around])

    caption = "The last quarter of a document less a band of half its own place around an early token."
    names = [f"token {at}" for at in early]
    return _Shown(shown.first, shown.first, shown.unit).lines(
        "In-context learning against other early tokens", "nats", scores, caption, names
    )


def _turning(shown: _Shown) -> Figure:
    def angles(seen: Seen) -> Matrix:
        found = np.full(len(seen.steps), np.nan)
        found[1:-1] = turns(seen.picked)
        return found[None]

    caption = (
        "In all dimensions. Steps that are noise turn by 120 degrees on the mean, steps that go somewhere by less."
    )
    return shown.lines("Angle between successive steps of the path", "degrees", angles, caption)
