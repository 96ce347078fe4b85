"""Can a model grade its own answers? P(True), with and without samples to compare with.

Kadavath et al. 2022, sec. 4: sample an answer at temperature 1, show it, ask whether it is (A) True or (B) False. With
comparison samples, five sampled answers are shown first. Conditions: bare, a fixed header of six worked verdicts, and
20 worked verdicts, each with and without comparison samples; Brook's words allow the bare ones only.

Departure: the answers shown in the 20 worked verdicts come from the data (an item's own answer, or another item's),
not from the model, so the header is the same for every question and is computed once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import norm

from gnomon.assay.self_knowledge.asking import ask_verdict, group_of
from gnomon.assay.self_knowledge.samples import agreement, answers, entropy, open_questions
from gnomon.assay.self_knowledge.scores import area
from gnomon.assay.self_knowledge.verdicts import verdict_estimates, verdict_figures
from gnomon.assay.self_knowledge.worked import from_data, six
from gnomon.core.errors import DataError
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.report.base import Drawn, Estimate, Figure, Report, Table
from gnomon.report.figures import Point, curves
from gnomon.stats.intervals import proportion, repeated_mean, undefined
from gnomon.stats.ranking import accuracy_coverage, auroc_difference
from gnomon.trial.base import Cast, Planted

if TYPE_CHECKING:
    from gnomon.assay.self_knowledge import SelfKnowledge

__all__ = [
    "baselines",
    "conditional_accuracy",
    "conditions",
    "coverage_figure",
    "gains",
    "items",
    "planted",
    "summarise",
    "trial",
]

SECTION = "P(True): grading one's own answers"
# The paper draws five answers in all; this number of worked verdicts is the fixed header.
IDEAS, FIXED = 5, 6
NO_LOGPROBS = "the model gives no log-probabilities"
BASELINES = {
    "log-probability": "summed log-probability of the answer",
    "log-probability a token": "the same divided by its tokens",
    "agreement": "share of the other samples that say the same",
    "negative entropy": "of the distribution of sampled answers",
}


def items(cfg: SelfKnowledge, seed: Seed) -> list[Item]:
    """Open questions, with the headers of worked verdicts that their words allow.

    Raises:
        DataError: too few questions to keep those of the worked verdicts apart.
    """
    spare = max((n for n in cfg.worked if n != FIXED), default=0)
    found = list(open_questions(cfg, seed, "ptrue", cfg.n + spare))
    if len(found) <= spare:
        raise DataError(
            f"{len(found)} open questions are too few to keep {spare} apart as worked verdicts", todo="lower --worked"
        )
    numbers = (0,) if found[0].meta["dialect"] == "brook" else cfg.worked
    headers = {
        f"{_name(n)}{', comparison' if ideas else ''}": _header(n, found, seed, ideas)
        for n in numbers
        for ideas in (False, True)
    }
    return [replace(item, meta={**item.meta, "headers": headers}) for item in found[spare:]]


def _name(worked: int) -> str:
    return f"{worked} worked" if worked else "bare"


def _header(worked: int, items: Sequence[Item], seed: Seed, ideas: bool) -> str:
    return six(ideas) if worked == FIXED else from_data(items[:worked], seed, ideas)


async def trial(cfg: SelfKnowledge, item: Item, cast: Cast, rng: Seed) -> dict[str, Any]:
    """Five sampled answers, and P(True) of the first under every condition."""
    extra = 0 if cfg.include_self else 1
    drawn = await answers(cfg, cast.subject, item, IDEAS + extra, rng)
    judged = drawn[0]
    shown = [d["text"] for d in drawn[extra:]]
    rng.child("ideas").random().shuffle(shown)
    verdicts = {}
    for name, (header, ideas) in conditions(item, shown).items():
        asked = replace(item, meta={**item.meta, "header": header})
        verdicts[name] = await ask_verdict(cfg, cast.judge, asked, judged["text"], rng.child(name), ideas)
    p_true = next(iter(verdicts.values()))["p"][0]
    right = bool(judged["right"])
    return {
        "samples": drawn,
        "right": right,
        "verdicts": verdicts,
        "baselines": baselines(drawn),
        **group_of(item),
        "scores": {"accuracy": float(right), "P(True)": p_true, "Brier": (p_true - right) ** 2},
    }


def conditions(item: Item, shown: Sequence[str]) -> dict[str, tuple[str, Sequence[str]]]:
    """Condition name to header and ideas."""
    headers = item.meta["headers"]
    return {name: (header, shown if name.endswith("comparison") else ()) for name, header in headers.items()}


def baselines(drawn: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """What needs no verdict, for the same judged sample; higher is more confident."""
    judged, listed = drawn[0], [dict(d) for d in drawn]
    logprob = judged["logprob"]
    return {
        "log-probability": logprob,
        "log-probability a token": None if logprob is None else logprob / max(1, judged["tokens"]),
        "agreement": agreement(listed),
        "negative entropy": -entropy(listed),
    }


def summarise(cfg: SelfKnowledge, rows: Sequence[Row]) -> Report:
    """Each condition's verdicts, the gain from comparison samples, and the baselines."""
    right = repeated_mean([[float(s["right"]) for s in r.evidence["samples"]] for r in rows], [r.cluster for r in rows])
    estimates = [Estimate.of("base accuracy", right.mean, group="sampled answers", headline=True)]
    by_condition = {name: [_as_verdict(r, name) for r in rows] for name in rows[0].evidence["verdicts"]}
    for i, (name, found) in enumerate(by_condition.items()):
        estimates += verdict_estimates(cfg, found, f"P(True) {name}", headline=i == 0)
        estimates.append(conditional_accuracy(found, f"P(True) {name}"))
    estimates += gains(cfg, by_condition)
    baseline = _baseline_estimates(cfg, rows)
    estimates += baseline

    def draw() -> list[Figure]:
        shown = [f for name, found in by_condition.items() for f in verdict_figures(found, name, SECTION)]
        return [*shown, coverage_figure(by_condition, rows)]

    return Report(title=SECTION, estimates=estimates, figures=Drawn(draw), tables=[_baseline_table(baseline)])


