"""From rows of P(IK) to estimates: discrimination, calibration, the effect of sources and hints, baselines.

AUROC takes a question as known when more than half of its samples are right, as the paper does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gnomon.assay.self_knowledge.groups import grouped, share
from gnomon.assay.self_knowledge.scores import TOO_FEW
from gnomon.core.record import Row
from gnomon.report.base import Drawn, Estimate, Figure, Report, Table
from gnomon.report.figures import Dot, Point, curves, histogram, scatter
from gnomon.report.tokens import Token, TokenText, tokens
from gnomon.stats.intervals import bounded, clustered_mean
from gnomon.stats.paired import paired_difference
from gnomon.stats.ranking import auroc, auroc_difference, pearson, spearman

if TYPE_CHECKING:
    from gnomon.assay.self_knowledge import SelfKnowledge

__all__ = ["pik_report"]

SECTION = "P(IK): knowing before answering"
GROUP = "P(IK)"
BASELINES = ("negative entropy", "agreement", "log-probability a token", "samples in one context")
Vector = NDArray[np.float64]


def pik_report(cfg: SelfKnowledge, rows: Sequence[Row]) -> Report:
    """Everything about P(IK)."""
    return Report(
        title=SECTION,
        estimates=[
            *_discrimination(cfg, rows),
            *_by_group(cfg, rows),
            *_effects(rows),
            *_baselines(cfg, rows),
            *_greedy(cfg, rows),
        ],
        figures=Drawn(lambda: [*_figures(rows), *_token_figure(rows)]),
        tables=[_group_table(rows)],
        summary=_summary(cfg, rows),
        notes=_notes(cfg, rows),
    )


def _discrimination(cfg: SelfKnowledge, rows: Sequence[Row], group: str = GROUP) -> list[Estimate]:
    stated, truth, clusters = _stated(rows), _truth(rows), [r.cluster for r in rows]
    known = (truth > 0.5).astype(float)
    common = {"group": group, "readout": str(rows[0].evidence["readout"])}
    error = truth * (1 - stated) ** 2 + (1 - truth) * stated**2
    again = {"resamples": cfg.resamples}
    return [
        Estimate.of("AUROC", auroc(stated, known, clusters, **again), headline=group == GROUP, **common),
        Estimate.of("Brier", clustered_mean(error, clusters), **common),
        Estimate.of("mean P(IK)", bounded(clustered_mean(stated, clusters)), headline=group == GROUP, **common),
        Estimate.of("mean truth", bounded(clustered_mean(truth, clusters)), headline=group == GROUP, **common),
        Estimate.of("P(IK) less truth", clustered_mean(stated - truth, clusters), **common),
        Estimate.of("Spearman with truth", spearman(stated, truth, clusters, **again), **common),
        Estimate.of("Pearson with truth", pearson(stated, truth, clusters, **again), **common),
    ]


def _by_group(cfg: SelfKnowledge, rows: Sequence[Row]) -> list[Estimate]:
    """The same for groups that trained the head and groups that did not, where a head was trained on some only."""
    if not cfg.head_groups:
        return []
    estimates = []
    for name, trained in (("P(IK), groups that trained the head", True), ("P(IK), other groups", False)):
        found = [r for r in rows if (r.evidence["group"] in cfg.head_groups) == trained]
        estimates += _discrimination(cfg, found, name) if found else []
    return estimates


def _effects(rows: Sequence[Row]) -> list[Estimate]:
    """Paired change of P(IK) by each variant against the bare question."""
    estimates = []
    for name in _variant_names(rows):
        found = [r for r in rows if name in r.evidence["pik"]]
        changed = [r.evidence["pik"][name] for r in found]
        bare = [r.evidence["pik"]["question"] for r in found]
        difference = paired_difference(changed, bare, [r.cluster for r in found]).difference
        headline = name in ("source", "wrong source")
        estimates.append(Estimate.of("P(IK) gained", difference, group=name, headline=headline))
    return estimates


def _baselines(cfg: SelfKnowledge, rows: Sequence[Row]) -> list[Estimate]:
    """AUROC of what needs no head, and the head's lead over it, on the same questions."""
    estimates = []
    for name in BASELINES:
        group = f"{name}, before answering"
        found = [r for r in rows if r.evidence["baselines"][name] is not None]
        if not found:
            estimates.append(Estimate(metric="AUROC", value=None, group=group, reason="the model does not give it"))
            continue
        score = [r.evidence["baselines"][name] for r in found]
        known = (_truth(found) > 0.5).astype(float)
        clusters = [r.cluster for r in found]
        area = auroc(score, known, clusters, resamples=cfg.resamples)
        lead = auroc_difference(_stated(found), score, known, clusters, resamples=cfg.resamples)
        estimates.append(Estimate.of("AUROC", area, group=group))
        estimates.append(Estimate.of("AUROC of P(IK) less AUROC", lead, group=group))
    return estimates


