"""Does one temperature repair a policy's calibration?

Kadavath et al. 2022, sec. 3.3: policies tuned by reinforcement learning are over-confident, and one temperature
(2.5 in the paper) shared by all tasks largely repairs it. It is fitted on one half of the items and read on the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gnomon.assay.self_knowledge.asking import ask_letters, with_answer_key
from gnomon.assay.self_knowledge.calibration import choice_items
from gnomon.assay.self_knowledge.scores import Predictions, choice_estimates, predictions, reliability_figure
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.report.base import Drawn, Estimate, Figure, Report
from gnomon.stats.temperature import apply_temperature, fit_temperature
from gnomon.trial.base import Cast, Planted

if TYPE_CHECKING:
    from gnomon.assay.self_knowledge import SelfKnowledge

__all__ = ["items", "planted", "summarise", "trial"]

SECTION = "Temperature repair"
# A probability that rounded to 0 still says that the option is very unlikely, not that it is impossible.
SMALLEST = 1e-12


def items(cfg: SelfKnowledge, seed: Seed) -> list[Item]:
    """Lettered items at the first number of worked examples; clusters are drawn into development or test."""
    found = []
    for item in choice_items(replace(cfg, shots=cfg.shots[:1]), seed, "temperature", "lettered"):
        split = "development" if seed.child("split", item.cluster).value % 2 else "test"
        found.append(replace(item, meta={**item.meta, "split": split}))
    return found


async def trial(cfg: SelfKnowledge, item: Item, cast: Cast, rng: Seed) -> dict[str, Any]:
    """Probabilities of the item's options, and the split it is in."""
    found = with_answer_key(item, await ask_letters(cfg, cast.subject, item, rng))
    return {**found, "split": item.meta["split"]}


def summarise(cfg: SelfKnowledge, rows: Sequence[Row]) -> Report:
    """The temperature, and the test split before and after it."""
    development, test = ([r for r in rows if r.evidence["split"] == s] for s in ("development", "test"))
    if not development or not test:
        return Report(title=SECTION, notes=["temperature: too few items to split into development and test"])
    before, fitted_on = predictions(test), predictions(development)
    fitted = fit_temperature(_logs(fitted_on), fitted_on.gold, fitted_on.clusters)
    estimates = [Estimate.of("temperature", fitted, readout=fitted_on.readout, headline=True)]
    shown = {"before repair": before}
    if fitted.value is not None:
        shown["after repair"] = replace(before, options=apply_temperature(_logs(before), fitted.value))
    for name, stated in shown.items():
        estimates += choice_estimates(cfg, stated, name)

    def draw() -> list[Figure]:
        return [f for name, p in shown.items() for f in reliability_figure(p, f"Test split {name}", SECTION)]

    return Report(title=SECTION, estimates=estimates, figures=Drawn(draw))


def planted() -> Iterator[Planted]:
    """A calibrated responder (temperature 1) and one sharpened to the power of 2.5, as the paper's policy."""
    base = {"only": ("temperature",), "data": ("synthetic",), "shots": (0,), "n": 320, "resamples": 400}
    for t in (1.0, 2.5):
        yield Planted(
            name=f"temperature-{t:g}",
            cast={"subject": f"planted:calibrated?t={t:g}"},
            config=base,
            truth={"temperature": t},
            null=t == 1.0,
        )


def _logs(found: Predictions) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    return [np.log(np.maximum(p, SMALLEST)) for p in found.options]
