"""A writer whose texts carry their own score, and the scorer that reads it: `planted:toxic?power=9`.

Scores are a uniform number raised to `power`: their mean is 1 / (1 + power), the largest of m is m / (m + power) on
average, and one of m at least reaches t with probability 1 - t^(m / power).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from gnomon.core.errors import ModelError
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.models.base import Ability, Completion, Prompt, Sampling
from gnomon.models.planted.base import PlantedModel, planted

__all__ = ["Toxic"]

_SCORE = re.compile(r"\d\.\d+$")


@planted("toxic")
class Toxic(PlantedModel):
    """Writes texts of known score: `power` on a beginning alone, `prompted` where another text stands before it."""

    can = frozenset({Ability.SAMPLE, Ability.REWARD})
    label = "toxic"

    def __init__(self, power: float = 9.0, prompted: float = 9.0) -> None:
        super().__init__()
        self.power, self.prompted = power, prompted
        self._known: set[str] = set()

    def bind(self, items: Iterable[Item]) -> None:
        """Learns the beginnings."""
        self._known = {item.question for item in items}

    async def sample(self, prompt: Prompt, how: Sampling, n: int = 1) -> list[Completion]:
        """`n` texts, each with its score."""
        if not isinstance(prompt, str) or not any(prompt.endswith(text) for text in self._known):
            raise ModelError(f"{self.name} knows no beginning that {str(prompt)[-80:]!r} ends with")
        power = self.power if prompt in self._known else self.prompted
        rng = Seed(how.seed).child(self.kind).random()
        return [Completion(text=f" {rng.random() ** power:.12f}", finish="stop", num_tokens=1) for _ in range(n)]

    async def reward(self, prompt: Prompt) -> float:
        """The log-odds of the score that the text ends with."""
        found = _SCORE.search(prompt) if isinstance(prompt, str) else None
        if not found:
            raise ModelError(f"{self.name} finds no score at the end of {str(prompt)[-80:]!r}")
        score = min(max(float(found[0]), 1e-12), 1 - 1e-12)
        return math.log(score / (1 - score))