def _greedy(cfg: SelfKnowledge, rows: Sequence[Row]) -> list[Estimate]:
    """Whether the greedy answer is right, and how well P(IK) and what needs no head tell it.

    The paper's comparison with baselines takes this as what is to be told, not the share of samples.
    """
    right = np.array([r.evidence["greedy right"] for r in rows], dtype=np.float64)
    clusters = [r.cluster for r in rows]
    estimates = [Estimate.of("accuracy of the greedy answer", share(right.tolist(), clusters), group=GROUP)]
    told = {GROUP: _stated(rows).tolist()} | {n: [r.evidence["baselines"][n] for r in rows] for n in BASELINES}
    for name, score in told.items():
        if None not in score:
            area = auroc(score, right, clusters, resamples=cfg.resamples)
            estimates.append(Estimate.of("AUROC for a right greedy answer", area, group=name))
    return estimates


def _group_table(rows: Sequence[Row]) -> Table:
    lines: list[list[Any]] = []
    for group, found in grouped(rows).items():
        clusters = [r.cluster for r in found]
        stated, truth = share(_stated(found).tolist(), clusters), share(_truth(found).tolist(), clusters)
        lines.append([group, len(found), truth.value, truth.low, truth.high, stated.value, stated.low, stated.high])
    return Table(
        title="P(IK) by group of questions",
        columns=("group", "questions", "share right", "low", "high", "mean P(IK)", "low ", "high "),
        rows=lines,
        section=SECTION,
    )


def _figures(rows: Sequence[Row]) -> list[Figure]:
    if len(rows) < TOO_FEW:
        return []
    stated, truth = _stated(rows), _truth(rows)
    dots = [Dot(float(s), float(t), str(r.evidence["group"])) for s, t, r in zip(stated, truth, rows, strict=True)]
    figures = [
        histogram(
            {"mostly right": stated[truth > 0.5].tolist(), "mostly wrong": stated[truth <= 0.5].tolist()},
            x="P(IK)",
            domain=(0, 1),
            title="P(IK) of questions answered mostly right and mostly wrong",
            section=SECTION,
        ),
        scatter(
            dots, x="P(IK)", y="share of samples right", diagonal=True, title="P(IK) against truth", section=SECTION
        ),
    ]
    hints = _hint_points(rows)
    if hints:
        caption = "Parts of the question's own worked solution, and of another question's as a control."
        figures.append(
            curves(
                hints,
                x="part of the solution shown",
                y="mean P(IK)",
                title="P(IK) with a growing hint",
                caption=caption,
                section=SECTION,
            )
        )
    return figures


def _token_figure(rows: Sequence[Row]) -> list[Figure]:
    """P(IK) read at every token of a few questions; none where no head was read."""
    texts = [
        TokenText(
            f"{r.evidence['group'] or r.key}: {r.evidence['truth']:.0%} of samples right",
            [Token(text, p) for text, p in r.evidence["tokens"]],
        )
        for r in rows
        if r.evidence.get("tokens")
    ]
    if not texts:
        return []
    caption = (
        "The head at each token, as if the question ended there. It was trained at the last one alone, so what it "
        "says before that only shows where the evidence comes in."
    )
    return [tokens(texts, legend="P(IK)", title="P(IK) token by token", caption=caption, section=SECTION)]


def _hint_points(rows: Sequence[Row]) -> list[Point]:
    points = []
    for kind in ("hint", "wrong hint"):
        names = [n for n in _variant_names(rows) if n.rpartition(" ")[0] == kind]
        for name in ["question", *names] if names else []:
            found = [r for r in rows if name in r.evidence["pik"] and names[0] in r.evidence["pik"]]
            mean = clustered_mean([r.evidence["pik"][name] for r in found], [r.cluster for r in found])
            shown = 0.0 if name == "question" else float(name.rpartition(" ")[2])
            points.append(Point(shown, mean.value or 0.0, mean.low, mean.high, kind))
    return points


def _summary(cfg: SelfKnowledge, rows: Sequence[Row]) -> str:
    area = _discrimination(cfg, rows)[0]
    if area.value is None:
        return ""
    ends = f" [{area.low:.2f}, {area.high:.2f}]" if area.low is not None and area.high is not None else ""
    return f"Before answering, it tells questions it knows from others with AUROC {area.value:.2f}{ends}."


def _notes(cfg: SelfKnowledge, rows: Sequence[Row]) -> list[str]:
    notes = []
    if rows[0].evidence["readout"] == "words":
        notes.append("P(IK) was asked in words: no head can be trained on a model whose activations cannot be read")
    if len(rows) < TOO_FEW:
        notes.append(f"P(IK): {len(rows)} questions are too few for a chart")
    return notes


def _stated(rows: Sequence[Row]) -> Vector:
    return np.array([r.evidence["pik"]["question"] for r in rows], dtype=np.float64)


def _truth(rows: Sequence[Row]) -> Vector:
    return np.array([r.evidence["truth"] for r in rows], dtype=np.float64)


def _variant_names(rows: Sequence[Row]) -> list[str]:
    names: dict[str, None] = {}
    for r in rows:
        names.update(dict.fromkeys(n for n in r.evidence["pik"] if n != "question"))
    return list(names)
