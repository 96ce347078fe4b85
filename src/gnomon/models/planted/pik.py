"""A responder whose body knows how often it is right.

A question has a latent z ~ N(0, 1.5); a sampled answer is right with probability sigmoid(z). The hidden state of its
last token is [z + noise, independent normals], so the best head's AUROC has a closed form. It has a `net` and a
`tokenizer` as local models do: the same training code is tested on it.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.models.base import Ability, Completion, Prompt, Sampling
from gnomon.models.planted.base import PlantedModel, planted

__all__ = ["SPREAD", "Pik", "feature"]

SPREAD = 1.5
WIDTH = 4
# As long as a hidden state of some hundred entries of unit size: a head is trained in steps that suit those.
LENGTH = 8.0
_WRONG = ("never", "nothing", "nowhere", "nobody")


@planted("pik")
class Pik(PlantedModel):
    """Right with probability sigmoid(z), with z visible in its hidden state up to `noise` (inf hides it)."""

    can = frozenset({Ability.SAMPLE, Ability.ACTIVATIONS})

    def __init__(self, noise: float = 0.5) -> None:
        super().__init__()
        self.noise = noise
        self._numbers: dict[str, int] = {}
        self._features: list[list[float]] = []
        self._scorer: Any = None

    async def sample(self, prompt: Prompt, how: Sampling, n: int = 1) -> list[Completion]:
        """Right or wrong words; greedy gives the likelier of the two."""
        _, item = self.find(prompt)
        p = 1 / (1 + math.exp(-self.latent(item)))
        rng = Seed(how.seed).child("pik", item.question).random()
        found = []
        for _ in range(n):
            right = rng.random() < p if how.temperature else p > 0.5
            text = item.answers[0] if right else rng.choice(_WRONG)
            found.append(Completion(text=f" {text}", finish="stop", num_tokens=1, logprob=math.log(max(p, 1 - p))))
        return found

    def latent(self, item: Item) -> float:
        """The log-odds of a right answer."""
        return self.draw("latent", item.question).random().gauss(0, SPREAD)

    async def reward(self, prompt: Prompt) -> float:
        """The attached head's value."""
        p = float(self._scorer.probabilities([self._encode(prompt)])[0])
        return math.log(p / (1 - p))

    def with_head(self, scorer: Any) -> Pik:
        """This model with a trained head."""
        self._scorer, self.can = scorer, self.can | {Ability.REWARD}
        return self

    @property
    def tokenizer(self) -> Any:
        """Encodes a prompt as one token, the number of its question."""
        return SimpleNamespace(encode_prompt=self._encode)

    @property
    def net(self) -> Any:
        """A body whose hidden states are planted."""
        from gnomon.models.planted._body import PlantedBody

        return PlantedBody(self._features)

    def _encode(self, prompt: Prompt) -> list[int]:
        _, item = self.find(prompt)
        number = self._numbers.setdefault(item.question, len(self._numbers))
        if number == len(self._features):
            self._features.append(feature(self, item.question))
        return [number]


def feature(model: Pik, question: str) -> list[float]:
    """The hidden state of a question's last token, [WIDTH]."""
    rng = model.draw("feature", question).random()
    z = model.draw("latent", question).random().gauss(0, SPREAD)
    rest = [rng.gauss(0, 1) for _ in range(WIDTH - 1)]
    seen = rng.gauss(0, SPREAD) if math.isinf(model.noise) else z + model.noise * rng.gauss(0, 1)
    return [LENGTH * value for value in (seen, *rest)]
