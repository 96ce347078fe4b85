"""Who says what functions do, and writes what docstrings say: `planted:describer?know=0.7`.

Its items carry the right docstring of each function, a wrong one, and the program for each.
"""

from __future__ import annotations

from collections.abc import Iterable

from gnomon.core.errors import ModelError
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.models.base import Ability, Completion, Prompt, Sampling
from gnomon.models.planted.base import PlantedModel, planted

__all__ = ["Describer"]


@planted("describer")
class Describer(PlantedModel):
    """Right about a function with chance `know`, each time apart; from a docstring it writes what that asks."""

    can = frozenset({Ability.SAMPLE})

    def __init__(self, know: float = 1.0) -> None:
        super().__init__()
        self.know = know
        self._described: dict[str, Item] = {}
        self._programs: dict[str, str] = {}

    def bind(self, items: Iterable[Item]) -> None:
        """Learns the items, and the program behind each prompt that a docstring makes."""
        for item in items:
            self._described[item.meta["prompt"]] = item
            self._programs |= item.meta["programs"]

    async def sample(self, prompt: Prompt, how: Sampling, n: int = 1) -> list[Completion]:
        """`n` docstrings of a function, or the program of a docstring; ModelError for a prompt that no item has."""
        text = str(prompt)
        if text in self._programs:
            return [_said(self._programs[text])] * n
        item = self._described.get(text)
        if item is None:
            raise ModelError(f"{self.name} knows no function and no docstring in {text[-80:]!r}")
        rng = Seed(how.seed).child(self.kind, item.cluster).random()
        return [_said(item.meta["right" if rng.random() < self.know else "wrong"]) for _ in range(n)]


def _said(text: str) -> Completion:
    return Completion(text=text, finish="stop", num_tokens=len(text.split()))
