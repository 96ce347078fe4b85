"""How far do the people who judge answers agree, with each other, with a trusted one, and with a preference model?

    gnomon study agreement                                  four planted workers, whose agreement is known
    gnomon study agreement --data FEEDBACK.jsonl --reference w1
    gnomon study agreement --data FEEDBACK.jsonl --reference w1 --judge run:7f3a

Items that several workers judged are compared: the share on which they call the same answer the better one, and Cohen's
kappa. Bai et al. 2022a (arXiv 2204.05862), sec. 2: workers and researchers agree on about 63 %, and the largest
preference model agrees with researchers slightly more than workers do. Skips, ties and "both bad" say of no answer that
it is better and are left out here. In kappa "the first answer" is the one that a hash of its text puts first.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gnomon.core.errors import DataError, UsageError, closest
from gnomon.core.record import Row, text_digest
from gnomon.core.registry import registered
from gnomon.core.seeds import Seed
from gnomon.data.feedback import Judgement, as_line, open_judgements
from gnomon.data.layouts import SAME
from gnomon.models.base import Ability, Message, require
from gnomon.report.base import Drawn, Estimate, Figure, Report, Table
from gnomon.report.grid import grid
from gnomon.report.words import in_words
from gnomon.stats.agreement import Agreement as Agreed
from gnomon.stats.agreement import agreement
from gnomon.stats.intervals import clustered_mean
from gnomon.study._family import Studied

__all__ = ["Agreement", "study"]

_KNOWN = "known from the planted probabilities: the mean of p q + (1 - p) (1 - q) over the same items"
_FEWEST = 20
_MOST_DRAWN = 10


@registered
@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far workers, a trusted worker and a preference model call the same answers better."""

    data: str = "brook"
    "Judgements: brook, whose workers are planted, or a file of people's (see docs/feedback.md)."
    n: int = 400
    "Items that Brook's workers judge."
    reference: str = ""
    "The worker that the others are held against; Brook's is called reference."
    judge: str = ""
    "A preference model as one more rater: run:ID or another model with a scalar; brook:RATER for what a rater thinks."
    resamples: int = 2000
    "Of the items, for intervals of kappa."
    drop_bad: bool = False
    "Go on without bad rows of a file even if they are more than one in a hundred."
    seed: int = 0
    "Seed of Brook's draws, and of resamples."

    def __post_init__(self) -> None:
        if self.n < 2 or self.resamples < 1:
            raise UsageError(f"--n is {self.n} and --resamples {self.resamples}", todo="give 2 or more, and 1 or more")


@dataclass
class _Item:
    """Two answers in one place, and which rater calls the first of them better.

    Attributes:
        answers: in an order that says nothing of them.
        better: by rater, whether the first answer is the better one; who does not say so is not in it.
        strong: raters whose preference is not at the weakest strength.
        known: by rater, the planted probability that the first is called better.
    """

    conversation: str
    messages: tuple[Message, ...]
    answers: tuple[str, str]
    better: dict[str, bool] = field(default_factory=dict)
    strong: set[str] = field(default_factory=set)
    known: dict[str, float] = field(default_factory=dict)


class _Read(NamedTuple):
    """What was judged.

    Attributes:
        items: by name, with every rater's choice.
        workers: in order of their first judgement.
        left_out: judgements that are not compared, by why.
    """

    items: dict[str, _Item]
    workers: list[str]
    left_out: Counter[str]


class _Group(NamedTuple):
    """Pairs of raters that are read together, and how far they agree."""

    name: str
    agreed: Agreed
    known: float | None


def study(cfg: Agreement, root: Path | None, workers: int) -> Studied:
    """Reads or draws the judgements, asks the judge, and compares every two raters on the items of both.

    Raises:
        DataError: the file cannot be used, or no item was judged by two.
        UsageError: nobody is called like the reference, or Brook has no such rater.
        AbilityError: the judge gives no reward.
    """
    planned, sha256 = _judgements(cfg)
    found = _by_item(planned)
    raters = [*found.workers, *([cfg.judge] if cfg.judge else [])]
    reference = cfg.reference or ("reference" if cfg.data == "brook" else "")
    if reference and reference not in found.workers:
        raise UsageError(f"nobody is called {reference!r}", where="--reference", todo=closest(reference, found.workers))
    revision = _judge(cfg.judge, list(found.items.values())) if cfg.judge else ""
    report = _report(cfg, found, raters, reference)
    rows = [
        Row(key=key, cluster=item.conversation, evidence={"better": item.better, "known": item.known})
        for key, item in found.items.items()
    ]
    files = {"feedback.jsonl": "".join(f"{as_line(j)}\n" for j, _ in planned)} if cfg.data == "brook" else {}
    return Studied(report, [], rows=rows, files=files, identity={"data": sha256, "judge": revision})


