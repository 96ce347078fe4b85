"""Whole programs of the embedded kind: string operations in the form of APPS, with three examples shown.

What passes the shown examples and what passes all tests is known of each planted answer, so filtered pass@k is too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from gnomon.core.seeds import Seed
from gnomon.data.code_chains import BLOCKS, chain_inputs
from gnomon.data.code_problem import Problem
from gnomon.data.code_sets import parse_problem

__all__ = ["CHANCES", "contest_problems", "wrong_programs"]

# Levels: blocks of a chain, and how often a planted programmer is right.
_BLOCKS = {"introductory": 1, "interview": 2, "competition": 3}
CHANCES = {"introductory": 0.6, "interview": 0.3, "competition": 0.1}
_SHOWN = 3


def contest_problems(n: int, seed: Seed) -> Iterator[Problem]:
    """About `n` whole programs in the form of APPS, as many of each level; at most three examples are shown."""
    for place, (level, length) in enumerate(_BLOCKS.items()):
        rng = seed.child("contests", level).random()
        for number in range(n // len(_BLOCKS) + (place < n % len(_BLOCKS))):
            blocks = rng.sample(BLOCKS, length)
            body = "".join(f"{block.code}\n" for block in blocks)
            inputs = chain_inputs(rng)
            outputs = [_printed(body, s) for s in inputs]
            tests = {"inputs": [f"{s}\n" for s in inputs], "outputs": [f"{s}\n" for s in outputs]}
            clear = [
                (s, t) for s, t in zip(inputs, outputs, strict=True) if s and t and (s, t) == (s.strip(), t.strip())
            ]
            examples = "".join(f"Input\n{s}\n\nOutput\n{t}\n\n" for s, t in clear[:_SHOWN])
            steps = ", then ".join(block.words for block in blocks)
            row = {
                "problem_id": f"contest/{level}-{number}",
                "question": f"Read the string s, then {steps}. Print it.\n\n-----Examples-----\n{examples}",
                "solutions": json.dumps([f"s = input()\n{body}print(s)\n"]),
                "input_output": json.dumps(tests),
                "difficulty": level,
            }
            yield parse_problem(row, "the embedded set")


def wrong_programs(problem: Problem) -> tuple[str, str, str]:
    """Programs that fail a shown example; pass those alone; pass those alone and hang on every other input."""
    known = dict(problem.programs[: problem.shown])
    begin = f"import sys\nknown = {known!r}\ns = sys.stdin.read()\ns = s if s in known else s.strip()\n"
    hang = "while s not in known:\n    pass\n"
    return "print('?')\n", f"{begin}print(known.get(s, '?'))\n", f"{begin}{hang}print(known[s])\n"


def _printed(body: str, s: str) -> str:
    names = {"s": s}
    exec(body, names)
    return names["s"]
