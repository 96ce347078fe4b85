"""Answers to one prompt, scored: by their log-probability in several ways, or by a preference model's scalar.

Every answer begins with one space behind a prompt in text; chat templates see to the space themselves. The evidence of
a row has `prompt` and `answers` as text, `gold`, the place of the better answer, and under `bare` the scores by way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from gnomon.core.record import Row
from gnomon.data.assistants import BARE
from gnomon.models.base import Ability, Message, Model, Prompt, Score, require
from gnomon.report.base import Figure, Table
from gnomon.trial.ranked import Ranked, Told, differences, mistakes

__all__ = ["SAID", "Scored", "Way", "confident_errors", "histograms", "offered", "ranked", "scored"]

Way = Literal["sum", "mean", "pmi", "reward"]
"""What an answer's score is."""

SAID: Mapping[str, str] = {
    "sum": "log-probability of the whole answer",
    "mean": "mean log-probability a token",
    "pmi": "log-probability less that of the answer by itself",
    "reward": "reward",
}


class Scored(NamedTuple):
    """The scores of answers.

    Attributes:
        by_way: by way of scoring, one for each answer, in nats but for rewards.
        tokens: of each answer; empty where only rewards were read.
    """

    by_way: dict[str, list[float]]
    tokens: list[int]


def offered(model: Model, asked: Sequence[Way], known: Sequence[Way]) -> tuple[Way, ...]:
    """The ways to score that were asked for, or those of `known` that `model` offers.

    Raises:
        AbilityError: it does not offer what was asked for, or nothing of `known`.
    """
    for way in asked:
        require(model, _needed(way), why=f"--scores {way}", todo="name other --scores, or a model that offers it")
    if asked:
        return tuple(asked)
    require(model, *dict.fromkeys(map(_needed, known)), why="comparing answers", todo="use a model that offers either")
    return tuple(way for way in known if _needed(way) in model.can)


async def scored(model: Model, prompt: Prompt, answers: Sequence[str], ways: Sequence[Way]) -> Scored:
    """The scores of all answers by each of `ways`.

    "mean" is a mean over tokens; "pmi" takes away the log-probability of the answer after a bare `Assistant:`.
    """
    texts = [_continuing(model, prompt, answer.strip()) for answer in answers]
    found: dict[str, list[float]] = {}
    tokens: list[int] = []
    if {"sum", "mean", "pmi"} & set(ways):
        after: list[Score] = await asyncio.gather(*(model.score(prompt, text) for text in texts))
        tokens = [len(s.logprobs) for s in after]
        found["sum"] = [s.total for s in after]
        found["mean"] = [s.total / max(1, count) for s, count in zip(after, tokens, strict=True)]
    if "pmi" in ways:
        alone: list[Score] = await asyncio.gather(*(model.score(BARE, f" {answer.strip()}") for answer in answers))
        found["pmi"] = [total - s.total for total, s in zip(found["sum"], alone, strict=True)]
    if "reward" in ways:
        found["reward"] = list(await asyncio.gather(*(model.reward(_whole(prompt, text)) for text in texts)))
    return Scored({way: found[way] for way in ways}, tokens)


def ranked(rows: Sequence[Row]) -> list[Ranked]:
    """The scores of all rows, way by way."""
    evidence = [row.evidence for row in rows]
    places = [(e["gold"], 1 - e["gold"]) for e in evidence]
    by_way = {
        way: np.array([[e["bare"][way][i] for i in two] for e, two in zip(evidence, places, strict=True)])
        for way in (evidence[0]["bare"] if evidence else ())
    }
    sizes = [[len(e["answers"][i].strip()) for i in two] for e, two in zip(evidence, places, strict=True)]
    planted = [e.get("p") for e in evidence]
    return [
        Ranked(
            chosen=scores[:, 0],
            rejected=scores[:, 1],
            clusters=[row.cluster for row in rows],
            characters=np.array(sizes, dtype=np.float64),
            kinds=[e.get("group", "") for e in evidence],
            turns=[e.get("turns", 0) for e in evidence],
            sources=[e.get("source", "") for e in evidence],
            planted=None if None in planted else np.array(planted),
            way=way,
        )
        for way, scores in by_way.items()
    ]


def histograms(rows: Sequence[Row]) -> list[Figure]:
    """By how much the better answer is above, a picture for each way."""
    return [differences(r, SAID[r.way]) for r in ranked(rows)]


def confident_errors(rows: Sequence[Row]) -> list[Table]:
    """Where the worse answer is furthest above, by reward, or else by the first way; none where it never is."""
    by_way = {r.way: r for r in ranked(rows)}
    r = by_way.get("reward") or next(iter(by_way.values()), None)
    told = [Told(row.evidence["prompt"], *_in_order(row)) for row in rows]
    table = mistakes(r, told, SAID[r.way]) if r else None
    return [table] if table else []


def _in_order(row: Row) -> tuple[str, str]:
    """The better answer and the worse one."""
    answers, gold = row.evidence["answers"], row.evidence["gold"]
    return answers[gold], answers[1 - gold]


def _needed(way: Way) -> Ability:
    return Ability.REWARD if way == "reward" else Ability.SCORE


def _continuing(model: Model, prompt: Prompt, answer: str) -> str:
    """The answer as it stands behind `prompt`; models without a template write turns as text."""
    tokenizer = getattr(model, "tokenizer", None)
    templated = not isinstance(prompt, str) and not (tokenizer and tokenizer.chat_template is None)
    return answer if templated else f" {answer}"


def _whole(prompt: Prompt, text: str) -> Prompt:
    return prompt + text if isinstance(prompt, str) else [*prompt, Message("assistant", text.strip())]
