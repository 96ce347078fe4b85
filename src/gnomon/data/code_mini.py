"""Sixty-two tiny problems with graded wrong answers: one fails a plain input, one only an extra input, one hangs.

They need no world. The rows of `mini.jsonl` are those of HumanEval+ with two wrong answers each, so what a grader must
say of each of the four answers is known.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from gnomon.data.code_sets import Problem, parse_problem

__all__ = ["CHANCES", "LEVEL", "Tiny", "mini_problems", "tiny"]

# How often a planted programmer is right, problem by problem in turn.
CHANCES = (0.02, 0.1, 0.3, 0.6, 0.9)
LEVEL = "mini"
_FILE = Path(__file__).with_name("mini.jsonl")


class Tiny(NamedTuple):
    """One problem.

    Attributes:
        base: the same with base inputs alone.
        wrong: completions that fail a base input, fail an extra input alone, and never end.
        chance: that a planted programmer's sample is right.
    """

    problem: Problem
    base: Problem
    wrong: tuple[str, str, str]
    chance: float


@lru_cache(maxsize=1)
def tiny() -> dict[str, Tiny]:
    """The problems by id."""
    found = {}
    for number, line in enumerate(_FILE.read_text(encoding="utf-8").splitlines()):
        row, where = json.loads(line), f"{_FILE.name}, line {number + 1}"
        problem, base = (replace(parse_problem(each, where), level=LEVEL) for each in (row, {**row, "plus_input": []}))
        wrong = row["fails_base"], row["fails_extra"], "    while True:\n        pass\n"
        found[problem.id] = Tiny(problem, base, wrong, CHANCES[number % len(CHANCES)])
    return found


def mini_problems() -> Iterator[Problem]:
    """The problems in their order."""
    yield from (each.problem for each in tiny().values())
