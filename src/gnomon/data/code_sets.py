"""Problems to write programs for: HumanEval, HumanEval+, MBPP, MBPP+ and APPS, each in the form it is published in.

`read_problems` recognises the form from the fields of a row. Tests and references are code that is run by the judge,
so a problem file is trusted; candidates never are.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnomon.core.errors import DataError
from gnomon.data.formats import read_bytes, read_parquet

__all__ = ["STOPS", "Problem", "parse_problem", "problem_from", "read_problems"]

# Where the completion of a function ends (Chen et al. 2021, sec. 2.1).
STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One problem.

    Attributes:
        id: as the set names it, such as "HumanEval/0".
        prompt: what a model continues.
        opening: the part of the prompt that the program begins with; a completion is graded after it.
        stops: where a completion ends.
        entry_point: the function that is tested; "" for whole programs.
        reference: a right solution as a whole program; "" where the set has none.
        test: Python that raises where a candidate is wrong.
        setup: trusted Python run before the test; the reference with its helpers.
        names: functions of the candidate's that the test calls, the entry point first.
        call: the test's function that takes the candidate, as in `check(candidate)`; "" for none.
        programs: input and wanted output of each run of a whole program.
        adapter: Python appended to every candidate, such as what calls the method of a class.
        text: the task in words, for models that are talked to.
        level: how hard it is said to be; "" where it is not.
    """

    id: str
    prompt: str = ""
    opening: str = ""
    stops: tuple[str, ...] = ()
    entry_point: str = ""
    reference: str = ""
    test: str = ""
    setup: str = ""
    names: tuple[str, ...] = ()
    call: str = ""
    programs: tuple[tuple[str, str], ...] = ()
    adapter: str = ""
    text: str = ""
    level: str = ""

    @property
    def in_place(self) -> bool:
        """Whether the reference returns nothing, so that the test must look at what it did to its arguments."""
        return bool(self.entry_point and self.reference) and not _returns(self.reference, self.entry_point)


def problem_from(fields: Mapping[str, Any]) -> Problem:
    """The problem whose fields (`dataclasses.asdict`) have been through JSON, which makes lists of tuples."""
    found: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    return Problem(**{**found, "programs": tuple((given, wanted) for given, wanted in fields["programs"])})


def read_problems(path: Path) -> dict[str, Problem]:
    """The problems of a file by id, in its order: JSONL, JSON or Parquet, gzipped or not.

    Raises:
        DataError: no such file, a row of no known form (with its line), an id twice, or no problem at all.
    """
    found: dict[str, Problem] = {}
    for number, record in _records(path):
        where = f"{path}, line {number}"
        problem = parse_problem(record, where)
        if problem.id in found:
            raise DataError(f"problem {problem.id!r} is there twice", where=where)
        found[problem.id] = problem
    if not found:
        raise DataError("holds no problems", where=str(path))
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
                return read(record)
    except (KeyError, TypeError, ValueError, SyntaxError) as error:
        raise DataError(f"row does not fit its form ({type(error).__name__}: {error})", where=where) from None
    raise DataError(
        f"row is no problem; it has {', '.join(map(str, record))}",
        where=where,
        todo="give a file of HumanEval, HumanEval+, MBPP, MBPP+ or APPS",
    )


def _records(path: Path) -> Iterator[tuple[int, Any]]:
    if path.name.endswith(".parquet"):
        yield from read_parquet(path)
        return
    try:
        text = read_bytes(path).decode("utf-8")
        if text.lstrip().startswith("["):
            yield from enumerate(json.loads(text), 1)
            return
    except ValueError as error:
        raise DataError(f"cannot be read: {error}", where=str(path)) from None
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise DataError(f"is no JSON: {error}", where=f"{path}, line {number}") from None


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


# What evalplus asks of an answer: equality, or closeness where the set gives a tolerance and the answer has floats.
_TABLE_TEST = """
import math

def same(ours, theirs, atol):
    if ours == theirs:
        return True
    if isinstance(theirs, float) or isinstance(theirs, list) and any(isinstance(x, float) for x in theirs):
        atol = atol or 1e-6
    if atol and isinstance(theirs, (int, float)) and isinstance(ours, (int, float)):
        return math.isclose(ours, theirs, rel_tol=1e-07, abs_tol=atol)
    if atol and isinstance(theirs, (list, tuple)) and type(ours) is type(theirs) and len(ours) == len(theirs):
        return all(same(a, b, atol) for a, b in zip(ours, theirs))
    return False

def check(candidate):
    from copy import deepcopy
    for place, args in enumerate(INPUTS):
        wanted = REFERENCE(*deepcopy(args))
        answer = candidate(*args)
        assert same(answer, wanted, ATOL), f"input {place}"
"""


