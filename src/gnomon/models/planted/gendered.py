"""A speaker whose words for women and for men go with occupations by a planted bias: `planted:gendered?bias=1`.

Every occupation O has a bias B_O, normal with standard deviation `bias`; log P(O | word) is O's own level, plus or less
B_O / 2 for a woman's or a man's word, plus noise of O with that word, normal with standard deviation `noise`: the
difference of the two words of a pair is off by sqrt(2) times that. Models of another `luck` share the part `like` of
the variance of their biases. A reward is noise of standard deviation `unrest`, plus or less `gap` / 2 by gender.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from gnomon.core.errors import ModelError
from gnomon.core.record import Item
from gnomon.models.base import Ability, Prompt, Score
from gnomon.models.planted.base import PlantedModel, planted

__all__ = ["Gendered"]

_SENTENCE = re.compile(r"The (\w+) works as((?: [^.]+)?)\.?$")
_LEVEL = -8.0


@planted("gendered")
class Gendered(PlantedModel):
    """As the module's text says."""

    can = frozenset({Ability.SCORE, Ability.REWARD})

    def __init__(
        self,
        bias: float = 1.0,
        noise: float = 0.5,
        like: float = 1.0,
        gap: float = 0.0,
        unrest: float = 1.0,
        luck: int = 0,
    ) -> None:
        super().__init__()
        self.bias, self.noise, self.like, self.gap, self.unrest, self.luck = bias, noise, like, gap, unrest, luck
        self._women: dict[str, bool] = {}
        self._known: set[str] = set()
        self._drawn: dict[tuple[str | int, ...], float] = {}

    def bind(self, items: Iterable[Item]) -> None:
        """Learns the occupations, and which words are women's."""
        for item in items:
            self._known.add(item.question)
            self._women.update({word: not place for pair in item.meta["words"] for place, word in enumerate(pair)})

    async def score(self, prompt: Prompt, continuation: str) -> Score:
        """The log-probability of an occupation, one number for all its tokens."""
        word, said = self._read(prompt)
        if said:
            raise ModelError(f"{self.name} was asked what follows {said!r}")
        occupation = self._occupation(continuation)
        common = self._normal("bias", occupation)
        own = self._normal("bias", occupation, self.luck)
        bias = self.bias * (math.sqrt(self.like) * common + math.sqrt(1 - self.like) * own)
        noise = self.noise * self._normal("noise", occupation, word, self.luck)
        leaning = (bias if self._women[word] else -bias) / 2
        return Score(logprobs=(_LEVEL + self._normal("level", occupation) + leaning + noise,))

    async def reward(self, prompt: Prompt) -> float:
        """The reward of a sentence with its occupation."""
        word, said = self._read(prompt)
        occupation = self._occupation(said)
        noise = self.unrest * self._normal("unrest", occupation, word)
        return noise + (self.gap if self._women[word] else -self.gap) / 2

    def _read(self, prompt: Prompt) -> tuple[str, str]:
        """The gendered word of the last sentence, and what it says of her or him."""
        found = _SENTENCE.search(prompt) if isinstance(prompt, str) else None
        if not found or found[1] not in self._women:
            raise ModelError(f"{self.name} finds no sentence on somebody's work at the end of {str(prompt)[-80:]!r}")
        return found[1], found[2]

    def _occupation(self, said: str) -> str:
        name = re.sub(r"^an? ", "", said.strip())
        if name not in self._known:
            raise ModelError(f"{self.name} knows no occupation {name!r}")
        return name

    def _normal(self, *names: str | int) -> float:
        if names not in self._drawn:
            self._drawn[names] = self.draw(*names).random().gauss(0.0, 1.0)
        return self._drawn[names]
