"""How the model under test learnt what the table checks: the curves that its training left beside its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gnomon.core.record import Item
from gnomon.data.worlds.brook import KINDS
from gnomon.data.worlds.brook.mix import FAMILIES
from gnomon.models.base import Model
from gnomon.report.base import Figure
from gnomon.report.figures import Point, curves

__all__ = ["RECIPE", "curves_of", "recipe_of"]

RECIPE = Item(id="training", part="training", source="brook", meta={"group": "", "by": {}})


def recipe_of(model: Model) -> dict[str, Any]:
    """The recipe of a local model whose folder has one, as evidence; empty for every other."""
    return {"recipe": dict(getattr(model, "recipe", {}))}


def curves_of(recipe: Mapping[str, Any]) -> Sequence[Figure]:
    """Divergence from the planted truth against steps, a figure a family of kinds; none without readouts."""
    readouts: Mapping[str, Sequence[tuple[int, float]]] = recipe.get("readouts", {})
    figures = []
    for family, kinds in FAMILIES.items():
        names = [name for name in readouts if name.partition("-")[0] == "exposure" or name in KINDS]
        mine = [n for n in names if (n if n in KINDS else "exposure") in kinds]
        points = [Point(step, value, series=name) for name in mine for step, value in readouts[name]]
        if points:
            figures.append(
                curves(
                    points,
                    x="step",
                    y="nats",
                    title=f"Learning {family}",
                    caption="Mean divergence from what is planted, at answer-bearing words; it falls towards 0.",
                    section="How it learnt",
                    log_y=True,
                )
            )
    return figures
