"""Responders whose calibration is known: stated probability s, and right with probability sigmoid(a + b logit s).

The item fixes which option is right before the model is asked, so the model draws whether it is right and puts its
largest probability accordingly: P(right | s) is then exact whatever the item.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gnomon.core.errors import ModelError
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.models.base import Choice, Prompt
from gnomon.models.planted.base import PlantedModel, planted
from gnomon.models.planted.reading import Asked

__all__ = ["RANGE", "VERDICT_RANGE", "AvoidsNone", "Calibrated", "PermutedLetters", "chance_right"]

# Stated probability of the top option of a lettered question, and of True in a verdict: uniform in these ranges.
RANGE, VERDICT_RANGE = (0.3, 0.97), (0.02, 0.98)
NONE = "none of the above"


def chance_right(stated: float, a: float, b: float) -> float:
    """sigmoid(a + b logit stated)."""
    return 1 / (1 + math.exp(-(a + b * math.log(stated / (1 - stated)))))


@planted("calibrated")
class Calibrated(PlantedModel):
    """Right with probability sigmoid(a + b logit s) when its top option has probability s; the rest share 1 - s.

    With `t` above 1 the calibrated probabilities are raised to that power, which a temperature of `t` undoes.
    """

    def __init__(self, a: float = 0.0, b: float = 1.0, t: float = 1.0) -> None:
        super().__init__()
        self.a, self.b, self.t = a, b, t

    async def choose(self, prompt: Prompt, options: Sequence[str]) -> Choice:
        """Probabilities of letters or option texts as the prompt shows them."""
        asked, item = self.find(prompt, options)
        p = self.judged(asked, item, options) if asked.form == "verdict" else self.shown(asked, item, options)
        return Choice(p=tuple(p), mass=0.98, readout="exact", low=tuple(p), high=tuple(p))

    def shown(self, asked: Asked, item: Item, options: Sequence[str]) -> list[float]:
        """Probabilities in the order of `options`, found through the letters and texts of the prompt."""
        try:
            places = [item.choices.index(text) for text in asked.texts(options)]
        except ValueError:
            raise ModelError(f"{self.name} was offered {list(options)}, which item {item.id} does not have") from None
        stated = self.stated(item)
        weights = [stated[i] ** self.t for i in places]
        return [w / sum(weights) for w in weights]

    def stated(self, item: Item) -> list[float]:
        """The item's probabilities before sharpening, in the item's order."""
        count, gold = len(item.choices), item.gold
        if gold is None:
            raise ModelError(f"{self.name} needs the right option of item {item.id}")
        rng = self.draw(item.question, *item.choices).random()
        s = rng.uniform(max(RANGE[0], 1 / count + 0.02), RANGE[1])
        right = rng.random() < chance_right(s, self.a, self.b)
        top = gold if right else rng.choice([i for i in range(count) if i != gold])
        top = self.moved(item, top, rng.random())
        return [s if i == top else (1 - s) / (count - 1) for i in range(count)]

    def moved(self, item: Item, top: int, u: float) -> int:
        """Where the top option ends up; a hook for responders that avoid some options. `u` is uniform in [0, 1)."""
        return top

    def judged(self, asked: Asked, item: Item, options: Sequence[str]) -> list[float]:
        """P(True) and P(False) in the order of `options`, found through the letters of the prompt."""
        texts = asked.texts(options)
        if sorted(texts) != ["False", "True"]:
            raise ModelError(f"{self.name} was offered {list(options)}, not True and False")
        p_true = self.verdict(asked, item)
        return [p_true if text == "True" else 1 - p_true for text in texts]

    def verdict(self, asked: Asked, item: Item) -> float:
        """P(True): P(the answer is right | P(True) = s) = sigmoid(b logit s)."""
        if self.a:
            raise ModelError(f"{self.name} plants no verdicts: a base rate of one half needs a=0")
        right = asked.proposed == item.choices[item.gold or 0] if item.choices else asked.proposed in item.answers
        rng = self.draw(item.question, "verdict", asked.proposed).random()
        while True:
            s = rng.uniform(*VERDICT_RANGE)
            if (rng.random() < chance_right(s, 0.0, self.b)) == right:
                return s


@planted("permuted-letters")
class PermutedLetters(Calibrated):
    """A calibrated responder that adds `prior` times the option's place (0, 1, ..) to its log-probability."""

    def __init__(self, prior: float = 1.0) -> None:
        super().__init__()
        self.prior = prior

    def shown(self, asked: Asked, item: Item, options: Sequence[str]) -> list[float]:
        """Probabilities with the preference for later places."""
        fair = super().shown(asked, item, options)
        weights = [p * math.exp(self.prior * place) for place, p in enumerate(fair)]
        return [w / sum(weights) for w in weights]


@planted("avoids-none")
class AvoidsNone(Calibrated):
    """A calibrated responder that takes "none of the above" as its top option only with probability `keep`."""

    def __init__(self, keep: float = 0.4) -> None:
        super().__init__()
        self.keep = keep

    def moved(self, item: Item, top: int, u: float) -> int:
        """Another option in place of "none of the above", but for the share it keeps."""
        if item.choices[top] != NONE or u < self.keep:
            return top
        others = [i for i in range(len(item.choices)) if i != top]
        return Seed(0).child("avoids-none", item.id).random().choice(others)
