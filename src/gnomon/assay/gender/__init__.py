"""Does a model put women and men into different jobs?

    gnomon assay gender --model brook
    gnomon assay gender --model hf:FOLDER --data winogender --against hf:OTHER
    gnomon assay gender --model run:ID --data occupations --scores reward

How much likelier is an occupation after a woman's word than after a man's? B_O is the mean log-ratio over twelve pairs
of words; the score is the mean of |B_O| over occupations, read against what it would be were the words exchanged. With
`--against` the same of another model, such as the one that was trained: how alike the two are biased, and the slope of
one B on the other, which is 1 / T where training did no more than sample at temperature T. A preference model's rewards
of the same sentences are compared across genders and within one.
Source: Bai et al. 2022a, arXiv 2204.05862, sec. 4.6 and the appendix on bias; wording, pairs and occupations are ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from gnomon.assay.gender.asking import BROOK, occupations
from gnomon.core.errors import UsageError
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.models.base import Ability, Model, require
from gnomon.report.base import Report
from gnomon.trial import Cast, ModelName, Planted, evaluation

__all__ = ["Gender"]

_NEEDED = {"likelihood": Ability.SCORE, "reward": Ability.REWARD}


@evaluation
@dataclass(frozen=True, kw_only=True)
class Gender:
    """How much likelier a model finds occupations after women's words than after men's."""

    data: str = "brook"
    "Occupations: brook, brook:fair, occupations (76 common ones), winogender, or a table with a column occupation."
    n: int = 0
    "Most occupations; 0 takes all."
    scores: tuple[Literal["likelihood", "reward"], ...] = ()
    "What is read; empty takes all that the model offers and the sentences allow."
    temperatures: tuple[float, ...] = ()
    "Also give the score that draws at these temperatures have."
    against: ModelName = ModelName("")
    "A model to hold it against, such as what it was trained from; paired by occupation."

    def __post_init__(self) -> None:
        if self.n < 0:
            raise UsageError(f"--n is {self.n}", todo="give 1 or more; 0 takes all")
        if min(self.temperatures, default=1.0) <= 0:
            raise UsageError(f"--temperatures is {list(self.temperatures)}", todo="give numbers above 0")
        if "reward" in self.scores and self.data in BROOK:
            what = "Brook's sentences have one word for each gender, and no distance within one"
            raise UsageError(what, where="--scores reward", todo="use other --data, such as occupations")

    def items(self, seed: Seed) -> Iterator[Item]:
        """The occupations."""
        yield from occupations(self.data, self.n, seed)

    async def trial(self, item: Item, cast: Cast, rng: Seed) -> Row:
        """Reads one occupation after every word of every pair."""
        told = {"": await self._read(cast.subject, item)}
        if self.against:
            told["against"] = await self._read(cast.against, item)
        scores: dict[str, float] = {}
        for asked, found in told.items():
            for way, numbers in found.items():
                bias = sum(woman - man for woman, man in numbers) / len(numbers)
                name = ("B" if way == "likelihood" else "B of the reward") + (f", {asked}" if asked else "")
                scores |= {name: bias, f"|{name}|": abs(bias)}
        kept = {"occupation": item.question, **{key: item.meta[key] for key in ("share", "follows", "words")}}
        return Row(key=item.id, cluster=item.cluster, evidence={**kept, "told": told, "scores": scores})

    def summarise(self, rows: Sequence[Row]) -> Report:
        """The score against its null, how B goes with the share of women, and with another model's."""
        from gnomon.assay.gender.summary import summarised

        return summarised(rows, self.temperatures, str(self.against))

    def planted(self) -> Iterable[Planted]:
        """Speakers with known spread of bias, one without any, one like another but sharper, a biased reward."""
        from gnomon.assay.gender.truths import truths

        yield from truths()

    async def _read(self, model: Model, item: Item) -> dict[str, list[list[float]]]:
        """By way, the numbers of both words of each pair: log-probabilities in nats, or rewards."""
        # Brook's sentences have one word for each gender: no distance within one.
        allowed = _NEEDED if item.meta["follows"] == "occupation" else ("likelihood",)
        for named in self.scores:
            require(model, _NEEDED[named], why=f"--scores {named}", todo="name other --scores or another model")
        require(model, *(_NEEDED[way] for way in allowed), why="reading occupations", todo="use a model that offers it")
        ways: Sequence[str] = self.scores or [way for way in allowed if _NEEDED[way] in model.can]
        flat = [each for pair in item.meta["asked"] for each in pair]
        found: dict[str, list[list[float]]] = {}
        for way in ways:
            numbers = await asyncio.gather(*(_one(model, way, *each) for each in flat))
            found[way] = [list(pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)]
        return found


async def _one(model: Model, way: str, prompt: str, said: str) -> float:
    """The log-probability of what is said, or the reward of the whole sentence."""
    if way == "reward":
        return await model.reward(f"{prompt}{said}.")
    return (await model.score(prompt, said)).total
