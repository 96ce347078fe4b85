"""Several variables, each with operations of its own: is the right thing done to the right one?

Chen et al. 2021, "Evaluating Large Language Models Trained on Code", sec. 6, find that operations land on the wrong
variable as their number grows, and show one such problem. These are many of its kind. All variables are returned, so a
test sees on which one an operation landed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from gnomon.core.seeds import Seed
from gnomon.data.code_problem import Problem, beside_reference

__all__ = ["BOUND_RATE", "SIZES", "WRONGLY_BOUND", "binding_problems", "misbound"]

# Variables and operations.
SIZES = ((2, 2), (2, 3), (3, 3), (3, 4), (4, 4))
# What a planted programmer keeps of its pass rate with each operation.
BOUND_RATE = 0.8
# What a verdict says where all operations were done, on other variables.
WRONGLY_BOUND = "bound to other variables"
_NAMES = "xyzw"
_KINDS = (
    ("add {0} to {1}", "{1} += {0}"),
    ("subtract {0} from {1}", "{1} -= {0}"),
    ("multiply {1} by {0}", "{1} *= {0}"),
)


class _Step(NamedTuple):
    kind: int
    number: int
    name: str

    @property
    def words(self) -> str:
        return _KINDS[self.kind][0].format(self.number, self.name)

    @property
    def code(self) -> str:
        return f"    {_KINDS[self.kind][1].format(self.number, self.name)}\n"


def binding_problems(n: int, seed: Seed) -> Iterator[Problem]:
    """About `n` problems, as many of each size."""
    for place, (variables, operations) in enumerate(SIZES):
        rng = seed.child("bindings", variables, operations).random()
        for number in range(n // len(SIZES) + (place < n % len(SIZES))):
            yield _problem(f"{variables}-{operations}-{number}", _NAMES[:variables], operations, rng)


def misbound(problem: Problem) -> str:
    """A completion that does all operations, the last one on another variable."""
    *steps, last, end = problem.reference.removeprefix(problem.opening).splitlines(keepends=True)
    name = last.split()[0]
    other = next(other for other in _NAMES if other != name)
    return "".join([*steps, last.replace(name, other, 1), end])


def _problem(name: str, names: str, operations: int, rng: random.Random) -> Problem:
    targets = [*rng.sample(names, min(len(names), operations)), *rng.choices(names, k=max(0, operations - len(names)))]
    steps = [_Step(rng.randrange(len(_KINDS)), rng.randint(2, 9), target) for target in targets]
    told = ", then ".join(step.words for step in steps)
    listed = ", ".join(names)
    opening = f'def work({listed}):\n    """{told.capitalize()}. Return the list of {listed}."""\n'
    reference = f"{opening}{''.join(step.code for step in steps)}    return [{listed}]\n"
    others = [_rebound(steps, wrong, listed) for wrong in product(names, repeat=operations) if list(wrong) != targets]
    inputs = [[rng.randint(-20, 20) for _ in names] for _ in range(8)]
    test = _TEST.format(inputs=inputs, others=others)
    level = f"{len(names)} variables, {operations} steps"
    return beside_reference(f"binding/{name}", opening, "work", reference, test, level=level)


def _rebound(steps: list[_Step], names: tuple[str, ...], listed: str) -> str:
    body = "".join(step._replace(name=name).code for step, name in zip(steps, names, strict=True))
    return f"def work({listed}):\n{body}    return [{listed}]\n"


_TEST = """
INPUTS = {inputs!r}
OTHERS = {others!r}

def answered(source):
    names = {{}}
    exec(source, names)
    return [names["work"](*args) for args in INPUTS]

def check(candidate):
    answers = [candidate(*args) for args in INPUTS]
    if answers != [REFERENCE(*args) for args in INPUTS]:
        raise AssertionError("@" if answers in map(answered, OTHERS) else "wrong")
""".replace("@", WRONGLY_BOUND)
