"""The embedded sets of problems: what a grader must say of each planted answer is known."""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gnomon.assay.code import Code
from gnomon.core.errors import DataError
from gnomon.core.seeds import Seed
from gnomon.data.code_bindings import WRONGLY_BOUND, binding_problems, misbound
from gnomon.data.code_contests import shown_examples
from gnomon.data.code_mini import tiny
from gnomon.data.code_open import open_problems, written_for
from gnomon.data.code_programs import CHANCES, contest_problems, wrong_programs
from gnomon.data.code_sets import parse_problem, read_problems
from gnomon.sandbox import Judges, Limits, protect
from gnomon.stats.pass_at_k import mean_pass_at_k, pass_at_k
from gnomon.trial.code import check_of, opened, passes_shown
from gnomon.trial.filtered import filtered
from gnomon.trial.graded import Graded
from gnomon.trial.runner import run_evaluation
from tests.unit.test_code_sets import lines

LIVE: dict[str, Any] = {
    "question_title": "Double",
    "question_content": "Print twice the number.",
    "question_id": "live/1",
    "difficulty": "easy",
    "starter_code": "",
    "public_test_cases": json.dumps([{"input": "1\n", "output": "2\n", "testtype": "stdin"}]),
    "metadata": "{}",
}


def hidden(value: Any) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


@pytest.fixture(scope="module")
def judges() -> Iterator[Judges]:
    with Judges(1, Limits(cpu_seconds=0.1)) as pool:
        yield pool


def test_each_tiny_problem_has_a_reference_and_answers_that_fail_as_said(judges: Judges) -> None:
    assert len(tiny()) >= 60
    for each in tiny().values():
        early, late, _ = (each.problem.opening + wrong for wrong in each.wrong)
        whole, base = check_of(each.problem), check_of(each.base)
        assert judges.verdict(whole, each.problem.reference).passed, each.problem.id
        assert not judges.verdict(base, early).passed, each.problem.id
        assert judges.verdict(base, late).passed and not judges.verdict(whole, late).passed, each.problem.id
    assert judges.verdict(whole, each.problem.opening + each.wrong[2]).cause == "timeout"


def test_the_planted_pass_at_k_of_the_tiny_problems_is_inside_its_intervals() -> None:
    chances = np.array([each.chance for each in tiny().values()])
    n, rng = 100, np.random.default_rng(0)
    drawn = rng.binomial(n, chances, (100, len(chances)))
    for k in (1, 10, 100):
        truth = float(np.mean(1 - (1 - chances) ** k))
        held = sum(truth in mean_pass_at_k([n] * len(c), c.tolist(), k, seed=i) for i, c in enumerate(drawn))
        assert held >= 90, k


def test_an_operation_on_another_variable_is_told_from_any_other_error(judges: Judges) -> None:
    for problem in binding_problems(10, Seed(1)):
        check = check_of(problem)
        assert judges.verdict(check, problem.reference).passed
        swapped = judges.verdict(check, problem.opening + misbound(problem))
        assert swapped.passed or swapped.detail == WRONGLY_BOUND
        assert judges.verdict(check, f"{problem.opening}    return []\n").detail == "wrong"


def test_programs_that_know_the_examples_alone_pass_the_filter_and_no_more(judges: Judges) -> None:
    for problem in contest_problems(6, Seed(2)):
        check = check_of(problem)
        found = [judges.verdict(check, p) for p in (problem.reference, *wrong_programs(problem))]
        assert [v.cause for v in found] == ["passed", "wrong answer", "wrong answer", "timeout"]
        assert [passes_shown(problem, v.cause, v.calls) for v in found] == [True, False, True, True]


def test_filtered_pass_at_k_of_planted_programmers(tmp_path: Path) -> None:
    config = Code(data="contests", n=9, samples=20, k=(1,), timeout=0.05)
    report = asyncio.run(run_evaluation(config, "code", {"subject": "planted:programmer"}, root=tmp_path)).report
    for level, p in CHANCES.items():
        # two of three wrong programs pass the examples, and one of those two is late
        passes = p + (1 - p) * 2 / 3
        for name, truth in (
            ("filtered pass@1", p / passes),
            ("filtered pass@1, timeouts as right", (p + (1 - p) / 3) / passes),
            ("pass@1, timeouts as right", p + (1 - p) / 3),
            ("share that passes the examples", passes),
        ):
            found = report.estimate(name, level)
            assert found.low is not None and found.high is not None
            assert found.low - 0.1 < truth < found.high + 0.1, (name, level)


