"""Who plays which part: opens the models of a run by role, and proves what endpoints can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from gnomon.core.config import plain
from gnomon.core.record import Item
from gnomon.trial.base import Cast

if TYPE_CHECKING:
    from gnomon.models.base import Model
    from gnomon.trial.base import Evaluation

__all__ = ["close_cast", "open_cast", "role_names", "roles_of"]


def roles_of(config: Evaluation) -> dict[str, str]:
    """Further roles of an evaluation (fields of type `ModelName`), each with the model its config names."""
    named = {f.name: str(getattr(config, f.name)) for f in fields(config) if "ModelName" in str(f.type)}  # type: ignore[arg-type]
    return {role: model for role, model in named.items() if model}


async def open_cast(config: Evaluation, models: Mapping[str, str], items: Sequence[Item]) -> Cast:
    """Loads every model once, proves the abilities of endpoints, and shows planted models the item table.

    A role whose config field is empty is played by the subject.
    """
    from gnomon.models.load import load

    wanted = {**roles_of(config), **models}
    opened: dict[str, Model] = {}
    try:
        for model_name in wanted.values():
            if model_name not in opened:
                opened[model_name] = load(model_name)
        proofs = {name: await _ready(model, items) for name, model in opened.items()}
    except BaseException:
        await close_cast(Cast(opened))
        raise
    cast = {role: opened[model_name] for role, model_name in wanted.items()}
    for f in fields(config):  # type: ignore[arg-type]
        if "ModelName" in str(f.type):
            cast.setdefault(f.name, cast["subject"])
    return Cast(cast, proofs)


async def close_cast(cast: Cast) -> None:
    """Closes every model once."""
    for model in {id(m): m for m in cast.values()}.values():
        await model.close()


def role_names(cast: Cast) -> dict[str, str]:
    """Role to "name@revision"."""
    return {role: f"{model.name}@{model.revision}" for role, model in cast.items()}


async def _ready(model: Any, items: Sequence[Item]) -> dict[str, Any]:
    """Makes a model fit to be asked; returns its abilities and, for endpoints, the probe that proved them."""
    if hasattr(model, "bind"):
        model.bind(items)
    proof: dict[str, Any] = {}
    if getattr(model, "unproved", False):
        from gnomon.models.probe import probe

        proof["probe"] = plain((await probe(model)).transcript)
    return {"abilities": sorted(model.can), **proof}
