"""Heads in order of what they do with repeats, with intervals; pure: rows in, a report out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gnomon.core.record import Row
from gnomon.explain.induction.kinds import CHANCE, kind_of
from gnomon.explain.induction.tables import Found, all_heads, by_order, few_heads
from gnomon.report.base import Drawn, Estimate, Figure, Report
from gnomon.report.figures import Dot, forest, heatmap, scatter
from gnomon.report.words import number
from gnomon.stats.intervals import Interval, clustered_mean, undefined

if TYPE_CHECKING:
    from gnomon.explain.induction import Induction

__all__ = ["report"]

_MATCH, _COPY, _BACK = "prefix matching", "copying", "previous token"
_NULL = ", null"
_FAR = "out of reach of the head's window"
_TRACE = "QK trace"
_ON_TEXT = (_BACK, _TRACE, "in-context learning")
# So many heads get estimates of their own, and of those that look back most at least so many; the table has all.
_LISTED, _LISTED_BACK, _CARDS = 10, 2, 3


def report(cfg: Induction, rows: Sequence[Row]) -> Report:
    """The report on rows of `reading.read_heads`."""
    documents = rows[0].evidence["documents"]
    found = {row.key: {name: _mean(row, name, documents) for name in row.evidence["read"]} for row in rows}
    by = _MATCH if _MATCH in next(iter(found.values())) else next(iter(next(iter(found.values()))))
    order = sorted(found, key=lambda key: -(found[key][by].value or 0.0))
    chance = {name: value for name in (_MATCH, _COPY) if (value := _chance(rows, name)) is not None}
    called = {key: _called(cfg, found[key], chance) for key in order}
    listed = _listed(order, found)
    names = [by, *(name for name in found[order[0]] if name != by and not name.endswith(_NULL))]
    cards, orders = [(by, key) for key in order[:_CARDS]], _orders(rows[0])
    return Report(
        title=f"{len(rows)} heads",
        summary=_summary(order, found, called, by),
        estimates=[
            Estimate.of(name, found[key][name], group=key, headline=(name, key) in cards, null=chance.get(name))
            for name in names
            for key in listed
        ]
        + orders,
        figures=Drawn(lambda: _figures(rows, found, called)),
        tables=[all_heads(order, found, called, names)],
        in_terminal=[few_heads(listed, found, called, names), *by_order(orders)],
        notes=_notes(cfg, chance, bool(rows[0].evidence["opened"])),
    )


def _listed(order: Sequence[str], found: Found) -> list[str]:
    """The first heads of an order, and those that look one token back most, which induction heads read."""
    back = sorted(order, key=lambda key: -(found[key][_BACK].value or 0.0)) if _BACK in found[order[0]] else []
    chosen = {*order[: _LISTED - _LISTED_BACK], *back[:_LISTED_BACK]}
    chosen |= set([key for key in order if key not in chosen][: _LISTED - len(chosen)])
    return [key for key in order if key in chosen]


def _mean(row: Row, name: str, documents: Sequence[str]) -> Interval:
    """The mean over sequences, or over windows clustered by document; of one number from weights, that number."""
    read = row.evidence["read"][name]
    known = [value for value in read if value is not None]
    if not known and name == _TRACE:
        # A first layer's heads have no earlier ones; a later layer's lack a number where it has a window.
        lacking = "its window does not show in weights" if row.evidence["layer"] else "no earlier head"
        return undefined(lacking, n=len(read))
    if not known and len(read) > 1:
        return undefined(_FAR, n=len(read))
    if not known:
        return undefined("no earlier head", n=1, clusters=1)
    if len(read) == 1:
        return undefined("read from the weights", n=1, clusters=1, value=known[0])
    return clustered_mean(known, documents if name.startswith(_ON_TEXT) else None)


def _orders(first: Row) -> list[Estimate]:
    """The loss with paths through at most so many heads, where it was read."""
    evidence = first.evidence
    return [
        Estimate.of("loss of paths up to it", clustered_mean(losses, evidence["documents"]), group=f"order {order}")
        for order, losses in enumerate(evidence.get("orders", ()))
    ]


def _chance(rows: Sequence[Row], name: str) -> float | None:
    """What 99 in 100 of a score's values, over all heads, lie below where there is nothing to find."""
    values = [v for row in rows for v in row.evidence["read"].get(name + _NULL, ()) if v is not None]
    return float(np.quantile(values, CHANCE)) if values else None


