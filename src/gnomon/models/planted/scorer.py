"""A scorer of answers that prefers the better of two with a known probability, by each way of scoring by its own.

Of every comparison it is drawn whether the better answer wins by the summed log-probability, by the mean a token, and
by the reward. With `common` an answer's log-probability carries how common the answer is, far more than what was asked:
then only the difference to the answer's own log-probability still finds the better one.
"""

from __future__ import annotations

from collections.abc import Iterable

from gnomon.core.errors import ModelError
from gnomon.core.record import Item
from gnomon.models.base import Ability, Prompt, Score
from gnomon.models.planted.base import PlantedModel, planted

__all__ = ["PlantedScorer"]

# A winner's and a loser's log-probability, and numbers of tokens that decide the mean whatever the sum is.
_SUMS, _TOKENS, _ALONE, _COMMON = (-10.0, -12.0), (20, 5), -11.0, 100.0
_MARKS = ("Human:", "Assistant:")


@planted("scorer")
class PlantedScorer(PlantedModel):
    """Prefers the better of two answers with probability `sum`, `mean` or `reward`, each `gain` more after a prompt."""

    can = frozenset({Ability.SCORE, Ability.REWARD})

    def __init__(
        self, sum: float = 0.7, mean: float = 0.6, reward: float = 0.8, gain: float = 0.0, common: float = 0.0
    ) -> None:
        super().__init__()
        self.wins = {"sum": sum, "mean": mean, "reward": reward}
        self.gain, self.common = gain, common
        self._by_answer: dict[tuple[str, str], Item] = {}

    def bind(self, items: Iterable[Item]) -> None:
        """Learns which comparison each answer to a question belongs to."""
        for item in items:
            self._by_answer.update({(item.question.strip(), answer.strip()): item for answer in item.choices})

    async def score(self, prompt: Prompt, continuation: str) -> Score:
        """Log-probabilities of an answer after a dialogue, or after a bare mark of the answer's turn."""
        text, answer = self._text(prompt), continuation.strip()
        alone = _ALONE - self.common * _COMMON * self.draw("common", answer).random().random()
        if _MARKS[0] not in text:
            return Score(logprobs=(alone,))
        item, before = self._compared(text, answer)
        total = _SUMS[not self._wins("sum", item, answer, before)] + alone - _ALONE
        tokens = _TOKENS[not self._wins("mean", item, answer, before)]
        return Score(logprobs=(total / tokens,) * tokens)

    async def reward(self, prompt: Prompt) -> float:
        """1 for the answer that wins, -1 for the other."""
        text, _, answer = self._text(prompt).rpartition(_MARKS[1])
        item, before = self._compared(f"{text}{_MARKS[1]}", answer.strip())
        return 1.0 if self._wins("reward", item, answer.strip(), before) else -1.0

    def _wins(self, way: str, item: Item, answer: str, before: bool) -> bool:
        """Whether `answer` wins its comparison; one draw serves both answers, with and without a prompt."""
        assert item.gold is not None
        u = self.draw(way, item.question, *sorted(item.choices)).random().random()
        right = u < self.wins[way] + self.gain * before
        return right == (answer == item.choices[item.gold])

    def _compared(self, text: str, answer: str) -> tuple[Item, bool]:
        """The comparison that `answer` belongs to, and whether dialogues stand before its own."""
        asked = text.strip().removesuffix(_MARKS[1]).strip()
        pieces = asked.split(_MARKS[0])
        for start in range(len(pieces) - 1, 0, -1):
            item = self._by_answer.get((_MARKS[0].join(pieces[start:]).strip(), answer))
            if item:
                return item, start > 1
        raise ModelError(f"{self.name} knows no comparison that asks {pieces[-1].strip()[:80]!r} and has this answer")

    def _text(self, prompt: Prompt) -> str:
        if not isinstance(prompt, str):
            raise ModelError(f"{self.name} reads dialogues as text, not as messages")
        return prompt
