"""Programmers who are right as often as is planted: `planted:programmer`, `talented?a=1&b=2`, `hasty`, `swayed`.

Their items carry the right completion and wrong ones of each prompt, and the chance of the right one.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from gnomon.core.errors import ModelError
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.models.base import Ability, Completion, Prompt, Sampling
from gnomon.models.planted.base import PlantedModel, planted

__all__ = ["Hasty", "Programmer", "Swayed", "Talented"]

# At the planted temperatures below, `Hasty` knows half of the problems cold and tries its luck hot.
COLD, HOT = 0.2, 0.8
HOT_CHANCE = 0.3


@planted("programmer")
class Programmer(PlantedModel):
    """Right with the chance that the item plants, times `know`, in each sample apart.

    Right samples have mean log-probability -1 and wrong ones -1 - `gap`, each plus a standard normal draw.
    """

    can = frozenset({Ability.SAMPLE})

    def __init__(self, know: float = 1.0, gap: float = 1.0) -> None:
        super().__init__()
        self.know, self.gap = know, gap
        self._asked: dict[str, Item] = {}

    def bind(self, items: Iterable[Item]) -> None:
        """Learns the item of each prompt."""
        for item in items:
            self._asked.setdefault(item.meta["prompt"], item)

    async def sample(self, prompt: Prompt, how: Sampling, n: int = 1) -> list[Completion]:
        """`n` completions, each right or wrong by its own draw; ModelError for a prompt that no item has."""
        text = prompt if isinstance(prompt, str) else prompt[-1].content
        item = self._asked.get(text)
        if item is None:
            raise ModelError(f"{self.name} knows no problem that asks {text[-80:]!r}")
        rng = Seed(how.seed).child(self.kind, item.cluster).random()
        return [self._completion(item, how, rng) for _ in range(n)]

    def chance(self, item: Item, how: Sampling) -> float:
        """The chance that a sample is right."""
        return self.know * float(item.meta["chance"])

    def _completion(self, item: Item, how: Sampling, rng: random.Random) -> Completion:
        right = rng.random() < self.chance(item, how)
        text = item.meta["right"] if right else rng.choice(item.meta["wrong"])
        count = len(text.split())
        mean = -1.0 - self.gap * (not right) + rng.gauss(0.0, 1.0)
        return Completion(text=text, finish="stop", num_tokens=count, logprob=mean * count)


@planted("talented")
class Talented(Programmer):
    """Right with a chance that is drawn for each problem from a Beta distribution, so that pass@k has a closed form."""

    def __init__(self, a: float = 1.0, b: float = 2.0) -> None:
        super().__init__()
        self.a, self.b = a, b

    def chance(self, item: Item, how: Sampling) -> float:
        """The problem's own draw; another run's problems have others."""
        return Seed(how.seed).child(self.kind, "chance", item.cluster).random().betavariate(self.a, self.b)


@planted("hasty")
class Hasty(Programmer):
    """Cold, at most T = 0.2, it writes one program a problem, right for half of them; hot, every sample is right with
    chance 0.3. So one try is best cold and ten are best hot.
    """

    def chance(self, item: Item, how: Sampling) -> float:
        """1 or 0 by the problem when cold, 0.3 when hot."""
        if how.temperature <= COLD:
            return float(self.draw(item.cluster).random().random() < 0.5)
        return HOT_CHANCE


@planted("swayed")
class Swayed(Programmer):
    """Loses the share `drop` of its pass rate behind faulty solutions, whatever else is asked."""

    def __init__(self, drop: float = 0.5) -> None:
        super().__init__()
        self.drop = drop

    def chance(self, item: Item, how: Sampling) -> float:
        """The planted chance, less `drop` of it behind faults."""
        planted_chance = super().chance(item, how)
        return planted_chance * (1 - self.drop) if item.meta["context"] == "faulty" else planted_chance
