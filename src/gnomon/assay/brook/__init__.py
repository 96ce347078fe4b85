"""Does a model of Brook know what was planted? The check table: one estimate a row, its planned and shipped range.

    gnomon assay brook --model brook

Probabilities are enumerated, never sampled. A row outside its range is a finding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gnomon.assay.brook.checks import CHECKS, DIGITS
from gnomon.assay.brook.expected import EXPECTED, Range, label, pinned, shipped
from gnomon.core.errors import UsageError, closest
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook import world
from gnomon.models.base import Ability, Model, require
from gnomon.report.base import Estimate, Finding, Report, Table
from gnomon.stats.intervals import Interval, clustered_mean, proportion
from gnomon.stats.ranking import auroc, spearman
from gnomon.trial import Cast, Planted, evaluation

__all__ = ["Brook", "pinned"]

_NEEDED = "the check table of Brook"
# Rows that a page shows first; the table has them all.
_FIRST = ("cloze recall", "exposure Spearman", "choice [format]", "verdict AUROC [format]", "sums with steps")
# Rows of accuracy that a check gives as it stands: metric by check.
_SHARES = {
    "cloze": "cloze recall",
    "exposure": "exposure recall",
    "exposure-open": "exposure open recall",
    "open": "open recall",
    "source": "source",
    "match": "match",
    "copy-back": "copy-back",
    "steps": "sums with steps",
    "direct": "sums direct",
    "corrupted": "sums corrupted",
}


@evaluation
@dataclass(frozen=True, kw_only=True)
class Brook:
    """Check a model of the embedded world against what was planted in it."""

    n: int = 200
    "Items a check, where the number of facts does not decide."
    only: tuple[str, ...] = ()
    "Checks to run; all when empty."
    preset: str = "S"
    "The world the model was trained on."
    world_seed: int = 0
    "The world's seed."

    def __post_init__(self) -> None:
        if self.n < 20:
            raise UsageError(f"--n is {self.n}", todo="ask at least 20 items a check")
        for check in self.only:
            if check not in CHECKS:
                raise UsageError(f"no check is called {check!r}", where="--only", todo=closest(check, CHECKS))

    def items(self, seed: Seed) -> Iterator[Item]:
        """The questions of every check."""
        of = world(self.preset, self.world_seed)
        for check, make in CHECKS.items():
            if not self.only or check in self.only:
                yield from make(of, self.n, seed.child(check))

    async def trial(self, item: Item, cast: Cast, rng: Seed) -> Row:
        """Reads one item's probabilities; sums with steps are worked out result by result."""
        model = cast.subject
        require(model, Ability.SCORE, Ability.TOPK, Ability.DECIDE, why=_NEEDED)
        if item.part == "copy-back":
            found = await _copied(model, item)
        elif item.part == "steps":
            found = await _worked_out(model, item)
        else:
            found = await _chosen(model, item)
        kept = {key: item.meta[key] for key in ("count", "operations") if item.meta.get(key) is not None}
        evidence = {"check": item.part, "group": item.meta["group"], "model": model.name, **kept, **found}
        return Row(key=item.id, cluster=item.cluster, evidence=evidence)

    def summarise(self, rows: Sequence[Row]) -> Report:
        """The check table; rows outside their range are findings."""
        model = str(rows[0].evidence["model"]) if rows else ""
        reached = shipped()
        judged = [_judge(e, model, reached) for e in _estimates(rows)]
        findings = [finding for _, _, finding in judged if finding]
        missed = [str(line[0]) for _, line, _ in judged if line[-1] == "not reached"]
        summary = f"{len(findings)} of {len(judged)} rows lie outside the range that is asked of this model."
        if missed:
            summary += f" Planned and not reached: {', '.join(missed)}."
        columns = ("row", "planted", "value", "low", "high", "planned", "shipped", "verdict")
        return Report(
            title=f"Brook: check table of {model}",
            estimates=[estimate for estimate, _, _ in judged],
            findings=findings,
            tables=[Table(title="Check table", columns=columns, rows=[line for _, line, _ in judged])],
            summary=summary,
        )

    def planted(self) -> Iterable[Planted]:
        """A model that knows the table, one that knows nothing, and one that knows four prompts in five."""
        yield Planted(name="knows", cast={"subject": "planted:brook?know=1"}, truth=_truth(1.0))
        yield Planted(name="null", cast={"subject": "planted:brook?know=0"}, truth=_truth(0.0), null=True)
        # Facts are the same in every replication, so only checks with fresh prompts have a spread to cover.
        fresh = ("choice [format]", "choice [note]", "match", "source")
        truth = {name: value for name, value in _truth(0.8).items() if name in fresh}
        only = ("choice", "match", "source")
        yield Planted(name="partly", cast={"subject": "planted:brook?know=0.8"}, truth=truth, config={"only": only})