def _table(row: Mapping[str, Any]) -> Problem:
    """HumanEval+ and MBPP+ as evalplus releases them: tables of inputs, the reference says what is right."""
    entry = row["entry_point"]
    reference = row["prompt"] + row["canonical_solution"]
    inputs = [*row["base_input"], *row["plus_input"]]
    setup = f"{reference}\nREFERENCE = {entry}\n"
    test = f"INPUTS = {inputs!r}\nATOL = {row.get('atol', 0)!r}\n{_TABLE_TEST}"
    return Problem(
        id=str(row["task_id"]),
        prompt=row["prompt"],
        opening=row["prompt"],
        stops=STOPS,
        entry_point=entry,
        reference=reference,
        setup=setup,
        test=test,
        names=(entry,),
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


def _apps(row: Mapping[str, Any]) -> Problem:
    """APPS: whole programs, or where `fn_name` is given a function or a method of `Solution`."""
    tests = json.loads(row["input_output"]) if row["input_output"] else {}
    solutions = json.loads(row["solutions"]) if row.get("solutions") else []
    if not tests.get("inputs"):
        raise ValueError("the problem has no tests")
    starter = row.get("starter_code") or ""
    how = "\nUse Call-Based format" if tests.get("fn_name") else "\nUse Standard Input format"
    common: dict[str, Any] = {
        "id": str(row.get("problem_id", row.get("id"))),
        "prompt": f"\nQUESTION:\n{row['question']}\n{starter}{how}\nANSWER:\n",
        "reference": solutions[0] if solutions else "",
        "text": f"{row['question']}\n{starter}",
        "level": row.get("difficulty") or "",
    }
    if not tests.get("fn_name"):
        pairs = zip(tests["inputs"], tests["outputs"], strict=True)
        return Problem(**common, programs=tuple((_lines(a), _lines(b)) for a, b in pairs))
    name = tests["fn_name"]
    wanted = [w[0] if isinstance(w, list) and len(w) == 1 else w for w in tests["outputs"]]
    return Problem(
        **common,
        entry_point=name,
        names=(name,),
        adapter=f"\nif 'Solution' in globals():\n    {name} = Solution().{name}\n",
        test=f"INPUTS = {tests['inputs']!r}\nWANTED = {wanted!r}\n{_CALL_TEST.format(name=name)}",
    )


_CALL_TEST = """
def plain(value):
    return [plain(x) for x in value] if isinstance(value, (list, tuple)) else value

for place, (args, wanted) in enumerate(zip(INPUTS, WANTED)):
    answer = plain({name}(*args))
    assert answer == wanted or [answer] == wanted, f"input {{place}}"
"""

_FORMS = (
    ({"task_id", "prompt", "entry_point", "canonical_solution", "base_input", "plus_input"}, _table),
    ({"task_id", "prompt", "entry_point", "canonical_solution", "test"}, _humaneval),
    ({"task_id", "code", "test_list"}, _mbpp),
    ({"question", "input_output"}, _apps),
)


def _lines(text: object) -> str:
    return "\n".join(map(str, text)) if isinstance(text, list) else str(text)


def _defined(code: str) -> list[str]:
    return [n.name for n in ast.parse(code).body if isinstance(n, ast.FunctionDef | ast.ClassDef)]


def _called(test: str, defined: list[str]) -> list[str]:
    """Those of `defined` that the test names, in the order of their first use."""
    used = [n.id for n in ast.walk(ast.parse(test)) if isinstance(n, ast.Name)]
    return [name for name in dict.fromkeys(used) if name in defined]


def _returns(code: str, entry: str) -> bool:
    """Whether the last function `entry` of `code` gives something back."""
    found = [n for n in ast.parse(code).body if isinstance(n, ast.FunctionDef) and n.name == entry]
    if not found:
        return True
    return any(
        isinstance(n, ast.Yield | ast.YieldFrom) or (isinstance(n, ast.Return) and n.value is not None)
        for n in ast.walk(found[-1])
    )
