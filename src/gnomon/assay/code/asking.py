"""Samples of one problem from a model, and their verdicts."""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gnomon.assay._before import unchanged
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.data.code_docstrings import described
from gnomon.data.code_sets import Problem
from gnomon.models.base import Ability, Completion, Message, Model, Prompt, Sampling, require
from gnomon.sandbox import Check, Judges, Limits, Verdict, protect
from gnomon.trial.code import check_of, extract, likeness, opened, passes_shown, program_of

if TYPE_CHECKING:
    from gnomon.assay.code import Code

__all__ = ["ask", "judged"]

_REQUEST = "{text}\n\nWrite the whole function, with what it imports, in one fenced block of Python."


async def ask(config: Code, problem: Problem, item: Item, model: Model, rng: Seed) -> list[Completion]:
    """The samples of one problem."""
    dialect = "brook" if config.data == "brook" else "plain"
    before = unchanged(config.prompt, item.meta["before"], dialect) if config.prompt else ""
    prompt: Prompt = before + item.meta["prompt"]
    if config.ask == "chat":
        prompt = [Message("user", before + _REQUEST.format(text=item.meta["prompt"]))]
    how = Sampling(
        max_tokens=config.max_tokens,
        temperature=float(item.meta["temperature"]),
        top_p=float(item.meta["top_p"]),
        stop=() if config.ask == "chat" else problem.stops,
        seed=rng.value,
        logprobs=True,
    )
    return await model.sample(prompt, how, config.samples)


async def judged(
    config: Code, problem: Problem, drawn: Sequence[Completion], describer: Model | None = None
) -> list[dict[str, Any]]:
    """A record for each sample: its text, how the program was found in it, the verdict, and its log-probability.

    Args:
        describer: says how likely it finds the problem's docstring behind each program.
    """
    check = check_of(_opened(problem, config.strong, config.unsafe), config.bind)
    records = []
    for completion in drawn:
        if config.ask == "chat":
            source, route = extract(problem, completion.text)
        else:
            source, route = program_of(problem, completion.text), "completion"
        verdict = await asyncio.to_thread(_verdict, check, source, config.timeout, config.strong, config.unsafe)
        records.append(
            {
                "text": completion.text,
                "route": route,
                "cause": verdict.cause,
                "shown": passes_shown(problem, verdict.cause, verdict.calls),
                "detail": verdict.detail.encode("utf-8", "replace").decode(),
                "finish": completion.finish,
                "tokens": completion.num_tokens,
                "logprob": completion.logprob,
                **({"back": await _translated_back(problem, source, describer)} if describer else {}),
                **({"bleu": likeness(problem, source)} if config.bleu else {}),
            }
        )
    return records


async def _translated_back(problem: Problem, source: str, describer: Model) -> float:
    """The log-probability of the problem's own docstring behind a program, in nats (Chen et al. 2021, sec. 5).

    The docstring is as long behind every sample, so the sum ranks them as the mean would.
    """
    require(describer, Ability.SCORE, why="back-translation")
    told = described(problem, source)
    return (await describer.score(told.prompt, told.docstring)).total


@lru_cache(maxsize=20_000)
def _verdict(check: Check, source: str, timeout: float, strong: bool, unsafe: bool) -> Verdict:
    """The verdict on a program; the same program is judged once in a process."""
    return _judges(timeout, strong, unsafe).verdict(check, source)


@lru_cache(maxsize=256)
def _opened(problem: Problem, strong: bool, unsafe: bool) -> Problem:
    return opened(problem, protect(strong=strong, unsafe=unsafe)) if problem.hidden else problem


@lru_cache(maxsize=4)
def _judges(timeout: float, strong: bool, unsafe: bool) -> Judges:
    """One judge for this process, which lives as long as it does."""
    judges = Judges(1, Limits(cpu_seconds=timeout), protect(strong=strong, unsafe=unsafe))
    atexit.register(judges.close)
    return judges
