"""No program passes without being right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gnomon.data.code_sets import Problem, parse_problem
from gnomon.sandbox import CAUSES, Check, Judges, Limits
from gnomon.trial.code import check_of
from tests.unit._cheats import CHEATS, FAMILIES

PROMPT = 'import math\n\ndef middle(numbers):\n    """The mean of the smallest and the largest."""\n'
TEST = """
import math, random

def check(candidate):
    assert candidate([1, 3]) == 2.0
    assert abs(candidate([1.5, 2.5, 9.5]) - 5.5) < 1e-6
    assert math.isclose(candidate([-4, 4]), 0, abs_tol=1e-9)
    assert isinstance(candidate([1, 2]), float)
    for _ in range(5):
        xs = [random.randint(0, 99) for _ in range(4)]
        assert candidate(list(xs)) == (min(xs) + max(xs)) / 2
"""
PLAIN = """
def check(candidate):
    assert candidate([1, 3]) == 2.0
    assert candidate([5, 2, 4]) == 3.5
"""
REFERENCE = "    return (min(numbers) + max(numbers)) / 2\n"


@pytest.fixture(scope="module")
def problem() -> Problem:
    row = {"task_id": "T/0", "prompt": PROMPT, "entry_point": "middle", "canonical_solution": REFERENCE, "test": TEST}
    return parse_problem(row, "here")


@pytest.fixture(scope="module")
def judges() -> Iterator[Judges]:
    with Judges(1, Limits(cpu_seconds=0.3, memory_bytes=512 << 20)) as pool:
        yield pool


def test_there_are_enough() -> None:
    assert len(FAMILIES) == 8
    assert len(CHEATS) >= 40
    assert min(map(len, FAMILIES.values())) >= 5


def test_the_reference_passes(judges: Judges, problem: Problem) -> None:
    assert judges.verdict(check_of(problem), problem.reference).passed


@pytest.mark.parametrize("name", CHEATS)
def test_cheats_fail(judges: Judges, problem: Problem, name: str) -> None:
    source = f"{PROMPT}    return None\n\n{CHEATS[name].replace('ENTRY', 'middle')}\n"
    for test in (TEST, PLAIN):
        verdict = judges.verdict(check_of(replace(problem, test=test)), source)
        assert not verdict.passed
        assert verdict.cause in CAUSES and verdict.cause != "infrastructure"


@pytest.mark.parametrize("error", ["StopIteration", "GeneratorExit", "SystemExit", "KeyboardInterrupt"])
def test_an_exception_cannot_end_the_tests_own_loop(judges: Judges, error: str) -> None:
    for test in ("assert all(map(f, [1, 2]))", "assert list(map(f, [1])) == []", "for _ in map(f, [1]): assert False"):
        assert not judges.verdict(Check(names=("f",), test=test), f"def f(x): raise {error}").passed


def test_a_test_that_catches_everything_does_not_hide_a_timeout(judges: Judges) -> None:
    check = Check(names=("f",), test="try:\n    f(1)\nexcept:\n    pass")
    assert judges.verdict(check, "def f(x):\n    while True: pass").cause == "timeout"
    assert judges.verdict(check, "import os\ndef f(x): os._exit(0)").cause == "crash"


def test_an_expected_exception_passes(judges: Judges) -> None:
    test = "try:\n    f(-1)\nexcept ValueError as e:\n    assert 'low' in str(e)\nelse:\n    assert False"
    check = Check(names=("f",), test=test)
    assert judges.verdict(check, "def f(x):\n    raise ValueError('too low')").passed
    assert not judges.verdict(check, "def f(x):\n    raise KeyError('too low')").passed


def test_arguments_are_copies(judges: Judges) -> None:
    check = Check(names=("f",), test="xs = [3, 1]\nassert f(xs) == sorted(xs)")
    assert not judges.verdict(check, "def f(xs):\n    xs.clear()\n    return []").passed


def test_colliding_integers_do_not_hang_the_judge(judges: Judges) -> None:
    source = "def f(x):\n    return [i * (2 ** 61 - 1) for i in range(20000)]"
    check = Check(names=("f",), test="assert len(set(f(0))) == 1")
    assert judges.verdict(check, source).cause == "unreadable answer"


def test_a_verdict_is_one_line_without_control_codes(judges: Judges) -> None:
    check = Check(names=("f",), test="assert f(0) == 1, f(0)")
    for source in ("def f(x): raise ValueError('\x1b[2J\n\u202e')", "def f(x): return '\x1b]0;title\x07\n'"):
        assert judges.verdict(check, source).detail.isprintable()


def test_one_candidate_leaves_nothing_for_the_next(judges: Judges) -> None:
    check = Check(names=("f",), test="assert f(0) == 1")
    hide = "import builtins\nbuiltins.secret = 1\nimport sys\nsys.modules['hidden'] = 1\ndef f(x): return 0"
    seek = "import builtins, sys\ndef f(x): return int(hasattr(builtins, 'secret') or 'hidden' in sys.modules)"
    assert not judges.verdict(check, hide).passed
    assert not judges.verdict(check, seek).passed