def _truth(know: float) -> dict[str, float]:
    """Closed forms for a model that knows a prompt with probability `know` and else is flat over the options."""
    options = {"cloze recall": 12, "open recall": 12, "source": 12, "match": 4, "sums direct [1]": 10}
    options |= {"choice [format]": 4, "choice [note]": 4, "sums corrupted": 10}
    flat = {"novel top probability": 0.25, "sums direct [5]": 0.1}
    return (
        {name: know + (1 - know) / k for name, k in options.items()} | flat | {"verdict AUROC [format]": 0.5 + know / 2}
    )


async def _chosen(model: Model, item: Item) -> dict[str, Any]:
    choice = await model.choose(item.meta["prompt"], item.meta["options"])
    right = int(item.meta["right"])
    scores = {"right": _credit(choice.p, right)}
    return {
        "p": list(choice.p),
        "right": right,
        "mass": min(choice.mass, 1.0),
        "readout": choice.readout,
        "scores": scores,
    }


async def _worked_out(model: Model, item: Item) -> dict[str, Any]:
    """Every result is the model's own likeliest digit, carried into the next step."""
    prompt, masses = str(item.meta["prompt"]), []
    words = item.question.split()
    value, readout = words[0], ""
    for sign, second in zip(words[1::2], words[2::2], strict=True):
        choice = await model.choose(f"{prompt} {value} {sign} {second} =", DIGITS)
        result = str(max(range(10), key=choice.p.__getitem__))
        prompt += f" {value} {sign} {second} = {result} ."
        value, readout = result, choice.readout
        masses.append(choice.mass)
    last = await model.choose(f"{prompt} Answer:", DIGITS)
    right = int(item.meta["right"])
    scores = {"right": _credit(last.p, right)}
    return {
        "p": list(last.p),
        "right": right,
        "mass": min(*masses, last.mass, 1.0),
        "readout": readout,
        "scores": scores,
    }


async def _copied(model: Model, item: Item) -> dict[str, Any]:
    require(model, Ability.SCORE, why=f"the copy-back row of {_NEEDED}")
    score = await model.score(item.meta["prompt"], item.meta["continuation"])
    copied = sum(math.exp(token) for token in score.logprobs) / len(score.logprobs)
    return {"readout": "exact", "scores": {"right": copied}}


def _credit(p: Sequence[float], right: int) -> float:
    """1 when the right option is the likeliest, shared between options that are equally likely."""
    top = max(p)
    tied = sum(q >= top - 1e-9 for q in p)
    return 1 / tied if p[right] >= top - 1e-9 else 0.0


def _estimates(rows: Sequence[Row]) -> Iterator[Estimate]:
    """One estimate a row of the table, in its order; rows of checks that did not run are left out."""
    found: dict[tuple[str, str], Estimate] = {}
    for e in (*_accuracies(rows), *_choices(rows), *_verdicts(rows), *_trends(rows), *_masses(rows)):
        found[e.metric, e.group] = e
    for expected in EXPECTED:
        if (expected.metric, expected.group) in found:
            yield found[expected.metric, expected.group]


def _of(rows: Sequence[Row], check: str, group: str = "") -> list[Row]:
    return [r for r in rows if r.evidence["check"] == check and (not group or r.evidence["group"] == group)]


def _accuracies(rows: Sequence[Row]) -> Iterator[Estimate]:
    for check, metric in _SHARES.items():
        for group in dict.fromkeys(r.evidence["group"] for r in _of(rows, check)):
            yield _mean(metric, group, _of(rows, check, group), lambda r: r.evidence["scores"]["right"])


