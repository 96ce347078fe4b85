"""A writer of prompts, some of which cannot be used: `planted:writer?cut=0.1&foreign=0.1`.

It reads the prompts that it is shown, and fails where it is shown none. What it writes when nothing is wrong is about a
number drawn anew, so that no two of its prompts are alike.
"""

from __future__ import annotations

import random
import re

from gnomon.core.errors import ModelError
from gnomon.core.seeds import Seed
from gnomon.models.base import Ability, Completion, Prompt, Sampling
from gnomon.models.planted.base import PlantedModel, planted

__all__ = ["Writer"]

_SHOWN = re.compile(r"\n\nHuman: (.+?)(?=\n\nHuman:)", re.S)
_FOREIGN = "Как мне починить часы номер {} дома?"
_PLAIN = "How do I mend clock {a} {b} in {c} {d}?"


@planted("writer")
class Writer(PlantedModel):
    """Writes prompts that are copied, cut, too long or foreign with the probabilities of these names."""

    can = frozenset({Ability.SAMPLE})

    def __init__(self, copied: float = 0.0, cut: float = 0.0, length: float = 0.0, language: float = 0.0) -> None:
        super().__init__()
        self._faults = {"copied": copied, "cut": cut, "length": length, "language": language}

    async def sample(self, prompt: Prompt, how: Sampling, n: int = 1) -> list[Completion]:
        """`n` prompts that follow those shown."""
        shown = _SHOWN.findall(prompt) if isinstance(prompt, str) else []
        if not shown:
            raise ModelError(f"{self.name} is shown no prompts", todo="show some, one below the other")
        rng = Seed(how.seed).child(self.kind).random()
        return [self._written(rng, shown) for _ in range(n)]

    def _written(self, rng: random.Random, shown: list[str]) -> Completion:
        left = rng.random()
        fault = ""
        for name, share in self._faults.items():
            if 0 <= left < share:
                fault = name
            left -= share
        numbers = [rng.randrange(10**6) for _ in range(4)]
        plain = _PLAIN.format(**dict(zip("abcd", numbers, strict=True)))
        text = {
            "copied": rng.choice(shown),
            "length": " ".join([plain] * 20),
            "language": _FOREIGN.format(numbers[0]),
        }.get(fault, plain)
        return Completion(text=f" {text}", finish="length" if fault == "cut" else "stop", num_tokens=len(text.split()))
