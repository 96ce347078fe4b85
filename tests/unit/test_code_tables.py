"""HumanEval+ and MBPP+ ask of an answer what evalplus asks of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from gnomon.data.code_sets import parse_problem
from gnomon.sandbox import Judges
from gnomon.trial.code import check_of

# By problem: its id, solution, inputs, and the tolerance.
TABLES: dict[str, tuple[str, str, list[Any], float]] = {
    "recursive": ("T/0", "def fact(n): return n * fact(n - 1) if n > 1 else 1", [[3], [5]], 0),
    "root": ("HumanEval/32", "def find_zero(xs): return -xs[0] / xs[1]", [[[1, 2]], [[4, 2]]], 1e-4),
    "set": ("Mbpp/2", "def similar_elements(a, b): return tuple(set(a) & set(b))", [[[3, 4, 5], [5, 4]]], 0),
    "complex": ("Mbpp/124", "def angle_complex(a, b): return abs(a + b)", [[0, "1j"], ["0", "(2+1j)"]], 0),
    "found": ("Mbpp/285", "import re\ndef text_match_three(t): return re.search('ab{2,3}', t)", [["a"], ["abb"]], 0),
    "tuple": ("Mbpp/106", "def add_lists(xs, t): return t + tuple(xs)", [[[1], [2, 3]]], 0),
    "pyramid": ("Mbpp/581", "def surface_Area(b, s): return 2 * b * s + b * b", [[3, 4]], 0),
    "digits": ("Mbpp/558", "def digit_distance_nums(a, b): return sum(map(int, str(abs(a - b))))", [[123, 256]], 0),
}
TRIED = [
    ("recursive", "def fact(n): return 0", "wrong answer"),
    ("root", "def find_zero(xs): return -xs[0] / xs[1] + 1e-5", "passed"),
    ("root", "def find_zero(xs): return -xs[0] / xs[1] + 1e-3", "wrong answer"),
    ("set", "def similar_elements(a, b):\n    assert type(a) is tuple\n    return sorted({*a} & {*b})[::-1]", "passed"),
    ("set", "def similar_elements(a, b): return [4]", "wrong answer"),
    ("complex", "def angle_complex(a, b): return abs(a + b) + 1e-9", "passed"),
    ("found", "def text_match_three(t): return 'abb' in t", "passed"),
    ("found", "def text_match_three(t): return 'yes' if 'abb' in t else None", "passed"),
    ("found", "def text_match_three(t): return 'yes' if 'abb' in t else 'no'", "wrong answer"),
    ("found", "def other(t): return True", "no entry point"),
    ("pyramid", "def surface_Area(b, h): return round(b * b + 2 * b * (b * b / 4 + h * h) ** 0.5)", "passed"),
    ("pyramid", "def surface_Area(b, h): return 0", "wrong answer"),
    ("digits", "def digit_distance_nums(a, b): return 1 + 3 + 3", "passed"),
]


@pytest.fixture(scope="module")
def judges() -> Iterator[Judges]:
    with Judges(1) as pool:
        yield pool


def verdict(judges: Judges, name: str, source: str | None = None) -> str:
    number, code, inputs, atol = TABLES[name]
    entry = re.findall(r"def (\w+)", code)[0]
    names = {"task_id": number, "prompt": "", "entry_point": entry, "canonical_solution": code, "atol": atol}
    problem = parse_problem({**names, "base_input": inputs[:1], "plus_input": inputs[1:]}, "here")
    return judges.verdict(check_of(problem), (source or code) + problem.adapter).cause


@pytest.mark.parametrize("name", TABLES)
def test_references_pass(judges: Judges, name: str) -> None:
    assert verdict(judges, name) == "passed"


@pytest.mark.parametrize(("name", "source", "cause"), TRIED)
def test_answers_are_judged_as_evalplus_does(judges: Judges, name: str, source: str, cause: str) -> None:
    assert verdict(judges, name, source) == cause
