"""What a row of the check table comes from: a check is one object with its questions, its readout and its rows.

Adding a kind's check is adding a `Check` to the tuple of its family's module. Probabilities are enumerated, never
sampled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gnomon.assay.brook.expected import Expected
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook import World
from gnomon.models.base import Model
from gnomon.report.base import Estimate
from gnomon.stats.intervals import Interval, bounded, clustered_mean, proportion

__all__ = ["Check", "asked", "choose", "credit", "estimate", "mean", "of_group", "right", "share", "shares"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One readout of a model.

    Attributes:
        name: one word; the item's `part`.
        items: about `n` questions, or as many as there are facts; made by `asked`.
        rows: the rows of the table that it fills.
        estimates: the values of those rows, from this check's rows of the run.
        trial: what is asked about one item, and the evidence of its answer.
        truth: row label to the value of a planted speaker that knows everything (1) or nothing (0); rows without
            a closed form are left out.
    """

    name: str
    items: Callable[[World, int, Seed], Iterator[Item]]
    rows: tuple[Expected, ...]
    estimates: Callable[[Sequence[Row]], Iterator[Estimate]]
    trial: Callable[[Model, Item], Awaitable[dict[str, Any]]] = field(default=lambda model, item: choose(model, item))
    truth: Callable[[float], Mapping[str, float]] = field(default=lambda know: {})


def asked(
    check: str,
    item: Item,
    prompt: str,
    options: Sequence[str],
    right: int,
    group: str = "",
    planted: Sequence[float] | None = None,
    **by: object,
) -> Item:
    """An item of a check: `prompt` in Brook's grammar and the words that may follow it, each with its leading space.

    Args:
        right: place of the right option, or of the one whose probability is of interest.
        group: which of the check's rows it belongs to.
        planted: the options' planted probabilities; None where the right one is certain.
        by: what else its row keeps, such as `count` or `operations`; JSON values.
    """
    meta = {**item.meta, "group": group, "prompt": prompt, "options": list(options), "right": right, "by": by}
    if planted is not None:
        meta["planted"] = list(planted)
    return replace(item, id=f"{check}:{item.id}", part=check, source="brook", meta=meta)


async def choose(model: Model, item: Item) -> dict[str, Any]:
    """The evidence of one prompt: the options' probabilities, and whether the right one is the likeliest."""
    choice = await model.choose(item.meta["prompt"], item.meta["options"])
    place = int(item.meta["right"])
    return {
        "p": list(choice.p),
        "right": place,
        "mass": min(choice.mass, 1.0),
        "readout": choice.readout,
        "scores": {"right": credit(choice.p, place)},
    }


def credit(p: Sequence[float], right: int) -> float:
    """1 when the right option is the likeliest, shared between options that are equally likely."""
    top = max(p)
    tied = sum(q >= top - 1e-9 for q in p)
    return 1 / tied if p[right] >= top - 1e-9 else 0.0


def right(row: Row) -> float:
    """A row's credit in [0, 1]."""
    return float(row.evidence["scores"]["right"])


def of_group(rows: Sequence[Row], group: str) -> list[Row]:
    """The rows of one group."""
    return [r for r in rows if r.evidence["group"] == group]


def shares(metric: str) -> Callable[[Sequence[Row]], Iterator[Estimate]]:
    """The share of right answers in each group of a check, as rows of `metric`."""

    def found(rows: Sequence[Row]) -> Iterator[Estimate]:
        for group in dict.fromkeys(r.evidence["group"] for r in rows):
            yield mean(metric, group, of_group(rows, group), right)

    return found


def mean(metric: str, group: str, rows: Sequence[Row], score: Callable[[Row], float]) -> Estimate:
    """The mean of a score over rows, with its interval by cluster."""
    values, clusters = [float(score(r)) for r in rows], [r.cluster for r in rows]
    binary = all(v in (0.0, 1.0) for v in values)
    return estimate(metric, group, proportion(values, clusters) if binary else clustered_mean(values, clusters), rows)


def share(metric: str, group: str, values: Sequence[float], rows: Sequence[Row]) -> Estimate:
    """The mean of `values` in [0, 1], one a row of `rows`, with its interval by cluster, which stays in [0, 1]."""
    clusters = [r.cluster for r in rows]
    binary = all(v in (0.0, 1.0) for v in values)
    found = proportion(values, clusters) if binary else bounded(clustered_mean(values, clusters))
    return estimate(metric, group, found, rows)


def estimate(metric: str, group: str, found: Interval, rows: Sequence[Row]) -> Estimate:
    """A value read from `rows` as an estimate with their clusters and readout."""
    clusters = len({r.cluster for r in rows})
    readout = str(rows[0].evidence["readout"])
    return replace(Estimate.of(metric, found, group=group, readout=readout), clusters=clusters)
