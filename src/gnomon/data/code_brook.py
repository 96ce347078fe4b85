"""Small programs of the embedded world as problems: how often a model that learnt it is right is planted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gnomon.core.seeds import Seed
from gnomon.data.code_chains import PLANTED_RATE, chain_problems
from gnomon.data.code_sets import Problem, read_problems
from gnomon.data.worlds.brook import KINDS, World, world
from gnomon.data.worlds.brook.programs import RIGHT, Operation, Program, code, tasks

__all__ = ["brook_problems", "open_problems", "planted_chance"]

# As many of each number of operations as there are tasks of one.
_EMBEDDED = 75
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


def open_problems(spec: str, n: int | None, seed: Seed) -> list[Problem]:
    """At most `n` problems: "brook", "chains", or those of a file in its order; None is all of a file, else 75.

    Raises:
        DataError: the file cannot be used.
    """
    if spec == "chains":
        return list(chain_problems(_EMBEDDED if n is None else n, seed))
    if spec == "brook":
        return list(brook_problems(world("S"), _EMBEDDED if n is None else n, seed))
    return list(read_problems(Path(spec)).values())[:n]


def planted_chance(level: str) -> float:
    """How often a program of this level is right: of Brook in the texts that a model learns from, of a chain for a
    planted programmer.

    >>> planted_chance("1 operation")
    0.95
    """
    number = int(level.split()[0])
    return float(PLANTED_RATE**number) if "block" in level else RIGHT[number]


def _problem(of: World, task: tuple[Operation, ...]) -> Problem:
    right = Program(task, tuple(o.constant for o in task))
    words = KINDS["program"].render(of, (right,)).words
    head = words.index("return") + 1
    reference = code(right)
    return Problem(
        id=" then ".join(map(str, task)),
        prompt=" ".join(words[:head]),
        opening=" ".join(words[words.index("def") : head]),
        stops=("\n", " Task:", "Task:"),
        entry_point="f",
        reference=reference,
        setup=f"{reference}\nREFERENCE = f\n",
        test=_TEST,
        names=("f",),
        call="check",
        text=f"Write a function f(x) of a digit x that returns, modulo 10: {', then '.join(map(str, task))}.",
        level=f"{len(task)} operation{'s' * (len(task) > 1)}",
    )