def _judgements(cfg: Agreement) -> tuple[list[tuple[Judgement, float | None]], str]:
    """Judgements, of Brook with the planted probability of picking the first answer; and the hash of the file."""
    if cfg.data != "brook":
        given = open_judgements(cfg.data, drop_bad=cfg.drop_bad)
        return [(judgement, None) for judgement in given.things], given.sha256
    from gnomon.data.worlds.brook.tables import world
    from gnomon.data.worlds.brook.workers import draw_judgements

    return [(j, p) for j, p in draw_judgements(world(), cfg.n, Seed(cfg.seed))], ""


def _by_item(planned: Iterable[tuple[Judgement, float | None]]) -> _Read:
    items: dict[str, _Item] = {}
    workers: dict[str, None] = {}
    left_out: Counter[str] = Counter()
    for judgement, p in planned:
        workers.setdefault(judgement.worker)
        if judgement.answers[0].strip() == judgement.answers[1].strip():
            left_out[SAME] += 1
            continue
        order = sorted((0, 1), key=lambda place: text_digest(judgement.item + judgement.answers[place]))
        first, second = (judgement.answers[place] for place in order)
        item = items.setdefault(judgement.item, _Item(judgement.conversation, judgement.messages, (first, second)))
        if judgement.better is None or judgement.worker in item.better:
            left_out["the worker's second on an item" if judgement.worker in item.better else judgement.unused] += 1
            continue
        item.better[judgement.worker] = judgement.better == order[0]
        if not judgement.unused:
            item.strong.add(judgement.worker)
        if p is not None:
            # Of red-teaming the answer that is not picked is the better one.
            picks_first = p if order[0] == 0 else 1 - p
            item.known[judgement.worker] = picks_first if judgement.study == "helpful" else 1 - picks_first
    return _Read(items, list(workers), left_out)


def _judge(name: str, items: Sequence[_Item]) -> str:
    """Adds what the judge prefers, and returns its revision; two answers of the same value say nothing."""
    scheme, _, rater = name.partition(":")
    values, revision = _of_brook(rater, items) if scheme == "brook" and rater else asyncio.run(_rewards(name, items))
    for item, (first, second) in zip(items, values, strict=True):
        if first != second:
            item.better[name] = first > second
            item.strong.add(name)
    return revision


def _of_brook(rater: str, items: Sequence[_Item]) -> tuple[list[tuple[float, float]], str]:
    from gnomon.data.worlds.brook.oracle import RATERS, request
    from gnomon.data.worlds.brook.tables import world

    if rater not in RATERS:
        raise UsageError(f"Brook has no rater {rater!r}", where="--judge", todo=closest(rater, RATERS))
    of, found = world(), []
    for item in items:
        asked = request(of, item.messages[-1].content)
        first, second = (RATERS[rater].utility(of, asked, answer) for answer in item.answers)
        found.append((first, second))
    return found, ""


async def _rewards(name: str, items: Sequence[_Item]) -> tuple[list[tuple[float, float]], str]:
    from gnomon.models.load import load

    model = load(name)
    try:
        require(model, Ability.REWARD, why="--judge", todo="name a preference model: run:ID")
        wholes = [[*item.messages, Message("assistant", answer)] for item in items for answer in item.answers]
        found = await asyncio.gather(*map(model.reward, wholes))
        return list(zip(found[::2], found[1::2], strict=True)), model.revision
    finally:
        await model.close()


def _report(cfg: Agreement, found: _Read, raters: Sequence[str], reference: str) -> Report:
    others = [worker for worker in found.workers if worker != reference]
    wanted = {
        "workers with each other": list(combinations(others, 2)),
        f"workers with {reference}": [(worker, reference) for worker in others if reference],
        f"{cfg.judge} with workers": [(cfg.judge, worker) for worker in others if cfg.judge],
        f"{cfg.judge} with {reference}": [(cfg.judge, reference)] if cfg.judge and reference else [],
    }
    items = list(found.items.values())

    def group(name: str, pairs: Sequence[tuple[str, str]], *, strong: bool = False) -> _Group | None:
        return _compared(cfg, name, items, pairs, strong=strong)

    groups = [made for name, pairs in wanted.items() if (made := group(name, pairs))]
    if not groups:
        raise DataError("no item was judged by two", where=cfg.data, todo="show each item to two workers or more")
    strong = group("both above the weakest strength", list(combinations(found.workers, 2)), strong=True)
    two = {pair: group(" with ".join(pair), [pair]) for pair in combinations(raters, 2)}
    each = [made for made in two.values() if made and made.agreed.share.n >= _FEWEST]
    beaten = _beaten(items, others, reference, cfg.judge)
    estimates = [e for made in groups for e in _estimates(made, headline=True)]
    estimates += [*([beaten] if beaten else []), *_known(groups)]
    estimates += [e for made in [*([strong] if strong else []), *each] for e in _estimates(made)]
    return Report(
        title=f"Agreement of {len(raters)} raters on {len(items)} items",
        summary=_words(groups, beaten),
        estimates=estimates,
        tables=[_table(each)],
        figures=Drawn(lambda: _figures(raters, two)),
        notes=_notes(found, sum(made is not None for made in two.values()) - len(each)),
    )


