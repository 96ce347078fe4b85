"""Small programs of the embedded world as problems."""

from __future__ import annotations

from collections.abc import Iterator

from gnomon.core.seeds import Seed
from gnomon.data.code_problem import Problem, beside_reference
from gnomon.data.worlds.brook import KINDS, World
from gnomon.data.worlds.brook.programs import RIGHT, Operation, Program, code, tasks

__all__ = ["brook_problems"]

_TEST = """
def check(candidate):
    for x in range(10):
        assert candidate(x) == REFERENCE(x), x
"""


def brook_problems(of: World, n: int, seed: Seed) -> Iterator[Problem]:
    """About `n` problems, as many of each number of operations, where there are as many."""
    for place, operations in enumerate(RIGHT):
        every = tasks(operations)
        share = n // len(RIGHT) + (place < n % len(RIGHT))
        for task in seed.child(operations).random().sample(every, min(len(every), share)):
            yield _problem(of, task)


def _problem(of: World, task: tuple[Operation, ...]) -> Problem:
    right = Program(task, tuple(o.constant for o in task))
    words = KINDS["program"].render(of, (right,)).words
    head = words.index("return") + 1
    return beside_reference(
        " then ".join(map(str, task)),
        " ".join(words[words.index("def") : head]),
        "f",
        code(right),
        _TEST,
        level=f"{len(task)} operation{'s' * (len(task) > 1)}",
        prompt=" ".join(words[:head]),
        stops=("\n", " Task:", "Task:"),
        text=f"Write a function f(x) of a digit x that returns, modulo 10: {', then '.join(map(str, task))}.",
    )
