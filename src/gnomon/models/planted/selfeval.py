"""A responder that grades its own answers with a known likelihood ratio, better when it sees other samples.

A sampled answer is right with probability 1/2. Its verdict rests on one normal observation x with mean +d/2 for a right
and -d/2 for a wrong answer and unit variance, so P(True) = sigmoid(d x), AUROC = Phi(d / sqrt 2), and answers with
P(True) above one half are right with probability Phi(d / 2). d is `single` without comparison samples, `compared` with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gnomon.core.errors import ModelError
from gnomon.core.seeds import Seed
from gnomon.models.base import Choice, Completion, Prompt, Sampling
from gnomon.models.planted.base import PlantedModel, planted

__all__ = ["SelfEval"]

_WRONG = ("never", "nothing", "nowhere", "nobody")


@planted("selfeval")
class SelfEval(PlantedModel):
    """Answers right half of the time, and knows it to the degree that `single` and `compared` say."""

    def __init__(self, single: float = 1.0, compared: float = 2.0) -> None:
        super().__init__()
        self.single, self.compared = single, compared

    async def sample(self, prompt: Prompt, how: Sampling, n: int = 1) -> list[Completion]:
        """The first accepted answer or a wrong word, with equal probability."""
        asked, item = self.find(prompt)
        if asked.form != "open":
            raise ModelError(f"{self.name} samples answers to open questions, not a {asked.form} prompt")
        rng = Seed(how.seed).child("selfeval", item.question).random()
        texts = [item.answers[0] if rng.random() < 0.5 else rng.choice(_WRONG) for _ in range(n)]
        return [Completion(text=f" {text}", finish="stop", num_tokens=1, logprob=math.log(0.5)) for text in texts]

    async def choose(self, prompt: Prompt, options: Sequence[str]) -> Choice:
        """P(True), P(False) of the proposed answer."""
        asked, item = self.find(prompt)
        if asked.form != "verdict":
            raise ModelError(f"{self.name} gives verdicts only, not a {asked.form} prompt")
        d = self.compared if asked.ideas else self.single
        right = asked.proposed in item.answers
        rng = self.draw(item.question, asked.proposed, len(asked.ideas)).random()
        x = rng.gauss(d / 2 if right else -d / 2, 1.0)
        p_true = 1 / (1 + math.exp(-d * x))
        order = asked.texts(options)
        if sorted(order) != ["False", "True"]:
            raise ModelError(f"{self.name} was offered {list(options)}, not True and False")
        p = tuple(p_true if text == "True" else 1 - p_true for text in order)
        return Choice(p=p, mass=0.99, readout="exact", low=p, high=p)
