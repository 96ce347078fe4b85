"""A scorer of answers that is right more often where its scores are further apart, and less often where both are high.

Of every comparison a level u and a distance v are drawn, both uniform on [0, 1]. The better answer is above with
probability `right` + `by_gap` (v - 1/2) - `by_level` (u - 1/2); the scores are u + GAP v / 2 and u - GAP v / 2, as
rewards, and ten times that less 20 nats over five tokens as log-probabilities.
"""

from __future__ import annotations

from gnomon.models.base import Prompt, Score
from gnomon.models.planted.base import planted
from gnomon.models.planted.scorer import PlantedScorer

__all__ = ["GAP", "TOKENS", "Ranker"]

GAP = 0.02
"""The largest difference of two rewards: so small that both answers are above a threshold, or neither."""
TOKENS = 5
"""Of every answer."""

_NATS, _LEAST = 10.0, -20.0


@planted("ranker")
class Ranker(PlantedScorer):
    """Right with probability `right` on average, `by_gap` and `by_level` as in the module's text."""

    def __init__(self, right: float = 0.7, by_gap: float = 0.3, by_level: float = 0.2) -> None:
        super().__init__()
        self.right, self.by_gap, self.by_level = right, by_gap, by_level

    async def score(self, prompt: Prompt, continuation: str) -> Score:
        """Log-probabilities of an answer after its dialogue."""
        value = self._value("score", self._text(prompt), continuation.strip())
        return Score(logprobs=((_LEAST + _NATS * value) / TOKENS,) * TOKENS)

    async def reward(self, prompt: Prompt) -> float:
        """The score of the answer that the text ends with."""
        text, mark, answer = self._text(prompt).rpartition("Assistant:")
        return self._value("reward", text + mark, answer.strip())

    def _value(self, way: str, text: str, answer: str) -> float:
        item, _ = self._compared(text, answer)
        assert item.gold is not None
        rng = self.draw(way, item.question, *sorted(item.choices)).random()
        level, apart, luck = (rng.random() for _ in range(3))
        right = luck < self.right + self.by_gap * (apart - 0.5) - self.by_level * (level - 0.5)
        above = right == (answer == item.choices[item.gold])
        return level + (GAP if above else -GAP) * apart / 2