def test_a_problem_without_survivors_counts_nothing_and_few_survivors_are_all_taken() -> None:
    def some(task: str, causes: list[str], shown: list[bool]) -> list[Graded]:
        return [
            Graded(task=task, index=i, cause=c, shown=s) for i, (c, s) in enumerate(zip(causes, shown, strict=True))
        ]

    none = some("a", ["wrong answer"] * 4, [False] * 4)
    few = some("b", ["passed", "wrong answer", "timeout", "wrong answer"], [True, True, True, False])
    found = {e.metric: e.value for e in filtered({"a": none, "b": few}, (2, 4), "", 0)}
    assert found["filtered pass@2"] == pytest.approx(pass_at_k(3, 1, 2) / 2)
    assert found["filtered pass@2, timeouts as right"] == pytest.approx(pass_at_k(3, 2, 2) / 2)
    assert found["filtered pass@4"] == pytest.approx(0.5)
    assert found["pass@2, timeouts as right"] == pytest.approx(pass_at_k(4, 2, 2) / 2)


def test_a_statement_shows_its_examples_in_either_way() -> None:
    codeforces = (
        "Sum.\n\n-----Input-----\nTwo.\n\n-----Examples-----\nInput\n1 2\n\nOutput\n3\n\nInput\n4\n5\n\nOutput\n9\n\n"
    )
    assert shown_examples(codeforces) == (("1 2", "3"), ("4\n5", "9"))
    assert shown_examples("Sum.\n-----Sample Input:-----\n1 2\n-----Sample Output:-----\n3\n") == (("1 2", "3"),)
    assert shown_examples("No examples.") == ()


def test_hidden_tests_are_opened_where_candidates_run(judges: Judges, tmp_path: Path) -> None:
    more = json.dumps([{"input": "0\n", "output": "0\n", "testtype": "stdin"}])
    path = lines(tmp_path / "live.jsonl", [{**LIVE, "private_test_cases": hidden(more)}])
    [closed] = read_problems(path).values()
    assert closed.hidden and closed.programs == (("1\n", "2\n"),)
    problem = opened(closed, protect())
    assert problem.programs == (("1\n", "2\n"), ("0\n", "0\n")) and problem.shown == 1
    assert judges.verdict(check_of(problem), "print(2 * int(input()))").passed
    assert not judges.verdict(check_of(problem), "print(1 + int(input()))").passed
    plain = parse_problem({**LIVE, "private_test_cases": more}, "here")
    assert plain.programs == problem.programs


def test_functions_of_livecodebench(judges: Judges) -> None:
    row = {
        **LIVE,
        "metadata": json.dumps({"func_name": "add"}),
        "public_test_cases": json.dumps([{"input": "1\n2", "output": "3", "testtype": "functional"}]),
        "private_test_cases": hidden(json.dumps([{"input": "-1\n5", "output": "4", "testtype": "functional"}])),
    }
    problem = opened(parse_problem(row, "here"), protect())
    right = "class Solution:\n    def add(self, a, b):\n        return a + b" + problem.adapter
    assert judges.verdict(check_of(problem), right).passed
    wrong = judges.verdict(check_of(problem), right.replace("a + b", "abs(a) + b"))
    assert not wrong.passed and passes_shown(problem, wrong.cause, wrong.calls)


class _Leaves:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (self.path, "w"))


def test_a_pickle_that_acts_finds_nothing_to_act_on(tmp_path: Path) -> None:
    target = tmp_path / "written"
    problem = parse_problem({**LIVE, "private_test_cases": hidden(_Leaves(str(target)))}, "here")
    with pytest.raises(DataError, match="hidden tests cannot be opened"):
        opened(problem, protect())
    assert not target.exists()


def test_planted_answers_are_known_for_every_embedded_set() -> None:
    for name in ("brook", "chains", "bindings", "contests", "mini"):
        for problem in open_problems(name, 10, Seed(0)):
            written = written_for(problem)
            assert written is not None and 0 < written.chance < 1 and len(written.wrong) >= 2
            assert problem.opening + written.right == problem.reference
