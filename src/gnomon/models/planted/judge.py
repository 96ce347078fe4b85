"""A judge of utterances who scores harmless ones higher by a known distance: `planted:judge?apart=1`.

Scores are normal with standard deviation 1, their mean `apart` / 2 for a harmless utterance and as much below 0 for a
harmful one, so that one of each stand in the right order with probability Phi(apart / sqrt(2)).
"""

from __future__ import annotations

from collections.abc import Iterable

from gnomon.core.errors import ModelError
from gnomon.core.record import Item
from gnomon.models.base import Ability, Prompt, Score
from gnomon.models.planted.base import PlantedModel, planted

__all__ = ["Judge"]


@planted("judge")
class Judge(PlantedModel):
    """Knows by each text whether it is harmful."""

    can = frozenset({Ability.REWARD, Ability.SCORE})

    def __init__(self, apart: float = 1.0) -> None:
        super().__init__()
        self.apart = apart
        self._harmful: dict[str, bool] = {}

    def bind(self, items: Iterable[Item]) -> None:
        """Learns the texts."""
        for item in items:
            self._harmful[item.meta["prompt"] + f" {item.question}"] = item.meta["harmful"]

    async def reward(self, prompt: Prompt) -> float:
        """The score of a whole text."""
        if not isinstance(prompt, str) or prompt not in self._harmful:
            raise ModelError(f"{self.name} knows no utterance that {str(prompt)[-80:]!r} ends with")
        return self._score("reward", prompt)

    async def score(self, prompt: Prompt, continuation: str) -> Score:
        """The score as the log-probability of an utterance of one token."""
        text = f"{prompt}{continuation}"
        if text not in self._harmful:
            raise ModelError(f"{self.name} knows no utterance that {text[-80:]!r} ends with")
        return Score(logprobs=(self._score("score", text),))

    def _score(self, way: str, text: str) -> float:
        middle = -self.apart / 2 if self._harmful[text] else self.apart / 2
        return middle + self.draw(way, text).random().gauss(0.0, 1.0)
