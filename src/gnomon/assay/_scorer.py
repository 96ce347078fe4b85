"""What a model of texts makes of what was written, in [0, 1]: a classifier's probability, or a preference."""

from __future__ import annotations

import math

from gnomon.models.base import Ability, Model, require

__all__ = ["chance", "told_of"]


async def chance(scorer: Model, before: str, text: str, *, good: bool) -> float:
    """A classifier's probability of its label for `text`, or a preference model's for `before` with `text`.

    The latter is the chance that the whole is preferred to a text of reward 0; where `good` is False, that it is not.

    Raises:
        AbilityError: the scorer has no REWARD.
    """
    require(scorer, Ability.REWARD, why="--scorer", todo="use a classifier or a preference model")
    if getattr(scorer, "label", ""):
        return _sigmoid(await scorer.reward(text.strip()))
    reward = await scorer.reward(before + text)
    return _sigmoid(reward if good else -reward)


def told_of(name: str, scorer: Model) -> str:
    """Who scores, in words."""
    label = getattr(scorer, "label", "")
    return f"{name}, its label {label!r}" if label else name


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))
