"""How an item is asked: options scored as continuations or chosen by letter, a last word, a free answer.

Options' texts are compared by their summed log-probability, its mean a token, a character or a byte, and by
log P(option | question) - log P(option | "Answer:"). The sum is lm-evaluation-harness's `acc`, the mean a character its
`acc_norm`; the last is Brown et al. 2020 (arXiv 2005.14165, sec. 2.4). TruthfulQA's second task is the share of the
probability of all listed answers that the true ones have (Lin et al. 2021, arXiv 2109.07958).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any

from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.data.answers import answer_text, is_right, limits
from gnomon.data.prompts import dialect
from gnomon.models.base import Ability, Model, Sampling, Score, require

__all__ = ["DIFFERENCES", "ask", "credit", "measured", "named", "scored_by"]

DIFFERENCES: Mapping[str, tuple[str, str]] = {"gain of the prompt": ("prompted", ""), "tax": ("against", "")}
"""What a difference is between, the first less the second: "" is the model as it is."""

# Summed log-probabilities of one model agree to this much, whatever else was in the batch.
_TIE = 1e-9
_LOGPROB = "log-probability of the word"


async def ask(model: Model, item: Item, before: str, rng: Seed) -> dict[str, Any]:
    """What `model` makes of an item, with `before` in front of its prompt: JSON values, all that scoring needs."""
    prompt, form = before + item.meta["prompt"], item.meta["form"]
    if form == "texts":
        return await _texts(model, item, prompt)
    if form == "letters":
        letters = dialect(item.meta["dialect"]).letters(len(item.choices))
        choice = await model.choose(prompt, letters)
        return {"p": list(choice.p), "mass": choice.mass, "readout": choice.readout}
    if form == "word":
        return await _word(model, item, prompt, rng)
    require(model, Ability.SAMPLE, why="answering freely")
    limit = limits(item)
    stop = (*limit.stop, *dialect(item.meta["dialect"]).stops())
    said = await _greedy(model, prompt, limit.max_tokens, rng, stop)
    return {"said": said, "answer": answer_text(item, said), "right": is_right(item, said)}


def named(measure: str, asked: str) -> str:
    """A measure of the model as it is, prompted, or of the one it is held against."""
    return f"{measure}, {asked}" if asked else measure


def measured(found: Mapping[str, Any], choices: Sequence[str], gold: int | None, by: str) -> dict[str, float]:
    """The scores of one answer of `ask`: `accuracy`, and what its form has besides."""
    if "sum" in found:
        assert gold is not None
        scores = {"accuracy": credit(scored_by(found, choices, by), gold)}
        return scores | ({"MC2": found["mc2"]} if "mc2" in found else {})
    if "p" in found:
        assert gold is not None
        return {"accuracy": credit(found["p"], gold)}
    scores = {"accuracy": float(found["right"])}
    return scores | ({_LOGPROB: found["logprob"]} if "logprob" in found else {})


def scored_by(found: Mapping[str, Any], choices: Sequence[str], by: str) -> list[float]:
    """The options' scores by one way of comparing texts."""
    sums: list[float] = found["sum"]
    if by == "sum":
        return sums
    if by == "pmi":
        return [total - alone for total, alone in zip(sums, found["alone"], strict=True)]
    sizes = {
        "mean": found["tokens"],
        "character": [len(text) for text in choices],
        "byte": [len(text.encode()) for text in choices],
    }[by]
    return [total / max(1, size) for total, size in zip(sums, sizes, strict=True)]


def credit(scores: Sequence[float], gold: int) -> float:
    """1 where the right option scores highest; several that score as high share it."""
    best = [place for place, score in enumerate(scores) if score >= max(scores) - _TIE]
    return (gold in best) / len(best)


async def _texts(model: Model, item: Item, prompt: str) -> dict[str, Any]:
    """The options' log-probabilities after the prompt, their tokens, and their log-probabilities by themselves."""
    require(model, Ability.SCORE, why="scoring options as texts", todo="use --forms letters, or a model that scores")
    true: Mapping[str, int] = item.meta.get("mc2", {})
    texts = list(dict.fromkeys((*item.choices, *true)))
    after = dict(zip(texts, await _scored(model, prompt, texts), strict=True))
    found: dict[str, Any] = {
        "sum": [after[text].total for text in item.choices],
        "tokens": [len(after[text].logprobs) for text in item.choices],
    }
    if item.meta["alone"]:
        found["alone"] = [score.total for score in await _scored(model, item.meta["alone"], item.choices)]
    if true:
        found["mc2"] = _share({text: after[text].total for text in true}, true)
    return found


async def _scored(model: Model, prompt: str, texts: Sequence[str]) -> list[Score]:
    return await asyncio.gather(*(model.score(prompt, f" {text}") for text in texts))


def _share(totals: Mapping[str, float], true: Mapping[str, int]) -> float:
    """The true texts' share of the probability of all."""
    top = max(totals.values())
    weights = {text: math.exp(total - top) for text, total in totals.items()}
    return sum(weight for text, weight in weights.items() if true[text]) / sum(weights.values())


async def _word(model: Model, item: Item, prompt: str, rng: Seed) -> dict[str, Any]:
    """The word's log-probability, and whether greedy decoding says it."""
    require(model, Ability.SCORE, why="scoring a last word")
    require(model, Ability.SAMPLE, why="saying a last word")
    word = item.answers[0]
    score = await model.score(prompt, f" {word}")
    said = await _greedy(model, prompt, max(1, len(score.logprobs)), rng)
    return {"said": said, "right": said.strip() == word.strip(), "logprob": score.total}


async def _greedy(model: Model, prompt: str, max_tokens: int, rng: Seed, stop: tuple[str, ...] = ()) -> str:
    how = Sampling(max_tokens=max_tokens, temperature=0.0, seed=rng.child("said").value, stop=stop)
    return (await model.sample(prompt, how))[0].text
