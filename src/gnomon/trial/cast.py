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

__all__ = ["close_cast", "load_cast", "make_ready", "open_cast", "role_names", "roles_of", "unproved"]


def roles_of(config: Evaluation) -> dict[str, str]:
    """Further roles of an evaluation (fields of type `ModelName`), each with the model its config names."""
    named = {f.name: str(getattr(config, f.name)) for f in fields(config) if "ModelName" in str(f.type)}  # type: ignore[arg-type]
    return {role: model for role, model in named.items() if model}


async def load_cast(config: Evaluation, models: Mapping[str, str]) -> Cast:
    """Loads every model once and asks none of them anything; `make_ready` does that.

    A role whose config field is empty is played by the subject.
    """
    from gnomon.models.load import load

    wanted = {**roles_of(config), **models}
    opened: dict[str, Model] = {}
    try:
        for model_name in wanted.values():
            if model_name not in opened:
                opened[model_name] = load(model_name)
    except BaseException:
        await close_cast(Cast(opened))
        raise
    cast = {role: opened[model_name] for role, model_name in wanted.items()}
    for f in fields(config):  # type: ignore[arg-type]
        if "ModelName" in str(f.type):
            cast.setdefault(f.name, cast["subject"])
    return Cast(cast)


async def make_ready(cast: Cast, items: Sequence[Item]) -> None:
    """Proves the abilities of endpoints, keeps how in `cast.proofs`, and shows planted models the item table."""
    for model in cast.values():
        if model.name not in cast.proofs:
            cast.proofs[model.name] = await _ready(model, items)


async def open_cast(config: Evaluation, models: Mapping[str, str], items: Sequence[Item]) -> Cast:
    """A cast that is loaded and ready to be asked."""
    cast = await load_cast(config, models)
    try:
        await make_ready(cast, items)
    except BaseException:
        await close_cast(cast)
        raise
    return cast


def unproved(cast: Cast) -> set[str]:
    """Roles of endpoints that have not been probed, so that neither abilities nor revision are known."""
    return {role for role, model in cast.items() if getattr(model, "unproved", False)}


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
