"""Problems with solutions as what is learnt from: settings, sides, and texts; shared by `code` and `docstring`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gnomon.core.errors import DataError, UsageError
from gnomon.core.seeds import Seed
from gnomon.data.code_open import open_problems
from gnomon.data.code_sets import Problem
from gnomon.data.records import divided
from gnomon.learn.texts import Encoded, encode, fitted
from gnomon.models.tokenizer import Tokenizer
from gnomon.train._fitting import Start, Thrifty, at_least, context_of, end_of

__all__ = ["OnProblems", "Sides", "sides", "texts_of", "told"]


@dataclass(frozen=True, kw_only=True)
class OnProblems(Thrifty):
    """Settings of a training on problems with solutions."""

    data: str = "brook"
    "Problems with solutions: brook, or a file in HumanEval's form, such as `gnomon trace` writes."
    model: str = "brook"
    "Where to start: brook, hf:FOLDER or run:ID."
    problems: int = 300
    "Most problems to learn from, before those that no sample passes are left out; 0 takes all of a file."
    held_out: int = 60
    "Problems to measure on."
    samples: int = 10
    "Programs drawn a problem, to see which are fit to learn from (100 in the paper)."
    temperature: float = 1.0
    "Temperature of these draws."
    epochs: int = 10
    "Most passes over the problems; fewer where the loss on problems kept aside stops falling."
    batch: int = 16
    "Problems a step."
    peak_rate: float = 6e-5
    "Highest learning rate: a tenth of the rate that the model that ships learnt its programs with."
    context: int = 0
    "Longest text in tokens; prompts of longer ones lose their beginning. 0 takes the model's."
    unsafe: bool = False
    "Go on where this machine can hold too little of what programs try."
    seed: int = 0
    "Seed of the draws and the order."
    bf16: bool = False
    "Bfloat16 arithmetic, for processors that have it; not the same numbers."

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, held_out=self.held_out, samples=self.samples, epochs=self.epochs, batch=self.batch)
        at_least(10 * int(self.data == "brook"), problems=self.problems)
        at_least(0, context=self.context)
        if self.temperature < 0:
            raise UsageError(f"--temperature is {self.temperature:g}", todo="give 0 or more")


class Sides(NamedTuple):
    """Problems to learn from, those whose loss says when to stop, and those to measure on."""

    learnt: list[Problem]
    aside: list[Problem]
    measured: list[Problem]


def sides(cfg: OnProblems) -> Sides:
    """The problems of each side; no problem is on two, and those without a solution are on none.

    Raises:
        DataError: the file cannot be used.
        UsageError: a side is empty.
    """
    seed = Seed(cfg.seed)
    found = open_problems(cfg.data, cfg.problems + cfg.held_out if cfg.data == "brook" else None, seed)
    usable = [problem for problem in found if problem.reference]
    if not usable:
        raise DataError("no problem has a solution", where=cfg.data, todo="give problems with canonical solutions")
    left, measured = divided([p.id for p in usable], cfg.held_out, seed, train=cfg.problems, where=cfg.data)
    tenth = max(1, len(left) // 10)
    learnt, aside = divided([usable[i].id for i in left], tenth, seed.child("aside"), where=cfg.data)
    return Sides([usable[left[i]] for i in learnt], [usable[left[i]] for i in aside], [usable[i] for i in measured])


def texts_of(cfg: OnProblems, start: Start, pairs: Sequence[tuple[str, str]]) -> list[Encoded]:
    """Prompts with what is to be learnt behind them as tokens, those that fit the context.

    Raises:
        DataError: there is none, or none fits.
    """
    if not pairs:
        todo = "give easier problems, more --samples, or a better model"
        raise DataError("the model's samples pass none of the problems to learn from", where=cfg.data, todo=todo)
    end, _ = end_of(start.tokenizer, context=False)
    texts = encode(start.tokenizer, list(pairs), end=end)
    groups = [(_as_asked(start.tokenizer, *pair, text, end),) for pair, text in zip(pairs, texts, strict=True)]
    kept = fitted(groups, context_of(start.net, cfg.context), tokenizer=start.tokenizer).groups
    return [text for (text,) in kept]


def _as_asked(tokenizer: Tokenizer, prompt: str, answer: str, text: Encoded, end: int) -> Encoded:
    """The text with the prompt's tokens as they are when a program is asked for.

    A tokenizer of code merges the line's end that a prompt has with the blanks that a body begins with; a model that
    learnt that token would not meet it behind a prompt.
    """
    asked = tokenizer.encode_prompt(prompt)
    if text.tokens[: len(asked)].tolist() == asked:
        return text
    return Encoded(np.array([*asked, *tokenizer.encode(answer, special=False), end], np.int64), len(asked))


def told(cfg: OnProblems, start: Start, parts: Sides, texts: Sequence[Encoded]) -> dict[str, Any]:
    """What a training would learn, were all problems fit: for `--dry-run`."""
    first = texts[0]
    return {
        "model": f"{cfg.model}@{start.revision}",
        "problems": f"{len(parts.learnt)} to learn from, {len(parts.aside)} to stop by, {len(parts.measured)} held out",
        "tokens": f"{sum(len(t.tokens) for t in texts)}, to learn {sum(len(t.tokens) - t.start for t in texts)}",
        "first prompt": start.tokenizer.decode(first.tokens[: first.start].tolist(), special=True),
        "first to learn": start.tokenizer.decode(first.tokens[first.start :].tolist(), special=True),
    }
