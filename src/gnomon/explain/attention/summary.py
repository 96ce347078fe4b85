"""Heads by what they add to the logit of the token that comes next, and the page to look into; pure: rows in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gnomon.core.record import Row
from gnomon.report.base import Drawn, Estimate, Figure, Report, Table
from gnomon.report.figures import heatmap
from gnomon.report.patterns import PatternText, patterns
from gnomon.report.words import in_words, number
from gnomon.stats.intervals import Interval, clustered_mean

if TYPE_CHECKING:
    from gnomon.explain.attention import Attention

__all__ = ["report"]

_ADDS, _LOSS = "adds to the next token's logit", "loss"
# So many heads are named in a terminal and get estimates of their own; the page's table has more.
_NAMED, _LISTED, _TABLED = 6, 10, 20
_ORDER = "size of what they add"


def report(cfg: Attention, rows: Sequence[Row]) -> Report:
    """The report on rows of `reading.read_texts`."""
    heads_LHN = np.concatenate([row.evidence["heads"] for row in rows], axis=2)
    clusters = [row.cluster for row in rows for _ in row.evidence["loss"]]
    num_layers, num_heads, _ = heads_LHN.shape
    sizes_LH = np.abs(heads_LHN).mean(axis=2)
    by_size = sorted(np.ndindex(num_layers, num_heads), key=lambda at: -float(sizes_LH[at]))
    adds = {_name(*at): clustered_mean(heads_LHN[at], clusters) for at in by_size}
    losses = _losses(cfg, rows, clusters)
    return Report(
        title=f"{len(adds)} heads on {len(rows)} text{'s' * (len(rows) > 1)}",
        summary=_summary(adds, [float(sizes_LH[at]) for at in by_size], losses),
        estimates=[
            *losses,
            *(Estimate.of(_ADDS, adds[key], group=key, headline=i < 3) for i, key in enumerate(list(adds)[:_LISTED])),
        ],
        views=[_view(cfg, rows, heads_LHN)],
        figures=Drawn(lambda: [_map(adds, num_layers, num_heads)]),
        tables=[_heads(rows, heads_LHN, by_size), _parts(rows, heads_LHN)],
        in_terminal=[_few(rows, adds)],
        notes=_notes(rows),
    )


def _losses(cfg: Attention, rows: Sequence[Row], clusters: Sequence[str]) -> list[Estimate]:
    """The mean loss, and what of it the second model does not have."""
    here = [v for row in rows for v in row.evidence["loss"]]
    found = [Estimate.of(_LOSS, clustered_mean(here, clusters), headline=True)]
    if cfg.against:
        before = [v for row in rows for v in row.evidence["before"]]
        less = clustered_mean(np.array(here) - np.array(before), clusters)
        found.append(Estimate.of(f"{_LOSS} less that of {cfg.against}", less, headline=True))
    return found


def _summary(adds: dict[str, Interval], sizes: Sequence[float], losses: Sequence[Estimate]) -> str:
    told = [f"The next token costs {in_words(losses[0], 2)} nats."]
    told += [f"Less that of {each.metric.rpartition(' ')[2]} it is {in_words(each, 2)}." for each in losses[1:]]
    named = ", ".join(f"{key} ({number(size, 2)})" for key, size in list(zip(adds, sizes, strict=True))[:3])
    told.append(f"The heads that add most to its logit or take most from it, by the mean of the size: {named}.")
    return " ".join(told)


def _heads(rows: Sequence[Row], heads_LHN: NDArray[Any], by_size: Sequence[tuple[int, ...]]) -> Table:
    scores = _scores(rows)
    cells = [
        [
            _name(*at),
            round(float(heads_LHN[at].mean()), 3),
            round(float(np.abs(heads_LHN[at]).mean()), 3),
            *(round(float(each[at]), 3) for each in scores.values()),
        ]
        for at in by_size[:_TABLED]
    ]
    caption = (
        "Those with the largest shares in the next token's logit, either way; then mean attention by kind of place, "
        "over the queries that have such a place."
    )
    return Table(title="Heads", columns=("head", "adds", "size", *scores), rows=cells, caption=caption)


def _few(rows: Sequence[Row], adds: dict[str, Interval]) -> Table:
    """The first heads, and where each looks most."""
    scores = _scores(rows)
    cells = []
    for key in list(adds)[:_NAMED]:
        layer, head = map(int, key.split("."))
        most = max(scores, key=lambda kind: float(scores[kind][layer, head]))
        cells.append([key, in_words(adds[key], 2), f"{most} {number(float(scores[most][layer, head]), 2)}"])
    caption = f"{len(cells)} of {len(adds)} heads; the page has more, parts of the logit and every pattern."
    return Table(title="Heads", columns=("head", _ADDS, "looks most at"), rows=cells, caption=caption)


def _scores(rows: Sequence[Row]) -> dict[str, NDArray[Any]]:
    """Mean attention [L, H] by kind of place, each text counting alike."""
    kinds = rows[0].evidence["scores"]
    return {kind: np.mean([row.evidence["scores"][kind] for row in rows], axis=0) for kind in kinds}


def _parts(rows: Sequence[Row], heads_LHN: NDArray[Any]) -> Table:
    """Everything that the logit is a sum of, layer by layer."""
    others = {name: np.concatenate([row.evidence["parts"][name] for row in rows]) for name in rows[0].evidence["parts"]}
    named = {name: others.pop(name) for name in ("embedding", "position") if name in others}
    for layer, heads_HN in enumerate(heads_LHN):
        named[f"heads of layer {layer}"] = heads_HN.sum(0)
        if f"MLP {layer}" in others:
            named[f"MLP {layer}"] = others.pop(f"MLP {layer}")
    named |= others
    whole = sum(named.values())
    cells = [[name, round(float(v.mean()), 3), round(float(np.abs(v).mean()), 3)] for name, v in named.items()]
    cells.append(["all", round(float(np.mean(whole)), 3), round(float(np.abs(whole).mean()), 3)])
    caption = "All is the next token's logit less the mean of all logits."
    return Table(title="Parts of the logit", columns=("part", "adds", "size"), rows=cells, caption=caption)


def _map(adds: dict[str, Interval], num_layers: int, num_heads: int) -> Figure:
    values = [[adds[_name(layer, head)].value for head in range(num_heads)] for layer in range(num_layers)]
    layers, heads = ([str(i) for i in range(count)] for count in (num_layers, num_heads))
    title = "What each head adds to the next token's logit"
    return heatmap(layers, heads, values, title=title, x="head", y="layer", diverging=True)


def _view(cfg: Attention, rows: Sequence[Row], heads_LHN: NDArray[Any]) -> Any:
    sizes = np.abs(heads_LHN).mean(2)
    scores = _scores(rows)
    texts = [
        PatternText(label=row.key, **{name: read for name, read in row.evidence.items() if name != "scores"})
        for row in rows
    ]
    ranked = {_ORDER: sizes.round(4).tolist(), **{kind: score.round(4).tolist() for kind, score in scores.items()}}
    return patterns(
        texts,
        scores=ranked,
        before=str(cfg.against),
        title="Where every head looks",
        caption="A row is the token that looks, a column the token looked at; deep colours are much, by roots. "
        "Shares in a logit keep the final norm's scale as it was, and are read less the mean over all tokens.",
    )


def _notes(rows: Sequence[Row]) -> list[str]:
    if len(rows) == 1:
        return ["one text: tokens of one text are not independent, so means over them have no interval"]
    return []


def _name(layer: int, head: int) -> str:
    return f"{layer}.{head}"
