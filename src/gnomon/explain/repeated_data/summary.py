"""Two models held against each other; pure: rows in, a report out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os.path import commonpath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gnomon.core.record import Row
from gnomon.explain.repeated_data.pair import WHOLE
from gnomon.report.base import Drawn, Estimate, Figure, Report, Table
from gnomon.report.figures import Point, curves, forest, histogram
from gnomon.report.tokens import Token, TokenText, tokens
from gnomon.report.words import in_words
from gnomon.stats.intervals import clustered_mean

__all__ = ["report"]

_LOSS, _FIRST, _LATER, _MATCH = (
    "loss",
    "loss of first copies",
    "loss of later copies",
    "most prefix matching of a head",
)
_BY_COPY = "loss by copy"


class _Read(NamedTuple):
    """Numbers [N, 2] of the two models, and what they are clustered by."""

    pairs_N2: NDArray[np.float64]
    clusters: Sequence[str] | None


def report(rows: Sequence[Row]) -> Report:
    """What rows of `pair.read_pair` say of the first model, less what they say of the second."""
    whole = next(row.evidence for row in rows if row.key == WHOLE)
    windows = [row for row in rows if "loss" in row.evidence]
    sequences = [row for row in rows if "prefix" in row.evidence]
    read, names = _read(windows, sequences), _short(whole["names"])
    found = [*_apart(read), *_by_copy(windows), *_each(read, names)]
    return Report(
        title=f"{names[0]} against {names[1]}",
        summary=_verdict(found, names),
        estimates=found,
        figures=Drawn(lambda: _figures(whole, names, windows, found)),
        notes=_notes(whole, windows, sequences),
        in_terminal=[_side_by_side(found, names)],
    )


def _short(names: Sequence[str]) -> list[str]:
    """Names without the folder that both lie in: a legend cuts long names off, where they begin to differ."""
    shared = commonpath([name.rpartition("/")[0] for name in names])
    return [name.removeprefix(shared).removeprefix("/") for name in names]


def _read(windows: Sequence[Row], sequences: Sequence[Row]) -> dict[str, _Read]:
    documents = [row.cluster for row in windows]
    found = {_LOSS: _Read(np.array([row.evidence["loss"] for row in windows]), documents)}
    if "copies" in windows[0].evidence:
        copies_N2C = np.array([row.evidence["copies"] for row in windows])
        found[_FIRST] = _Read(copies_N2C[:, :, 0], documents)
        found[_LATER] = _Read(copies_N2C[:, :, 1:].mean(axis=2), documents)
    if sequences:
        found[_MATCH] = _Read(np.array([row.evidence["prefix"] for row in sequences]), None)
    return found


def _metric(name: str, less: bool) -> str:
    return f"{name}{' less that of the other' * less}{', nats' * (name != _MATCH)}"


def _apart(read: Mapping[str, _Read]) -> list[Estimate]:
    """The first model less the second."""
    return [
        Estimate.of(_metric(name, True), clustered_mean(-np.diff(of.pairs_N2)[:, 0], of.clusters), headline=True)
        for name, of in read.items()
    ]


def _by_copy(windows: Sequence[Row]) -> list[Estimate]:
    """The first model less the second on each copy."""
    if "copies" not in windows[0].evidence:
        return []
    copies_N2C, documents = np.array([row.evidence["copies"] for row in windows]), [row.cluster for row in windows]
    less_NC = copies_N2C[:, 0] - copies_N2C[:, 1]
    metric = _metric(_BY_COPY, True)
    return [
        Estimate.of(metric, clustered_mean(less_N, documents), group=f"copy {copy + 1}")
        for copy, less_N in enumerate(less_NC.T)
    ]


def _each(read: Mapping[str, _Read], names: Sequence[str]) -> list[Estimate]:
    """Each model by itself."""
    return [
        Estimate.of(_metric(metric, False), clustered_mean(of.pairs_N2[:, place], of.clusters), group=name)
        for place, name in enumerate(names)
        for metric, of in read.items()
    ]


def _side_by_side(found: Sequence[Estimate], names: Sequence[str]) -> Table:
    """A line a reading: both models, and the difference."""
    by, rows = {(e.metric, e.group): in_words(e, 2) for e in found}, []
    for name in (_LOSS, _FIRST, _LATER, _MATCH):
        own, less = _metric(name, False), _metric(name, True)
        if (less, "") in by:
            rows.append([own, *(by[own, each] for each in names), by[less, ""]])
    caption = "Means with 95 % intervals; nats are of a token. The page has every copy and every head."
    return Table(title="Side by side", columns=("", *names, "difference"), rows=rows, caption=caption)


def _verdict(found: Sequence[Estimate], names: Sequence[str]) -> str:
    by = {e.metric: in_words(e) for e in found if not e.group}
    told = [f"Texts cost {names[0]} {by[_metric(_LOSS, True)]} nats a token more than {names[1]}."]
    if _metric(_LATER, True) in by:
        first, later = (by[_metric(name, True)] for name in (_FIRST, _LATER))
        told.append(f"Of paragraphs said again the first copy costs it {first} more, later ones {later}.")
    if _metric(_MATCH, True) in by:
        told.append(f"The most prefix matching of a head differs by {by[_metric(_MATCH, True)]}.")
    return " ".join(told)


def _figures(
    whole: Mapping[str, Any], names: Sequence[str], windows: Sequence[Row], found: Sequence[Estimate]
) -> list[Figure]:
    drawn = []
    if "copies" in windows[0].evidence:
        documents = [row.cluster for row in windows]
        points = []
        for place, name in enumerate(names):
            for copy in range(len(windows[0].evidence["copies"][0])):
                own = clustered_mean([row.evidence["copies"][place][copy] for row in windows], documents)
                points.append(Point(copy + 1, own.value or 0.0, own.low, own.high, name))
        caption = "Means over paragraphs; bands are 95 % intervals over documents."
        drawn.append(curves(points, x="copy", y="nats a token", title="Paragraphs said again", caption=caption))
        by_copy = [e for e in found if e.metric == _metric(_BY_COPY, True)]
        drawn.append(forest(by_copy, x="nats", title="Loss by copy, less that of the other", reference=0.0))
    if "said" in whole:
        drawn.append(_said(whole, names))
    if "heads" in whole:
        heads = {
            name: [score for layer in layers for score in layer]
            for name, layers in zip(names, whole["heads"], strict=True)
        }
        drawn.append(histogram(heads, x="prefix matching", title="Prefix matching of all heads", domain=(0, 1)))
    return drawn


def _said(whole: Mapping[str, Any], names: Sequence[str]) -> Figure:
    """One paragraph said again, a text a copy, each token by what it costs the first model more."""
    more = [float(nats) for nats in np.subtract(*whole["losses"])]
    shown = [Token(*each) for each in zip(whole["said"], more, strict=True)]
    # The first token of a text without a token that begins it has no loss.
    first, period = whole["period"] - 1 + whole["offset"], whole["period"]
    parts = [shown[:first], *(shown[start : start + period] for start in range(first, len(shown), period))]
    copies = [TokenText(f"copy {place + 1}", part) for place, part in enumerate(parts)]
    caption = f"Red costs {names[0]} more than {names[1]}, blue less."
    title = "One paragraph, copy by copy"
    return tokens(copies, legend="nats", title=title, caption=caption, differences=True)


def _notes(whole: Mapping[str, Any], windows: Sequence[Row], sequences: Sequence[Row]) -> list[str]:
    told = [f"weights: {n} is {r}" for n, r in zip(whole["names"], whole["revisions"], strict=True)]
    sizes = whole["parameters"]
    if sizes[0] != sizes[1]:
        told.append(f"the models have {sizes[0]:,} and {sizes[1]:,} parameters: differences are of size too")
    if "copies" not in windows[0].evidence:
        told.append("the context does not hold two copies of five tokens: copying is not read")
    if not sequences:
        told.append("the context does not hold five random tokens four times: heads are not read")
    return told
