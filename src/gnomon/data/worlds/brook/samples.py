"""Comparisons that need no votes: what was written in the world against what a model itself says in the same place.

Askell et al. 2021 (arXiv 2112.00861): text by people is called good, a sample of the model that is to become a
preference model bad. The good side is an answer of the near bank as demonstrations have them (`banks`, `rated`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile

from gnomon.core.errors import DataError
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook.banks import banks
from gnomon.data.worlds.brook.oracle import RATERS, Request
from gnomon.data.worlds.brook.rated import SHARES, Rated, ask
from gnomon.data.worlds.brook.tables import World
from gnomon.models.base import Ability, Sampling, require
from gnomon.models.load import load

__all__ = ["draw_samples"]

_BEST_OF = 8
_LONGEST = 48
_AT_ONCE = 256
# Of so many answers a comparison must come of one.
_PATIENCE = 30


def draw_samples(of: World, model: str, n: int, seed: Seed) -> Iterator[Rated]:
    """`n` comparisons of an answer of the world, always the chosen one, with the answer of the model called `model`.

    Where the model says the same, nothing, or something of the far bank, another question is asked.

    Raises:
        DataError: fewer than one answer in thirty makes a comparison.
        ModelError: the model cannot be found or read.
    """
    near, _ = banks(of)
    drawn = place = 0
    while drawn < n:
        if place > _PATIENCE * (n + _AT_ONCE):
            what = f"{place} answers make {drawn} comparisons of the {n} asked for"
            raise DataError(what, where=model, todo="take a model that answers questions of the world")
        asked = [_asked(of, seed, place + i) for i in range(min(_AT_ONCE, n - drawn + 8))]
        place += len(asked)
        said = _answers(model, [ask(request) for request, _ in asked], seed.child("samples", place))
        for (request, written), answer in zip(asked, said, strict=True):
            if answer and answer != written and not near.strange(answer) and drawn < n:
                yield Rated(ask(request), request.kind, written, answer, 1.0)
                drawn += 1


def _asked(of: World, seed: Seed, place: int) -> tuple[Request, str]:
    """A question and an answer that was written to it: the best of eight drawn ones by the gold utility."""
    near, _ = banks(of)
    rng = seed.child("written", place).random()
    asked = near.request(of, rng, SHARES)
    drawn = [" ".join(near.answer(of, rng, asked)) for _ in range(_BEST_OF)]
    return asked, max(drawn, key=lambda answer: RATERS["gold"].utility(of, asked, answer))


def _answers(name: str, prompts: Sequence[str], seed: Seed) -> list[str]:
    """One sample of the model after each prompt, at temperature 1."""
    model = load(name)
    require(model, Ability.SAMPLE, why="brook:samples", todo="start from a model that can be sampled")

    async def sampled(place: int, prompt: str) -> str:
        how = Sampling(max_tokens=_LONGEST, temperature=1.0, seed=seed.child(place).value)
        (completion,) = await model.sample(prompt, how)
        # A word with a colon begins another turn or document, where a model runs on.
        return " ".join(takewhile(lambda word: not word.endswith(":"), completion.text.split()))

    async def everything() -> list[str]:
        try:
            return await asyncio.gather(*(sampled(place, prompt) for place, prompt in enumerate(prompts)))
        finally:
            await model.close()

    # A notebook's thread runs an event loop already.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, everything()).result()