def _called(cfg: Induction, of: Mapping[str, Interval], chance: Mapping[str, float]) -> str:
    def above(name: str) -> bool:
        low = of[name].low if name in of else None
        return low is not None and name in chance and low > chance[name]

    def most(name: str) -> float:
        return (of[name].value or 0.0) if name in of else 0.0

    matches = above(_MATCH) and most(_MATCH) >= cfg.threshold
    return kind_of(matches=matches, copies=above(_COPY), looks_back=most(_BACK) >= cfg.threshold)


def _summary(order: Sequence[str], found: Found, called: Mapping[str, str], by: str) -> str:
    kinds = {name: [key for key in order if called[key] == name] for name in dict.fromkeys(called.values()) if name}
    told = [f"{len(keys)} {name} head{'s' * (len(keys) > 1)}: {', '.join(keys[:8])}." for name, keys in kinds.items()]
    if by == _MATCH and "induction" not in kinds:
        told.insert(0, "No head is an induction head.")
    best = found[order[0]][by]
    told.append(
        f"No head's window reaches back as far as {by} needs."
        if best.value is None
        else f"The most {by} is {number(best.value, 2)}, of head {order[0]}."
    )
    for name in next(iter(found.values())):
        if name.startswith("repeats without it"):
            worst = max(order, key=lambda key: found[key][name].value or 0.0)
            lost = found[worst][name]
            ends = f" ({number(lost.low, 2)} to {number(lost.high, 2)})" if lost.low is not None else ""
            kind = name.rpartition("(")[2].rstrip(")")
            told.append(f"Without head {worst} ({kind}) repeated tokens cost {number(lost.value, 2)} nats{ends} more.")
    return " ".join(told)


def _figures(rows: Sequence[Row], found: Found, called: Mapping[str, str]) -> list[Figure]:
    drawn = []
    first = next(iter(found.values()))
    if _MATCH in first:
        dots = [
            Dot(of[_COPY].value or 0.0, of[_MATCH].value or 0.0, called[key] or "other", key)
            for key, of in found.items()
            if of[_MATCH].value is not None
        ]
        drawn.append(scatter(dots, x=_COPY, y=_MATCH, title="Heads by what they look for and what they say"))
    layers = list(dict.fromkeys(str(row.evidence["layer"]) for row in rows))
    heads = list(dict.fromkeys(str(row.evidence["head"]) for row in rows))
    for name in first:
        if name in (_MATCH, _BACK) or name.startswith("repeats without it"):
            values = [[found[f"{layer}.{head}"][name].value for head in heads] for layer in layers]
            diverging = name.startswith("repeats")
            title = f"{name[0].upper()}{name[1:]}"
            drawn.append(heatmap(layers, heads, values, title=title, x="head", y="layer", diverging=diverging))
    drawn += _circuit(rows, found)
    lost = [name for name in first if name.startswith("in-context learning without it")]
    for name in lost:
        key_order = sorted(found, key=lambda key: -abs(found[key][name].value or 0.0))[:_LISTED]
        shown = [Estimate.of(name, found[key][name], group=key) for key in key_order]
        drawn.append(forest(shown, x="nats", title=f"Change of {name}", reference=0.0))
    return drawn


def _circuit(rows: Sequence[Row], found: Found) -> list[Figure]:
    """Which earlier heads, those that look back most, the heads that match most read their keys from."""
    keys = {row.key: row.evidence["keys"] for row in rows if "keys" in row.evidence}
    if not keys or _MATCH not in next(iter(found.values())):
        return []

    def most(of: Iterable[str], name: str) -> list[str]:
        return sorted(of, key=lambda key: -(found[key][name].value or 0.0))[:_LISTED]

    later, earlier = most(keys, _MATCH), most({e for of in keys.values() for e in of}, _BACK)
    caption = (
        "How much of an earlier head's output is in a later head's keys, less what random maps have: an induction head "
        "reads heads that look one token back. In order of prefix matching down, of attention one token back across."
    )
    values = [[keys[one].get(other) for other in earlier] for one in later]
    return [heatmap(later, earlier, values, title="K-composition", x="earlier head", y="head", caption=caption)]


def _notes(cfg: Induction, chance: Mapping[str, float], opened: bool) -> list[str]:
    where = f"at indices {cfg.late} and {cfg.early}" if cfg.late else "over the last quarter less a band at a tenth"
    told = [f"in-context learning is the loss late in a window less the loss early in it, {where}; above 0 is lost"]
    if not opened:
        told.append("the tokenizer has no token that begins a text: sequences begin with their first word")
    nothing = {_MATCH: "where nothing repeats", _COPY: "of a token that nothing foretells"}
    return told + [f"{nothing[n]}, 99 in 100 scores of {n} lie below {value:.3f}" for n, value in chance.items()]