def conditional_accuracy(rows: Sequence[Row], group: str) -> Estimate:
    """Accuracy of the answers that P(True) > 0.5 lets through."""
    kept = [r for r in rows if r.evidence["p"][0] > 0.5]
    right, clusters = [float(r.evidence["right"]) for r in kept], [r.cluster for r in kept]
    found = proportion(right, clusters) if kept else undefined("P(True) is never above 0.5")
    return Estimate.of("accuracy where P(True) > 0.5", found, group=group)


def gains(cfg: SelfKnowledge, by_condition: Mapping[str, Sequence[Row]]) -> list[Estimate]:
    """AUROC with comparison samples less AUROC without, paired on the same answers."""
    estimates = []
    for name, without in by_condition.items():
        with_ = by_condition.get(f"{name}, comparison")
        if with_ is None:
            continue
        p, q = ([r.evidence["p"][0] for r in side] for side in (with_, without))
        y, clusters = [r.evidence["right"] for r in without], [r.cluster for r in without]
        gain = auroc_difference(p, q, y, clusters, resamples=cfg.resamples)
        estimates.append(
            Estimate.of("AUROC gained by comparison samples", gain, group=f"P(True) {name}", headline=True)
        )
    return estimates


def coverage_figure(by_condition: Mapping[str, Sequence[Row]], rows: Sequence[Row]) -> Figure:
    """Accuracy of the answers kept against the share kept, for every threshold on P(True)."""
    points = [
        Point(c.coverage, c.accuracy.value or 0.0, c.accuracy.low, c.accuracy.high, name)
        for name, found in by_condition.items()
        for c in accuracy_coverage(
            [r.evidence["p"][0] for r in found],
            [r.evidence["right"] for r in found],
            [r.cluster for r in found],
            points=30,
        )
    ]
    base = float(np.mean([r.evidence["right"] for r in rows]))
    caption = "Keeping only answers above a threshold on P(True), from all of them (right) to the surest (left)."
    return curves(
        points,
        x="share of answers kept",
        y="accuracy",
        title="Accuracy against coverage",
        reference=base,
        caption=caption,
        section=SECTION,
    )


def planted() -> Iterator[Planted]:
    """A judge that comparison samples help, and one that they do not (the null)."""
    base = {"only": ("ptrue",), "data": ("synthetic",), "shots": (0,), "worked": (0,), "n": 120, "resamples": 400}
    for name, d0, d1 in (("ptrue-null", 1.0, 1.0), ("ptrue-helped", 0.7, 1.8)):
        areas = {"bare": _area(d0), "bare, comparison": _area(d1)}
        truth = {f"AUROC [P(True) {c}]": area for c, area in areas.items()}
        for condition, d in zip(areas, (d0, d1), strict=True):
            truth[f"accuracy where P(True) > 0.5 [P(True) {condition}]"] = float(norm.cdf(d / 2))
        gained = {"AUROC gained by comparison samples [P(True) bare]": areas["bare, comparison"] - areas["bare"]}
        yield Planted(
            name=name,
            cast={"subject": f"planted:selfeval?single={d0:g}&compared={d1:g}"},
            config=base,
            truth={**truth, **gained, "base accuracy [sampled answers]": 0.5},
            null=d0 == d1,
        )


def _area(d: float) -> float:
    return float(norm.cdf(d / np.sqrt(2)))


def _as_verdict(row: Row, condition: str) -> Row:
    evidence = {**row.evidence["verdicts"][condition], "right": row.evidence["right"]}
    return Row(key=row.key, cluster=row.cluster, evidence=evidence)


def _baseline_estimates(cfg: SelfKnowledge, rows: Sequence[Row]) -> list[Estimate]:
    estimates = []
    for name in BASELINES:
        known = [r for r in rows if r.evidence["baselines"][name] is not None]
        if not known:
            estimates.append(Estimate(metric="AUROC", value=None, group=name, reason=NO_LOGPROBS))
            continue
        score = [r.evidence["baselines"][name] for r in known]
        y, clusters = [r.evidence["right"] for r in known], [r.cluster for r in known]
        estimates.append(Estimate.of("AUROC", area(cfg, score, y, clusters), group=name))
    return estimates


def _baseline_table(estimates: Sequence[Estimate]) -> Table:
    lines = [[e.group, BASELINES[e.group], e.value, e.low, e.high] for e in estimates]
    return Table(
        title="What needs no verdict",
        columns=("baseline", "what it is", "AUROC", "low", "high"),
        rows=lines,
        caption="For the same sampled answers as P(True).",
        section=SECTION,
    )
