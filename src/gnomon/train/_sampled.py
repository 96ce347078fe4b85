"""Answers of a prompted model, to be learnt by heart: drawn once, kept in the run's folder."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gnomon.core.seeds import Seed
from gnomon.data.assistants import stops
from gnomon.data.exercises import Exercise
from gnomon.learn.loop import one_thread_if_small
from gnomon.learn.texts import Encoded, encode
from gnomon.models.base import Sampling
from gnomon.models.local import LocalModel
from gnomon.models.transformer import Transformer
from gnomon.store.files import replace_file
from gnomon.train._fitting import Start, end_of

__all__ = ["Sampled", "draw"]

_FILE = "samples.jsonl"
_MOST_TOKENS = 128


class Sampled(NamedTuple):
    """What was drawn.

    Attributes:
        texts: questions with their sampled answers; empty answers are left out.
        num_ran_on: answers that went on into another turn, which was taken off.
    """

    texts: list[Encoded]
    num_ran_on: int


def draw(
    net: Transformer, start: Start, before: str, exercises: Sequence[Exercise], *, seed: int, folder: Path
) -> Sampled:
    """An answer of `net` behind the prompt to each question; found again in `folder` where it was drawn before.

    Args:
        before: the prompt as it stands before a question.
        exercises: whose questions are asked; the student learns the answers behind the questions alone.
    """
    path = folder / _FILE
    if not path.exists():
        found = asyncio.run(_drawn(net, start, before, exercises, seed))
        replace_file(path, "".join(json.dumps(each) + "\n" for each in found))
    said = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = [(e.asks, f" {s['text']}") for e, s in zip(exercises, said, strict=True) if s["text"]]
    end, _ = end_of(start.tokenizer, context=False)
    return Sampled(encode(start.tokenizer, pairs, end=end), sum(s["ran_on"] for s in said))


async def _drawn(
    net: Transformer, start: Start, before: str, exercises: Sequence[Exercise], seed: int
) -> list[dict[str, str | bool]]:
    dialect = "plain" if exercises[0].asks.startswith("\n") else "brook"
    marks = stops(dialect)
    model = LocalModel(net, start.tokenizer, name="teacher")

    async def answer(exercise: Exercise) -> dict[str, str | bool]:
        how = Sampling(max_tokens=_MOST_TOKENS, stop=marks, seed=Seed(seed).child("sample", exercise.id).value)
        (said,) = await model.sample(before + exercise.asks, how)
        ended = bool(said.tokens) and said.tokens[-1] in start.tokenizer.eos_ids
        return {"text": said.text.strip(), "ran_on": said.finish == "stop" and not ended}

    try:
        with one_thread_if_small(net):
            return list(await asyncio.gather(*map(answer, exercises)))
    finally:
        await model.close()