def _choices(rows: Sequence[Row]) -> Iterator[Estimate]:
    for group in ("format", "note"):
        if found := _of(rows, "choice", group):
            yield _mean("choice", group, found, lambda r: r.evidence["scores"]["right"])
    if found := _of(rows, "choice", "novel"):
        yield _mean("novel top probability", "", found, lambda r: max(r.evidence["p"]))


def _verdicts(rows: Sequence[Row]) -> Iterator[Estimate]:
    for group in dict.fromkeys(r.evidence["group"] for r in _of(rows, "verdict")):
        found = _of(rows, "verdict", group)
        says_true = [r.evidence["p"][0] for r in found]
        labels = [float(r.evidence["right"] == 0) for r in found]
        yield _estimate("verdict AUROC", group, auroc(says_true, labels, [r.cluster for r in found]), found)
    exposed = [r for r in _of(rows, "verdict") if "count" in r.evidence]
    if exposed:
        margin: dict[str, float] = {}
        for r in exposed:
            margin[r.cluster] = margin.get(r.cluster, 0.0) + r.evidence["p"][0] * (
                1 if r.evidence["right"] == 0 else -1
            )
        counts = {r.cluster: float(r.evidence["count"]) for r in exposed}
        yield _estimate("verdict Spearman", "", spearman([counts[c] for c in margin], list(margin.values())), exposed)


def _trends(rows: Sequence[Row]) -> Iterator[Estimate]:
    """Rank correlation of the right option's probability with the exposure count, and with the sum's length."""
    for check, key, metric in (
        ("exposure", "count", "exposure Spearman"),
        ("direct", "operations", "sums direct Spearman"),
    ):
        if found := _of(rows, check):
            p = [r.evidence["p"][r.evidence["right"]] for r in found]
            by = [float(r.evidence[key]) for r in found]
            yield _estimate(metric, "", spearman(by, p, [r.cluster for r in found]), found)


def _masses(rows: Sequence[Row]) -> Iterator[Estimate]:
    """The lowest of the checks' mean option masses: below .9 the prompts are not what the model was trained on."""
    checks = dict.fromkeys(r.evidence["check"] for r in rows if "mass" in r.evidence)
    means = [_mean("option mass", "", _of(rows, check), lambda r: r.evidence["mass"]) for check in checks]
    if means:
        yield min(means, key=lambda e: e.value or 0.0)


def _mean(metric: str, group: str, rows: Sequence[Row], score: Any) -> Estimate:
    values, clusters = [float(score(r)) for r in rows], [r.cluster for r in rows]
    binary = all(v in (0.0, 1.0) for v in values)
    found = proportion(values, clusters) if binary else clustered_mean(values, clusters)
    return _estimate(metric, group, found, rows)


def _estimate(metric: str, group: str, found: Interval, rows: Sequence[Row]) -> Estimate:
    clusters = len({r.cluster for r in rows})
    readout = str(rows[0].evidence["readout"])
    return replace(Estimate.of(metric, found, group=group, readout=readout), clusters=clusters)


def _judge(e: Estimate, model: str, reached: Mapping[str, Range]) -> tuple[Estimate, list[Any], Finding | None]:
    """The estimate with the range asked of `model`, its line of the table, and the finding when it lies outside."""
    name = label(e.metric, e.group)
    row = next(row for row in EXPECTED if (row.metric, row.group) == (e.metric, e.group))
    ours = reached.get(name)
    asked = ours if model == "brook" and ours else row.planned
    outside = asked is not None and e.value not in asked
    unreached = row.planned is not None and e.value not in row.planned
    verdict = "outside" if outside else "not reached" if unreached else "inside" if asked else ""
    line = [name, row.planted, e.value, e.low, e.high, str(row.planned or ""), str(ours or ""), verdict]
    judged = replace(e, expected=asked, headline=name in _FIRST)
    if not outside:
        return judged, line, None
    finding = Finding(
        key=name,
        title=f"{name} is {'undefined' if e.value is None else f'{e.value:.3f}'}, expected {asked}",
        severity="medium",
        reproduce=f"gnomon assay brook --model {model}",
        detail=e.reason,
    )
    return judged, line, finding
