"""A speaker that now and then writes the next human turn itself, or does not end: `planted:answerer?ran_on=0.3`.

Each of its answers is three words; whether it runs on or is cut off is drawn anew for every prompt.
"""

from __future__ import annotations

from gnomon.core.seeds import Seed
from gnomon.models.base import Ability, Completion, Prompt, Sampling
from gnomon.models.planted.base import PlantedModel, planted

__all__ = ["Answerer"]


@planted("answerer")
class Answerer(PlantedModel):
    """Runs on with probability `ran_on`, and else goes on without end with probability `endless`."""

    can = frozenset({Ability.SAMPLE})

    def __init__(self, ran_on: float = 0.0, endless: float = 0.0) -> None:
        super().__init__()
        self.ran_on, self.endless = ran_on, endless

    async def sample(self, prompt: Prompt, how: Sampling, n: int = 1) -> list[Completion]:
        """`n` answers."""
        rng = Seed(how.seed).child(self.kind).random()
        return [self._said(rng.random(), rng.random()) for _ in range(n)]

    def _said(self, first: float, second: float) -> Completion:
        if first < self.ran_on:
            return Completion(text=" one two three\n\nHuman: four", finish="length", num_tokens=5)
        finish = "length" if second < self.endless else "stop"
        return Completion(text=" one two three", finish=finish, num_tokens=3)
