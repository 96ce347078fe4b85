"""Two models held against each other; pure: rows in, a report out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gnomon.core.record import Row
from gnomon.explain.repeated_data.pair import WHOLE
from gnomon.report.base import Drawn, Estimate, Figure, Report
from gnomon.report.figures import Point, curves, forest, histogram
from gnomon.report.tokens import Token, TokenText, tokens
from gnomon.report.words import in_words
from gnomon.stats.intervals import clustered_mean

__all__ = ["report"]

_LESS = "less that of the other"
_LOSS, _COPYING, _FIRST = (
    f"loss {_LESS}, nats",
    f"loss of later copies {_LESS}, nats",
    f"loss of first copies {_LESS}, nats",
)
_MATCH = f"most prefix matching of a head {_LESS}"
_BY_COPY = f"loss by copy {_LESS}, nats"


def report(rows: Sequence[Row]) -> Report:
    """What rows of `pair.read_pair` say of the first model, less what they say of the second."""
    whole = next(row.evidence for row in rows if row.key == WHOLE)
    windows = [row for row in rows if "loss" in row.evidence]
    sequences = [row for row in rows if "prefix" in row.evidence]
    found = [*_apart(windows, sequences), *_each(windows, sequences, whole["names"])]
    return Report(
        title=f"{whole['names'][0]} against {whole['names'][1]}",
        summary=_verdict(found, whole),
        estimates=found,
        figures=Drawn(lambda: _figures(whole, windows, found)),
        notes=_notes(whole, windows, sequences),
    )


def _apart(windows: Sequence[Row], sequences: Sequence[Row]) -> list[Estimate]:
    documents = [row.cluster for row in windows]

    def less(metric: str, pairs: Any, clusters: Sequence[str] | None, **more: Any) -> Estimate:
        a, b = np.asarray(pairs, dtype=np.float64).T
        return Estimate.of(metric, clustered_mean(a - b, clusters), **more)

    found = [less(_LOSS, [row.evidence["loss"] for row in windows], documents, headline=True)]
    if "copies" in windows[0].evidence:
        copies = np.array([row.evidence["copies"] for row in windows])
        found.append(less(_FIRST, copies[:, :, 0], documents, headline=True))
        found.append(less(_COPYING, copies[:, :, 1:].mean(axis=2), documents, headline=True))
        found += [
            less(_BY_COPY, copies[:, :, copy], documents, group=f"copy {copy + 1}") for copy in range(copies.shape[2])
        ]
    if sequences:
        found.append(less(_MATCH, [row.evidence["prefix"] for row in sequences], None, headline=True))
    return found


def _each(windows: Sequence[Row], sequences: Sequence[Row], names: Sequence[str]) -> list[Estimate]:
    """Each model by itself."""
    documents, found = [row.cluster for row in windows], []
    for place, name in enumerate(names):
        own = clustered_mean([row.evidence["loss"][place] for row in windows], documents)
        found.append(Estimate.of("loss, nats", own, group=name))
        if "copies" in windows[0].evidence:
            later = [float(np.mean(row.evidence["copies"][place][1:])) for row in windows]
            found.append(Estimate.of("loss of later copies, nats", clustered_mean(later, documents), group=name))
        if sequences:
            best = clustered_mean([row.evidence["prefix"][place] for row in sequences])
            found.append(Estimate.of("most prefix matching of a head", best, group=name))
    return found


def _verdict(found: Sequence[Estimate], whole: Mapping[str, Any]) -> str:
    by = {e.metric: e for e in found if not e.group}
    one, other = whole["names"]
    told = [f"Texts cost {one} {in_words(by[_LOSS])} nats a token more than {other}."]
    if _COPYING in by:
        told.append(f"Of paragraphs said again the first copy costs it {in_words(by[_FIRST])} more, later ones")
        told.append(f"{in_words(by[_COPYING])}.")
    if _MATCH in by:
        told.append(f"The most prefix matching of a head differs by {in_words(by[_MATCH])}.")
    return " ".join(told)


def _figures(whole: Mapping[str, Any], windows: Sequence[Row], found: Sequence[Estimate]) -> list[Figure]:
    drawn = []
    if "copies" in windows[0].evidence:
        documents = [row.cluster for row in windows]
        points = []
        for place, name in enumerate(whole["names"]):
            for copy in range(len(windows[0].evidence["copies"][0])):
                own = clustered_mean([row.evidence["copies"][place][copy] for row in windows], documents)
                points.append(Point(copy + 1, own.value or 0.0, own.low, own.high, name))
        caption = "Means over paragraphs; bands are 95 % intervals over documents."
        drawn.append(curves(points, x="copy", y="nats a token", title="Paragraphs said again", caption=caption))
        by_copy = [e for e in found if e.metric == _BY_COPY]
        drawn.append(forest(by_copy, x="nats", title="Loss by copy, less that of the other", reference=0.0))
    if "said" in whole:
        drawn.append(_said(whole))
    if "heads" in whole:
        heads = {
            name: [score for layer in layers for score in layer]
            for name, layers in zip(whole["names"], whole["heads"], strict=True)
        }
        drawn.append(histogram(heads, x="prefix matching", title="Prefix matching of all heads", domain=(0, 1)))
    return drawn


def _said(whole: Mapping[str, Any]) -> Figure:
    """One paragraph said again, each token by what it costs the first model more."""
    more = np.subtract(*whole["losses"])
    most = float(np.abs(more).max()) or 1.0
    shown = [Token(word, 0.5 - float(nats) / (2 * most)) for word, nats in zip(whole["said"], more, strict=True)]
    caption = f"Red costs {whole['names'][0]} more, blue less; the deepest colour is {most:.2f} nats."
    label = f"{whole['period']} tokens, said again"
    return tokens([TokenText(label, shown)], legend="0.5 is no difference", title="One paragraph", caption=caption)


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
