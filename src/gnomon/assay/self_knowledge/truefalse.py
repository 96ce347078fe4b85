"""Can a model tell right answers from wrong ones when they are proposed to it?

Kadavath et al. 2022, sec. 3.2: each item gives two rows, its right option and one wrong option drawn at random, so
the base rate is one half; the model says (A) True or (B) False.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gnomon.assay.self_knowledge import worked
from gnomon.assay.self_knowledge.asking import ask_verdict, group_of, series
from gnomon.assay.self_knowledge.truths import verdict_truth
from gnomon.assay.self_knowledge.verdicts import verdict_estimates, verdict_figures
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.data.sources import open_items
from gnomon.report.base import Drawn, Figure, Report
from gnomon.trial.base import Cast, Planted

if TYPE_CHECKING:
    from gnomon.assay.self_knowledge import SelfKnowledge

__all__ = ["items", "planted", "proposals", "summarise", "trial", "verdict_header"]

SECTION = "True or false"


def items(cfg: SelfKnowledge, seed: Seed) -> list[Item]:
    """Two rows an item, for each number of worked examples; a cluster stays together."""
    source = open_items(cfg.data, "choice", cfg.n, seed, spare=max(cfg.shots or (5,)))
    found = []
    for shots in cfg.shots or ((0,) if source.dialect == "brook" else (5,)):
        shown = source.spare[:shots]
        header = verdict_header(shown, [proposals(i, seed)[k % 2] for k, i in enumerate(shown)])
        for item in source.items:
            meta = {**item.meta, "header": header, "series": f"{shots}-shot"}
            for proposed, right in proposals(item, seed):
                name = f"truefalse/{shots}/{item.id}/{'right' if right else 'wrong'}"
                found.append(replace(item, id=name, meta={**meta, "proposed": proposed, "right": right}))
    return found


def verdict_header(items: Sequence[Item], proposed: Sequence[tuple[str, bool]]) -> str:
    """Worked verdicts, each on a proposed option that is right or wrong; "" for none."""
    shown = [worked.Worked(i.question, (), text, right) for i, (text, right) in zip(items, proposed, strict=True)]
    return worked.header(items, shown, with_ideas=False)


def proposals(item: Item, seed: Seed) -> list[tuple[str, bool]]:
    """The right option, and a wrong one drawn from the seed."""
    assert item.gold is not None
    wrong = [c for i, c in enumerate(item.choices) if i != item.gold]
    drawn = seed.child("wrong", item.id).random().choice(wrong)
    return [(item.choices[item.gold], True), (drawn, False)]


async def trial(cfg: SelfKnowledge, item: Item, cast: Cast, rng: Seed) -> dict[str, Any]:
    """P(True) of the proposed option."""
    found = await ask_verdict(cfg, cast.subject, item, item.meta["proposed"], rng)
    right, p_true = bool(item.meta["right"]), found["p"][0]
    scores = {"accuracy": 0.5 if p_true == 0.5 else float((p_true > 0.5) == right), "Brier": (p_true - right) ** 2}
    return {**found, "right": right, **group_of(item), "scores": scores}


def summarise(cfg: SelfKnowledge, rows: Sequence[Row]) -> Report:
    """Accuracy, calibration and AUROC of P(True), a series for each number of worked examples."""
    by_shots: dict[str, list[Row]] = {}
    for row in rows:
        by_shots.setdefault(series(row.evidence), []).append(row)
    estimates = []
    for name, found in by_shots.items():
        estimates += verdict_estimates(cfg, found, f"true/false {name}", headline=True)

    def draw() -> list[Figure]:
        return [f for n, found in by_shots.items() for f in verdict_figures(found, f"True or false, {n}", SECTION)]

    return Report(title=SECTION, estimates=estimates, figures=Drawn(draw))


def planted() -> Iterator[Planted]:
    """A calibrated judge (the null of miscalibration) and an under-confident one."""
    base = {"only": ("truefalse",), "data": ("synthetic",), "shots": (0,), "n": 150, "resamples": 400}
    for b in (1.0, 2.0):
        yield Planted(
            name=f"truefalse-b{b:g}",
            cast={"subject": f"planted:calibrated?b={b:g}"},
            config=base,
            truth={f"{m} [true/false 0-shot]": v for m, v in verdict_truth(b).items()},
            null=b == 1.0,
        )
