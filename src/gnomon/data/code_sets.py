"""Problems to write programs for: HumanEval, HumanEval+, MBPP, MBPP+, APPS, LiveCodeBench, each as it is published.

`read_problems` recognises the form from the fields of a row. Tests and references are code that is run by the judge,
so a problem file is trusted; candidates never are.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gnomon.core.errors import DataError
from gnomon.data.code_contests import apps_problem, live_problem
from gnomon.data.code_problem import STOPS, Problem, problem_from
from gnomon.data.code_tables import table_problem
from gnomon.data.formats import read_bytes, read_jsonl, read_parquet

__all__ = ["STOPS", "Problem", "parse_problem", "problem_from", "read_problems"]


def read_problems(path: Path) -> dict[str, Problem]:
    """The problems of a file by id, in its order: JSONL, JSON or Parquet, gzipped or not.

    Raises:
        DataError: no such file, a row of no known form (with its line), an id twice, or no problem with tests.
    """
    found: dict[str, Problem] = {}
    for number, record in _records(path):
        where = f"{path}, line {number}"
        problem = parse_problem(record, where)
        if problem.id in found:
            raise DataError(f"problem {problem.id!r} is there twice", where=where)
        found[problem.id] = problem
    if not any(problem.tested for problem in found.values()):
        raise DataError("holds no problems with tests", where=str(path))
    return found


def parse_problem(record: Mapping[str, Any], where: str) -> Problem:
    """The problem that one row holds.

    Raises:
        DataError: the row has the fields of no known form, or they do not fit.
    """
    if not isinstance(record, Mapping):
        raise DataError(f"holds a {type(record).__name__}, not an object", where=where)
    try:
        for needed, read in _FORMS:
            if needed <= record.keys():
                problem = read(record)
                ast.parse(problem.setup)
                if problem.call and problem.call not in _defined(problem.test):
                    raise ValueError(f"its test defines no {problem.call}")
                return problem
    except (KeyError, TypeError, ValueError, SyntaxError, RecursionError) as error:
        raise DataError(f"row does not fit its form ({type(error).__name__}: {error})", where=where) from None
    raise DataError(
        f"row is no problem; it has {', '.join(map(str, record))}",
        where=where,
        todo="give a file of HumanEval, HumanEval+, MBPP, MBPP+, APPS or LiveCodeBench",
    )


def _records(path: Path) -> Iterator[tuple[int, Any]]:
    if path.name.endswith(".parquet"):
        yield from read_parquet(path)
        return
    if not read_bytes(path).lstrip(b"\xef\xbb\xbf \n\r\t").startswith(b"["):
        yield from read_jsonl(path)
        return
    try:
        yield from enumerate(json.loads(read_bytes(path)), 1)
    except (ValueError, RecursionError) as error:
        raise DataError(f"cannot be read: {error}", where=str(path)) from None


def _humaneval(row: Mapping[str, Any]) -> Problem:
    reference = row["prompt"] + row["canonical_solution"]
    return Problem(
        id=str(row["task_id"]),
        prompt=row["prompt"],
        opening=row["prompt"],
        stops=STOPS,
        entry_point=row["entry_point"],
        reference=reference,
        setup=reference,
        test=row["test"],
        names=(row["entry_point"],),
        call="check",
        text=row["prompt"],
    )


def _mbpp(row: Mapping[str, Any]) -> Problem:
    """MBPP and MBPP+: assertions that call a function by its name, which only the reference tells."""
    code, asserts = row["code"], [*row["test_list"], *row.get("challenge_test_list", ())]
    before = "\n".join(row.get("test_imports", ())) or row.get("test_setup_code", "")
    test = "\n".join([before, row["test"] if row.get("test") else "\n".join(asserts)])
    names = _called(test, _defined(code))
    if not names:
        raise ValueError("the tests call nothing that the solution defines")
    text = row.get("text") or row["prompt"]
    shown = "\n".join(row["test_list"])
    return Problem(
        id=str(row["task_id"]),
        prompt=f'"""\n{text}\n{shown}\n"""\n',
        stops=("\nassert", "\nprint", "\nif", '\n"""', "\n```"),
        entry_point=names[0],
        reference=code,
        setup=code,
        test=test,
        names=tuple(names),
        text=f"{text}\nYour code should pass these tests:\n{shown}",
    )


_FORMS = (
    ({"task_id", "prompt", "entry_point", "canonical_solution", "base_input", "plus_input"}, table_problem),
    ({"task_id", "prompt", "entry_point", "canonical_solution", "test"}, _humaneval),
    ({"task_id", "code", "test_list"}, _mbpp),
    ({"question", "input_output"}, apps_problem),
    ({"question_id", "question_content", "public_test_cases"}, live_problem),
)


def _defined(code: str) -> list[str]:
    return [n.name for n in ast.parse(code).body if isinstance(n, ast.FunctionDef | ast.ClassDef)]


def _called(test: str, defined: list[str]) -> list[str]:
    """Those of `defined` that the test names, in the order of their first use."""
    used = [n.id for n in ast.walk(ast.parse(test)) if isinstance(n, ast.Name)]
    return [name for name in dict.fromkeys(used) if name in defined]
