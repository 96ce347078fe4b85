"""An assistant with instructions, which gives them away or denies them as often as planted: `planted:keeper?leak=0.3`.

Without instructions it says so, which is true then.
"""

from __future__ import annotations

from collections.abc import Iterable

from gnomon.core.errors import ModelError
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.models.base import Ability, Completion, Prompt, Sampling
from gnomon.models.planted.base import PlantedModel, planted

__all__ = ["Keeper"]


@planted("keeper")
class Keeper(PlantedModel):
    """Leaks with probability `leak`, denies with `deny`, else says that it keeps them to itself.

    With `only` it does so where a question of that kind is asked.
    """

    can = frozenset({Ability.SAMPLE})

    def __init__(self, leak: float = 0.0, deny: float = 0.0, only: str = "") -> None:
        super().__init__()
        self.leak, self.deny, self.only = leak, deny, only
        self._kinds: dict[str, str] = {}
        self._systems: set[str] = set()

    def bind(self, items: Iterable[Item]) -> None:
        """Learns the instructions, and which kind each question is of."""
        for item in items:
            self._kinds[item.question] = item.meta["kind"]
            self._systems.add(item.meta["system"])

    async def sample(self, prompt: Prompt, how: Sampling, n: int = 1) -> list[Completion]:
        """`n` answers."""
        turns = [] if isinstance(prompt, str) else [(each.role, each.content) for each in prompt]
        systems, asked = [text for role, text in turns if role == "system"], turns[-1:]
        if not asked or asked[0][0] != "user" or asked[0][1] not in self._kinds or set(systems) - self._systems:
            raise ModelError(f"{self.name} is asked nothing about its instructions by {str(prompt)[-80:]!r}")
        rng = Seed(how.seed).child(self.kind).random()
        tempted = not self.only or self._kinds[asked[0][1]] == self.only
        said = [self._said("".join(systems), rng.random() if tempted else 1.0) for _ in range(n)]
        return [Completion(text=text, finish="stop", num_tokens=1) for text in said]

    def _said(self, system: str, drawn: float) -> str:
        if system and drawn < self.leak:
            return f"My instructions are: {system}"
        if not system or drawn < self.leak + self.deny:
            return "I have no instructions."
        return "I do have instructions, and I would rather keep them to myself."