def _compared(
    cfg: Agreement, name: str, items: Sequence[_Item], pairs: Sequence[tuple[str, str]], *, strong: bool
) -> _Group | None:
    """How far pairs of raters agree on the items of both, pooled; None where they have none."""
    first: list[bool] = []
    second: list[bool] = []
    clusters: list[str] = []
    known: list[float] = []
    for item in items:
        said = item.strong if strong else item.better
        for a, b in pairs:
            if a in said and b in said:
                first.append(item.better[a])
                second.append(item.better[b])
                clusters.append(item.conversation)
                if a in item.known and b in item.known:
                    p, q = item.known[a], item.known[b]
                    known.append(p * q + (1 - p) * (1 - q))
    if not first:
        return None
    found = agreement(first, second, clusters, resamples=cfg.resamples, seed=cfg.seed)
    return _Group(name, found, float(np.mean(known)) if len(known) == len(first) else None)


def _estimates(group: _Group, *, headline: bool = False) -> list[Estimate]:
    return [
        Estimate.of("agreement", group.agreed.share, group=group.name, headline=headline),
        Estimate.of("Cohen's kappa", group.agreed.kappa, group=group.name),
    ]


def _known(groups: Sequence[_Group]) -> list[Estimate]:
    return [
        Estimate(metric="agreement (known)", value=g.known, n=g.agreed.share.n, group=g.name, reason=_KNOWN)
        for g in groups
        if g.known is not None
    ]


def _beaten(items: Sequence[_Item], others: Sequence[str], reference: str, judge: str) -> Estimate | None:
    """How much more often the judge agrees with the reference than workers do, item by item."""
    gains, clusters = [], []
    for item in items:
        said = item.better
        mine = [said[worker] == said[reference] for worker in others if worker in said and reference in said]
        if mine and judge in said:
            gains.append(float(said[judge] == said[reference]) - sum(mine) / len(mine))
            clusters.append(item.conversation)
    if not gains:
        return None
    metric = f"{judge} agrees with {reference} more often than workers do"
    return Estimate.of(metric, clustered_mean(gains, clusters), headline=True)


def _table(each: Sequence[_Group]) -> Table:
    columns = ("raters", "items", "agreement", "low", "high", "kappa", "kappa low", "kappa high", "known")
    rows = []
    for group in each:
        share, kappa = group.agreed.share, group.agreed.kappa
        ends = (share.value, share.low, share.high, kappa.value, kappa.low, kappa.high)
        rows.append([group.name, share.n, *ends, group.known])
    return Table(title="Every two raters", columns=columns, rows=rows)


def _figures(raters: Sequence[str], two: Mapping[tuple[str, str], _Group | None]) -> list[Figure]:
    if not 2 <= len(raters) <= _MOST_DRAWN:
        return []
    nothing = Estimate(metric="agreement", value=None, reason="no items of both")

    def cell(a: str, b: str) -> Estimate:
        group = two.get((a, b)) or two.get((b, a))
        return Estimate.of("agreement", group.agreed.share) if group else nothing

    caption = "The share of items on which both call the same answer the better one, with 95 % intervals by item."
    cells = [[cell(a, b) for b in raters] for a in raters]
    return [grid(raters, raters, cells, title="Agreement of every two raters", caption=caption)]


def _notes(found: _Read, few: int) -> list[str]:
    notes = []
    if found.left_out:
        told = ", ".join(f"{count} ({why})" for why, count in found.left_out.items())
        notes.append(f"judgements left out: {told}")
    if few:
        notes.append(f"{few} pairs of raters have fewer than {_FEWEST} items of both: in the pooled numbers alone")
    return notes


def _words(groups: Sequence[_Group], beaten: Estimate | None) -> str:
    told = []
    for group in groups:
        known = "" if group.known is None else f", known {group.known:.3f}"
        share, kappa = in_words(group.agreed.share), in_words(group.agreed.kappa, 2)
        told.append(f"of {group.name} {share}, kappa {kappa}{known}")
    gained = f" {beaten.metric}: by {in_words(beaten)}." if beaten else ""
    return f"Agreement {'; '.join(told)}.{gained}"
