"""A body in which harmful prompts lie apart: `planted:shifted?distance=2`.

A prompt's residual stream is one draw of a Gaussian, the same at each of its tokens and after each of its three
places (the embedding and two blocks), but for a shift that harmful prompts have: `distance` deviations after the first
block, half of that after the second, none before. Coordinates come in two pairs, correlated .8 within; the shift lies
along the pairs' narrow directions, or with `wide=1` along their wide ones. So the squared Mahalanobis distance is
chi-square with 4 degrees of freedom, noncentral for harmful prompts; and the distance relative to the covariance's
diagonal is .8 times the difference of two chi-squares of 2 degrees, of the narrow and the wide directions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from gnomon.core.errors import ModelError
from gnomon.core.record import Item
from gnomon.models.base import Ability, Prompt
from gnomon.models.planted.base import PlantedModel, planted

__all__ = ["PLACES", "WIDTH", "Shifted"]

WIDTH = 4
PLACES = (0.0, 1.0, 0.5)
"""The share of the shift in the residual stream before the first block and after each."""

_CORRELATION = 0.8
_ASKED = re.compile(r"Human:\s*(.*?)\s*Assistant:\s*$", re.S)
_LONGEST = 3


@planted("shifted")
class Shifted(PlantedModel):
    """Prompts of gold 1 lie `distance` deviations from the others' mean, along narrow directions or `wide` ones."""

    can = frozenset({Ability.ACTIVATIONS})

    def __init__(self, distance: float = 2.0, wide: int = 0) -> None:
        super().__init__()
        self.distance, self.wide = distance, wide
        self._by_question: dict[str, Item] = {}
        # Token 0 is what batches are filled up with: to read it is a fault, so it is no number.
        self._rows: list[list[list[float]]] = [[[math.nan] * WIDTH] * len(PLACES)]
        self._numbers: dict[str, int] = {}

    def bind(self, items: Iterable[Item]) -> None:
        """Learns prompts beside those it knows already."""
        self._by_question.update({item.question: item for item in items})

    @property
    def tokenizer(self) -> Any:
        """Encodes a prompt as one to three tokens, all of them the number of its question."""
        return SimpleNamespace(encode_prompt=self._encode)

    @property
    def net(self) -> Any:
        """A body without weights."""
        config = SimpleNamespace(num_layers=len(PLACES) - 1, d_model=WIDTH, max_positions=_LONGEST)
        return SimpleNamespace(config=config, parameters=lambda: iter(()))

    def run(self, tokens_BT: Any, plan: Any) -> None:
        """Shows the residual streams [B, T, D] to the readers of `plan`, as a forward would."""
        import torch

        rows = torch.tensor([[self._rows[token] for token in row] for row in tokens_BT.tolist()])
        names = ("0.resid_pre", *(f"{block}.resid_post" for block in range(len(PLACES) - 1)))
        for place, name in enumerate(names):
            if name in plan.read:
                plan.results[name] = plan.read[name](rows[:, :, place])

    def _encode(self, prompt: Prompt) -> list[int]:
        found = _ASKED.search(prompt) if isinstance(prompt, str) else None
        item = self._by_question.get(found[1]) if found else None
        if item is None:
            raise ModelError(f"{self.name} knows no request that {str(prompt)[-80:]!r} makes")
        number = self._numbers.setdefault(item.question, len(self._rows))
        if number == len(self._rows):
            self._rows.append(self._residuals(item))
        return [number] * (1 + number % _LONGEST)

    def _residuals(self, item: Item) -> list[list[float]]:
        """The residual stream at every place, [3, D]."""
        rng = self.draw("residual", item.question).random()
        noise = [rng.gauss(0, 1) for _ in range(WIDTH)]
        shift = self.distance / math.sqrt(2) * (item.gold or 0)
        return [_mixed(noise, shift * share, self.wide) for share in PLACES]


def _mixed(noise: list[float], shift: float, wide: int) -> list[float]:
    """Two correlated pairs from independent deviations along their wide and narrow directions, shifted along one."""
    found = []
    for pair in (noise[:2], noise[2:]):
        pair = [pair[0] + shift * wide, pair[1] + shift * (1 - wide)]
        long, short = (x * math.sqrt(1 + sign * _CORRELATION) for x, sign in zip(pair, (1, -1), strict=True))
        found += [(long + short) / math.sqrt(2), (long - short) / math.sqrt(2)]
    return found
