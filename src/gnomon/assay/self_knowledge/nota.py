"""Does "none of the above" spoil accuracy and calibration?

Kadavath et al. 2022, sec. 3.1: the last option's text is replaced on every item; where it was the right one, "none of
the above" is now right. Standard and replaced items are the same items, so the difference is read paired.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gnomon.assay.self_knowledge.asking import ask_letters, with_answer_key
from gnomon.assay.self_knowledge.calibration import choice_items
from gnomon.assay.self_knowledge.scores import choice_estimates, predictions, reliability_figure
from gnomon.assay.self_knowledge.truths import choice_truth
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.report.base import Drawn, Estimate, Figure, Report
from gnomon.stats.calibration import calibration_line
from gnomon.stats.intervals import clustered_mean
from gnomon.stats.paired import paired_difference
from gnomon.trial.base import Cast, Planted

if TYPE_CHECKING:
    from gnomon.assay.self_knowledge import SelfKnowledge

__all__ = ["NONE_OF_THE_ABOVE", "items", "planted", "summarise", "trial"]

SECTION = "None of the above"
# Brook has one word for it.
NONE_OF_THE_ABOVE: Mapping[str, str] = {"plain": "none of the above", "brook": "none"}


def items(cfg: SelfKnowledge, seed: Seed) -> list[Item]:
    """Each item twice: as it is, and with its last option replaced; lettered, at the first number of shots."""
    found = []
    first = replace(cfg, shots=cfg.shots[:1])
    for item in choice_items(first, seed, "nota", "lettered"):
        none = NONE_OF_THE_ABOVE[item.meta["dialect"]]
        if none in item.choices:
            continue
        swapped = replace(item, id=f"{item.id}/none", choices=(*item.choices[:-1], none))
        found += [_marked(item, "standard"), _marked(swapped, "none of the above")]
    return found


async def trial(cfg: SelfKnowledge, item: Item, cast: Cast, rng: Seed) -> dict[str, Any]:
    """Probabilities of the item's options, with the pair it belongs to."""
    found = with_answer_key(item, await ask_letters(cfg, cast.subject, item, rng))
    return {**found, "variant": item.meta["variant"], "pair": item.meta["pair"]}


def summarise(cfg: SelfKnowledge, rows: Sequence[Row]) -> Report:
    """Both variants, their paired difference, the last option alone, and whether NOTA was the right answer."""
    by_variant = {v: [r for r in rows if r.evidence["variant"] == v] for v in ("standard", "none of the above")}
    estimates = []
    stated_by = {variant: predictions(found) for variant, found in by_variant.items()}
    for variant, found in by_variant.items():
        estimates += choice_estimates(cfg, stated_by[variant], variant)
        estimates += _last_option(found, variant)
    estimates += _differences(by_variant)
    estimates += _by_right_answer(by_variant["none of the above"])

    def draw() -> list[Figure]:
        return [f for v, p in stated_by.items() for f in reliability_figure(p, f"Calibration, {v}", SECTION)]

    return Report(title=SECTION, estimates=estimates, figures=Drawn(draw))


def planted() -> Iterator[Planted]:
    """A calibrated responder, to whom the replacement makes no difference, and one that avoids the option."""
    base = {"only": ("nota",), "data": ("synthetic",), "shots": (0,), "n": 160, "resamples": 400}
    right = choice_truth(0.0, 1.0)["accuracy"]
    for keep, name in ((1.0, "nota-null"), (0.4, "nota-avoided")):
        yield Planted(
            name=name,
            cast={"subject": f"planted:avoids-none?keep={keep:g}"},
            config=base,
            truth={
                "accuracy [standard]": right,
                # Lost where the option is right; some is won back where it would have been taken wrongly.
                "accuracy lost [none of the above]": (1 - keep) * (right / 4 - (1 - right) / 12),
                "accuracy where it is right [none of the above]": right * keep,
            },
            null=keep == 1.0,
        )


def _marked(item: Item, variant: str) -> Item:
    pair = item.id.removesuffix("/none")
    return replace(item, meta={**item.meta, "variant": variant, "pair": pair, "series": variant})


def _last_option(rows: Sequence[Row], variant: str) -> list[Estimate]:
    """Mean probability, share right and calibration line of the last option alone."""
    p = np.array([r.evidence["p"][-1] for r in rows])
    y = np.array([r.evidence["gold"] == len(r.evidence["p"]) - 1 for r in rows], dtype=float)
    clusters = [r.cluster for r in rows]
    group = f"last option, {variant}"
    return [
        Estimate.of("mean probability", clustered_mean(p, clusters), group=group),
        Estimate.of("share right", clustered_mean(y, clusters), group=group),
        Estimate.of("calibration slope", calibration_line(p, y, clusters).slope, group=group),
    ]


def _differences(by_variant: Mapping[str, Sequence[Row]]) -> list[Estimate]:
    standard = {r.evidence["pair"]: r for r in by_variant["standard"]}
    pairs = [
        (standard[r.evidence["pair"]], r) for r in by_variant["none of the above"] if r.evidence["pair"] in standard
    ]
    lost = []
    for metric, score in (("accuracy lost", "accuracy"), ("probability lost", "probability of the right option")):
        one, two = ([r.evidence["scores"][score] for r in side] for side in zip(*pairs, strict=True))
        difference = paired_difference(one, two, [r.cluster for r, _ in pairs]).difference
        lost.append(Estimate.of(metric, difference, group="none of the above", headline=metric == "accuracy lost"))
    return lost


def _by_right_answer(rows: Sequence[Row]) -> list[Estimate]:
    estimates = []
    for is_right, metric in ((True, "accuracy where it is right"), (False, "accuracy where it is wrong")):
        found = [r for r in rows if (r.evidence["gold"] == len(r.evidence["p"]) - 1) == is_right]
        mean = clustered_mean([r.evidence["scores"]["accuracy"] for r in found], [r.cluster for r in found])
        estimates.append(Estimate.of(metric, mean, group="none of the above"))
    return estimates
