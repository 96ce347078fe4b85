"""Sets of problems by name, and what planted programmers write for those of the embedded ones."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from gnomon.core.seeds import Seed
from gnomon.data.code_bindings import BOUND_RATE, binding_problems, misbound
from gnomon.data.code_chains import PLANTED_RATE, chain_problems
from gnomon.data.code_mini import LEVEL, mini_problems, tiny
from gnomon.data.code_problem import Problem
from gnomon.data.code_programs import CHANCES, contest_problems, wrong_programs
from gnomon.data.code_sets import read_problems

__all__ = ["Written", "open_problems", "written_for"]

# As many as Brook has of each number of operations, of which there are three.
_EMBEDDED = 75


class Written(NamedTuple):
    """What a planted programmer writes.

    Attributes:
        chance: that a sample is right.
        right: the completion that is.
        wrong: those that are not, equally likely.
    """

    chance: float
    right: str
    wrong: tuple[str, ...]


def open_problems(spec: str, n: int | None, seed: Seed, *, untested: bool = False) -> list[Problem]:
    """At most `n` problems: "brook", "chains", "bindings", "contests", "mini", or those of a file in its order; None is
    all of a file or of "mini", else 75.

    Args:
        untested: give problems too that have no tests, else they are left out.

    Raises:
        DataError: the file cannot be used.
    """
    most = _EMBEDDED if n is None else n
    if spec == "brook":
        # the world takes a moment to read, and files have no use for it
        from gnomon.data.code_brook import brook_problems
        from gnomon.data.worlds.brook import world

        return list(brook_problems(world("S"), most, seed))
    made = {"chains": chain_problems, "bindings": binding_problems, "contests": contest_problems}
    if spec in made:
        return list(made[spec](most, seed))
    found = mini_problems() if spec == "mini" else read_problems(Path(spec)).values()
    return [problem for problem in found if problem.tested or untested][:n]


def written_for(problem: Problem) -> Written | None:
    """What a planted programmer writes for a problem of an embedded set; None for any other."""
    right = problem.reference.removeprefix(problem.opening)
    number, _, unit = problem.level.partition(" ")
    if problem.level == LEVEL:
        return Written(tiny()[problem.id].chance, right, tiny()[problem.id].wrong)
    if unit.startswith("block"):
        return Written(PLANTED_RATE ** int(number), right, ("    return s + '.'\n", "    pass\n"))
    if unit.startswith("variables"):
        operations = int(unit.split()[1])
        return Written(BOUND_RATE**operations, right, (misbound(problem), "    return []\n"))
    if unit.startswith("operation"):
        from gnomon.data.worlds.brook.programs import RIGHT

        return Written(RIGHT[int(number)], right, (f"{right} + 1", " 0", " x +"))
    if problem.id.startswith("contest/"):
        return Written(CHANCES[problem.level], right, wrong_programs(problem))
    return None
