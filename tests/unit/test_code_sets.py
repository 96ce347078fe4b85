"""Problems and samples in the forms that they are published in."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from gnomon.core.errors import DataError
from gnomon.data.code_samples import made_samples, read_samples
from gnomon.data.code_sets import Problem, parse_problem, read_problems
from gnomon.sandbox import Judges
from gnomon.trial.code import check_of, extract, program_of

HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": 'def add(x: int, y: int) -> int:\n    """Add them."""\n',
    "entry_point": "add",
    "canonical_solution": "    return x + y\n",
    "test": "def check(candidate):\n    assert candidate(2, 3) == 5\n    assert candidate(0, 0) == 0\n",
}
PLUS = {
    **{k: v for k, v in HUMANEVAL.items() if k != "test"},
    "base_input": [[2, 3]],
    "plus_input": [[0.1, 0.2], [10, -10]],
    "atol": 0,
    "contract": "",
}
MBPP = {
    "task_id": 11,
    "text": "Write a function to double a number.",
    "code": "def twice(x):\n    return helper(x)\ndef helper(x):\n    return 2 * x",
    "test_list": ["assert twice(2) == 4", "assert twice(0) == 0"],
    "test_setup_code": "",
    "challenge_test_list": [],
}
SORTER = {
    "task_id": 12,
    "prompt": "Sort a list in place.",
    "code": "def arrange(xs):\n    xs.sort()",
    "test_list": ["xs = [2, 1]\narrange(xs)\nassert xs == [1, 2]"],
    "test_imports": [],
}
APPS = {
    "problem_id": 7,
    "question": "Print the sum.",
    "solutions": json.dumps(["print(sum(map(int, input().split())))"]),
    "input_output": json.dumps({"inputs": ["1 2\n", "4 5\n"], "outputs": ["3\n", "9\n"]}),
    "difficulty": "introductory",
    "starter_code": "",
}
CALLED = {
    **APPS,
    "problem_id": 8,
    "solutions": json.dumps(["class Solution:\n    def add(self, a, b):\n        return a + b"]),
    "input_output": json.dumps({"fn_name": "add", "inputs": [[1, 2], [3, 4]], "outputs": [3, [7]]}),
}
ROWS: list[dict[str, Any]] = [HUMANEVAL, PLUS, MBPP, SORTER, APPS, CALLED]


def lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    return [parse_problem(row, "here") for row in ROWS]


def test_references_pass_and_empty_solutions_fail(problems: list[Problem]) -> None:
    with Judges(1) as judges:
        for problem in problems:
            [reference] = made_samples("references", [problem])
            [empty] = made_samples("empty", [problem])
            assert judges.verdict(check_of(problem), reference.source).passed, problem
            assert not judges.verdict(check_of(problem), empty.source).passed, problem


def test_in_place_is_where_the_reference_returns_nothing(problems: list[Problem]) -> None:
    assert [p.in_place for p in problems] == [False, False, False, True, False, False]


def test_extra_inputs_find_what_the_first_ones_do_not(problems: list[Problem]) -> None:
    wrong = "def add(x, y):\n    return x + y if x < 5 else 0.5"
    with Judges(1) as judges:
        assert judges.verdict(check_of(problems[0]), wrong).passed
        assert judges.verdict(check_of(problems[1]), wrong).cause == "wrong answer"
        assert judges.verdict(check_of(problems[1]), "def add(x, y):\n    return x + y + 1e-9").passed is False


def test_files_of_every_kind(tmp_path: Path) -> None:
    plain = lines(tmp_path / "p.jsonl", [HUMANEVAL, MBPP])
    (tmp_path / "p.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    (tmp_path / "p.json").write_text(json.dumps([HUMANEVAL, MBPP]))
    for name in ("p.jsonl", "p.jsonl.gz", "p.json"):
        assert list(read_problems(tmp_path / name)) == ["HumanEval/0", "11"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([HUMANEVAL, HUMANEVAL], "line 2: problem 'HumanEval/0' is there twice"),
        ([{"task_id": "x"}], "line 1: row is no problem; it has task_id"),
        ([7], "line 1: holds a int, not an object"),
        ([], "holds no problems"),
        ([{**APPS, "input_output": ""}], "holds no problems with tests"),
        ([{**HUMANEVAL, "prompt": "def f(:\n"}], "line 1: row does not fit its form"),
        ([{**HUMANEVAL, "test": "def check(:\n"}], "line 1: row does not fit its form"),
        ([{**HUMANEVAL, "test": "assert True"}], "its test defines no check"),
        ([{**MBPP, "test_list": ["assert 1"]}], "call nothing that the solution defines"),
    ],
)
def test_problem_files_that_are_refused(tmp_path: Path, rows: list[Any], said: str) -> None:
    with pytest.raises(DataError, match=said.replace("(", r"\(")):
        read_problems(lines(tmp_path / "p.jsonl", rows))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"task_id": "HumanEval/1", "completion": ""}], "line 1: no problem is called 'HumanEval/1'; did you mean"),
        ([{"completion": ""}], "line 1: no problem is called ''"),
        ([{"task_id": "HumanEval/0", "completion": 3}], "line 1: completion is 3"),
        ([{"task_id": "HumanEval/0", "completion": "x" * 1_000_001}], "completion has 1000001 characters"),
        ([{"task_id": "HumanEval/0", "completion": "", "mean_logprob": "a"}], "mean_logprob is 'a'"),
        ([{"task_id": "HumanEval/0", "completion": "", "mean_logprob": float("nan")}], "mean_logprob is nan"),
        ([], "holds no samples"),
    ],
)
def test_sample_files_that_are_refused(tmp_path: Path, rows: list[Any], said: str) -> None:
    problems = {"HumanEval/0": parse_problem(HUMANEVAL, "here")}
    with pytest.raises(DataError, match=said):
        read_samples(lines(tmp_path / "s.jsonl", rows), problems)


def test_completions_and_solutions(tmp_path: Path) -> None:
    problems = {"HumanEval/0": parse_problem(HUMANEVAL, "here")}
    rows = [
        {"task_id": "HumanEval/0", "completion": "    return 1\n", "mean_logprob": -0.5},
        {"task_id": "HumanEval/0", "solution": "def add(x, y): return 2\n", "temperature": 0.8},
    ]
    first, second = read_samples(lines(tmp_path / "s.jsonl", rows), problems)
    assert first.source == HUMANEVAL["prompt"] + "    return 1\n"
    assert second.source == "def add(x, y): return 2\n"
    assert [first.key, second.key] == ["HumanEval/0#0", "HumanEval/0#1"]
    assert (first.mean_logprob, second.temperature) == (-0.5, 0.8)


def test_a_completion_ends_with_its_function() -> None:
    problem = parse_problem(HUMANEVAL, "here")
    assert program_of(problem, "    return 1\n\nprint(3)\ndef g(): pass") == problem.opening + "    return 1\n"


@pytest.mark.parametrize(
    ("reply", "route"),
    [
        ("Sure:\n```python\ndef add(x, y):\n    return x + y\n```\nDone.", "fence"),
        ("Two:\n```\nprint(1)\n```\n```py\ndef add(x, y):\n    return x + y\n```", "fence"),
        ("def add(x, y):\n    return x + y", "whole"),
        ("Here it is.\ndef add(x, y):\n    return x + y\nThat is all!", "span"),
        ("    return x + y", "completion"),
        ("I cannot do that!", "none"),
    ],
)
def test_extraction(reply: str, route: str) -> None:
    source, found = extract(parse_problem(HUMANEVAL, "here"), reply)
    assert found == route
    if route != "none":
        names: dict[str, Any] = {}
        exec(source, names)
        assert names["add"](2, 3) == 5


def test_contest_programs_find_what_the_sets_own_graders_import(problems: list[Problem]) -> None:
    called, whole = problems[-1], problems[-2]
    with Judges(1) as judges:
        typed = "class Solution:\n    def add(self, a: List[int], b: Any):\n        return reduce(gcd, [0, a + b])"
        for text in (typed, f"from __future__ import annotations\n{typed}", f"List = Any = dict\n{typed}"):
            assert judges.verdict(check_of(called), called.program(text)).passed
        text = "x = [*map(int, sys.stdin.readline().split())]\nbisect.insort(x, 0)\nprint(sum(deque(x)))"
        assert judges.verdict(check_of(whole), whole.program(text)).passed
    assert called.program("def add(a, b): return a + b") == "def add(a, b): return a + b" + called.adapter


def test_files_that_windows_or_other_writers_made(tmp_path: Path) -> None:
    row = {**HUMANEVAL, "prompt": HUMANEVAL["prompt"].replace("Add", "Add \u2028 \x85")}
    text = "\ufeff" + json.dumps(row, ensure_ascii=False) + "\r\n"
    (tmp_path / "p.jsonl").write_text(text, encoding="utf-8", newline="")
    problems = read_problems(tmp_path / "p.jsonl")
    sample = {"task_id": "HumanEval/0", "completion": "    # \u2028\n    return x + y\n"}
    text = "\ufeff" + json.dumps(sample, ensure_ascii=False) + "\r\n\r\n"
    (tmp_path / "s.jsonl").write_text(text, encoding="utf-8", newline="")
    assert [s.record for s in read_samples(tmp_path / "s.jsonl", problems)] == [sample]


def test_infinity_among_the_inputs(tmp_path: Path) -> None:
    path = lines(tmp_path / "p.jsonl", [{**PLUS, "plus_input": [[float("inf"), 1]]}])
    (problem,) = read_problems(path).values()
    with Judges(1) as judges:
        assert judges.verdict(check_of(problem), problem.reference).passed


def test_a_test_that_calls_by_name_never_tests_the_reference_in_place_of_the_candidate() -> None:
    with Judges(1) as judges:
        found = judges.verdict(check_of(parse_problem(MBPP, "here"), "reference"), "def twice(x):\n    return 0\n")
        assert found.cause == "wrong answer"
