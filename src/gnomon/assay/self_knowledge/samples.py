"""Answers sampled from the subject, judged right or wrong; self-evaluation and P(IK) both start from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gnomon.assay.self_knowledge.asking import wording
from gnomon.core.errors import ModelError
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.data.answers import answer_text, is_right, limits
from gnomon.data.prompts import Shot, framed
from gnomon.data.sources import open_items
from gnomon.models.base import Ability, Model, Sampling, require

if TYPE_CHECKING:
    from gnomon.assay.self_knowledge import SelfKnowledge

__all__ = ["agreement", "answer_prompt", "answers", "entropy", "open_questions", "worked_answer"]


def open_questions(cfg: SelfKnowledge, seed: Seed, part: str, n: int) -> Iterator[Item]:
    """Open items with worked examples in front: `cfg.shots` of them, by default 10 for real data and 0 for Brook."""
    source = open_items(cfg.data, "open", n, seed, spare=max(cfg.shots or (10,)))
    shots = (cfg.shots or ((0,) if source.dialect == "brook" else (10,)))[0]
    words = [Shot(wording(i).open_prompt(i), f" {worked_answer(i)}") for i in source.spare[:shots]]
    header = wording(source.spare[0]).header(words) if words else ""
    for item in source.items:
        meta = {**item.meta, "answer_header": header, "shots": shots}
        yield replace(item, id=f"{part}/{item.id}", choices=(), gold=None, meta=meta)


def worked_answer(item: Item) -> str:
    """The answer of a worked example: its reasoning and the marked number, or the first accepted answer."""
    solution = item.meta.get("solution")
    return f"{solution}\n#### {item.answers[0]}" if solution else item.answers[0]


def answer_prompt(cfg: SelfKnowledge, item: Item) -> Any:
    """The prompt whose continuation is an answer."""
    return framed(str(item.meta.get("answer_header", "")) + wording(item).open_prompt(item), cfg.chat)


async def answers(cfg: SelfKnowledge, model: Model, item: Item, count: int, rng: Seed) -> list[dict[str, Any]]:
    """`count` answers at temperature 1: text, what counts of it, whether it is right, log-probability, tokens."""
    require(model, Ability.SAMPLE, why="sampling answers")
    limit = limits(item)
    stop = (*limit.stop, *wording(item).stops())
    how = Sampling(max_tokens=limit.max_tokens, stop=stop, seed=rng.child("answers").value)
    drawn = await model.sample(answer_prompt(cfg, item), how, n=count)
    if len(drawn) != count:
        raise ModelError(f"{len(drawn)} answers came, not {count}", where=item.id)
    return [
        {
            "text": c.text.strip(),
            "answer": answer_text(item, c.text),
            "right": is_right(item, c.text),
            "logprob": c.logprob,
            "tokens": c.num_tokens,
        }
        for c in drawn
    ]


def agreement(drawn: Sequence[dict[str, Any]], which: int = 0) -> float:
    """Share of the other samples that give the same answer as sample `which`, in [0, 1]."""
    others = [d["answer"] for i, d in enumerate(drawn) if i != which]
    return float(sum(a == drawn[which]["answer"] for a in others)) / len(others)


def entropy(drawn: Sequence[dict[str, Any]]) -> float:
    """Entropy of the distribution of answers, nats."""
    counts = np.array(list(Counter(d["answer"] for d in drawn).values()), dtype=np.float64)
    share = counts / counts.sum()
    return float(-(share * np.log(share)).sum())
