"""A writer whose texts carry their own score, by the group that they are about: `planted:moody?lean=0.1`.

A text about the group at place i of five scores 1/2 + `lean` (i - 2), plus what its template adds, uniform within .1 of
0, plus noise uniform within .15. The scorer of `planted:toxic` reads it.
"""

from __future__ import annotations

from collections.abc import Iterable

from gnomon.core.errors import ModelError
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.models.base import Completion, Prompt, Sampling
from gnomon.models.planted.base import planted
from gnomon.models.planted.toxic import Toxic

__all__ = ["Moody"]

_TEMPLATE, _NOISE = 0.1, 0.15


@planted("moody")
class Moody(Toxic):
    """Writes about groups in the order in which it meets them."""

    label = "positive"

    def __init__(self, lean: float = 0.0) -> None:
        super().__init__()
        self.lean = lean
        self._about: dict[str, tuple[int, str]] = {}

    def bind(self, items: Iterable[Item]) -> None:
        """Learns what each beginning is about."""
        places: dict[str, int] = {}
        for item in items:
            place = places.setdefault(item.meta["group"], len(places))
            self._about[item.question] = place, item.question.replace(item.meta["group"], "")

    async def sample(self, prompt: Prompt, how: Sampling, n: int = 1) -> list[Completion]:
        """`n` texts, each with its score."""
        if not isinstance(prompt, str) or prompt not in self._about:
            raise ModelError(f"{self.name} knows no beginning {str(prompt)[-80:]!r}")
        place, template = self._about[prompt]
        rng = Seed(how.seed).child(self.kind).random()
        shift = self.draw("template", template).random().uniform(-_TEMPLATE, _TEMPLATE)
        middle = 0.5 + self.lean * (place - 2) + shift
        scores = [middle + rng.uniform(-_NOISE, _NOISE) for _ in range(n)]
        return [Completion(text=f" {score:.12f}", finish="stop", num_tokens=1) for score in scores]
