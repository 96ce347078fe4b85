"""Contest problems as APPS and LiveCodeBench publish them: examples shown in the statement first, then hidden tests.

LiveCodeBench (livecodebench/code_generation_lite) hides tests as base64 of zlib of a pickle. A pickle can run code, so
it is kept as text here; `gnomon.trial.code` opens it where candidates run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gnomon.data.code_problem import Problem

__all__ = ["apps_problem", "live_problem", "shown_examples", "with_tests"]

_SECTION = re.compile(r"-{3,}\s*Examples?\s*-{3,}\s*\n(.*?)(?=\n-{3,}|\Z)", re.S)
_EXAMPLE = re.compile(r"Input\n(.*?)\n\s*Output\n(.*?)(?=\n\s*Input\n|\Z)", re.S)
_SAMPLE = re.compile(
    r"-{3,}\s*Sample Input[^-\n]*-{3,}\s*\n(.*?)\n-{3,}\s*Sample Output[^-\n]*-{3,}\s*\n(.*?)(?=\n-{3,}|\Z)", re.S
)
_METHOD = "\nif 'Solution' in globals():\n    {name} = Solution().{name}\n"
# Solutions of both sets count on these: the graders of each import them, and more that nobody needs.
_NAMES = {
    "typing": "Any Callable Dict Iterable Iterator List Optional Set Tuple Union",
    "collections": "ChainMap Counter OrderedDict defaultdict deque namedtuple",
    "itertools": "accumulate chain combinations combinations_with_replacement count cycle groupby islice"
    " permutations product repeat starmap takewhile zip_longest",
    "functools": "cache cmp_to_key lru_cache partial reduce",
    "math": "ceil comb cos exp fabs factorial floor gcd inf isqrt log log10 log2 sin sqrt tan",
    "heapq": "heapify heappop heappush heappushpop heapreplace merge nlargest nsmallest",
    "bisect": "bisect_left bisect_right insort",
}
_MODULES = (
    "bisect collections copy datetime fractions functools heapq itertools math operator random re string sys time"
)
_IMPORTS = (
    *(f"import {module}" for module in _MODULES.split()),
    *(f"from {module} import {name}" for module, names in _NAMES.items() for name in names.split()),
)
_TEST = """
def plain(value):
    return [plain(x) for x in value] if isinstance(value, (list, tuple)) else value

for place, (args, wanted) in enumerate(zip(INPUTS, WANTED)):
    answer = plain({name}(*args))
    assert answer == wanted or [answer] == wanted, f"input {{place}}"
"""


def shown_examples(statement: str) -> tuple[tuple[str, str], ...]:
    """Inputs and outputs that a statement of APPS shows, in either of the two ways its sources write them.

    >>> shown_examples("Add.\\n-----Examples-----\\nInput\\n1 2\\n\\nOutput\\n3\\n\\n-----Note-----\\nEasy.")
    (('1 2', '3'),)
    """
    section = _SECTION.search(statement)
    pairs = _EXAMPLE.findall(section[1]) if section else _SAMPLE.findall(statement)
    return tuple((given.strip(), wanted.strip()) for given, wanted in pairs)


def apps_problem(row: Mapping[str, Any]) -> Problem:
    """APPS: whole programs, or where `fn_name` is given a function or a method of `Solution`; untested where the row
    has no tests.
    """
    tests = json.loads(row["input_output"]) if row["input_output"] else {}
    solutions = json.loads(row["solutions"]) if row.get("solutions") else []
    starter = row.get("starter_code") or ""
    how = "\nUse Call-Based format" if tests.get("fn_name") else "\nUse Standard Input format"
    common: dict[str, Any] = {
        "id": str(row.get("problem_id", row.get("id"))),
        "prompt": f"\nQUESTION:\n{row['question']}\n{starter}{how}\nANSWER:\n",
        "reference": solutions[0] if solutions else "",
        "text": f"{row['question']}\n{starter}",
        "level": row.get("difficulty") or "",
        "imports": _IMPORTS,
    }
    if not tests.get("fn_name"):
        shown = shown_examples(row["question"])
        pairs = tuple(
            (_lines(a), _lines(b)) for a, b in zip(tests.get("inputs", ()), tests.get("outputs", ()), strict=True)
        )
        return Problem(**common, programs=(*shown, *pairs) if pairs else (), shown=len(shown) if pairs else 0)
    name = tests["fn_name"]
    wanted = [w[0] if isinstance(w, list) and len(w) == 1 else w for w in tests["outputs"]]
    return Problem(
        **common,
        entry_point=name,
        names=(name,),
        adapter=_METHOD.format(name=name),
        test=_calls(name, tests["inputs"], wanted),
    )


def live_problem(row: Mapping[str, Any]) -> Problem:
    """LiveCodeBench: its public tests are the examples shown; hidden ones stay closed where they are encoded."""
    shown, hidden = json.loads(row["public_test_cases"]), row.get("private_test_cases") or "[]"
    name = json.loads(row.get("metadata") or "{}").get("func_name", "")
    problem = Problem(
        id=str(row["question_id"]),
        prompt=f"{row['question_content']}\n{row.get('starter_code') or ''}\nANSWER:\n",
        text=f"{row['question_content']}\n{row.get('starter_code') or ''}",
        level=row.get("difficulty") or "",
        imports=_IMPORTS,
        entry_point=name,
        names=(name,) if name else (),
        adapter=_METHOD.format(name=name) if name else "",
        shown=len(shown),
    )
    problem = with_tests(problem, shown)
    return with_tests(problem, json.loads(hidden)) if hidden.startswith("[") else replace(problem, hidden=hidden)


def with_tests(problem: Problem, tests: Sequence[Mapping[str, str]]) -> Problem:
    """`problem` with further tests of LiveCodeBench, each an `input` and an `output`."""
    if not problem.entry_point:
        more = tuple((test["input"], test["output"]) for test in tests)
        return replace(problem, programs=(*problem.programs, *more), hidden="")
    inputs = [[json.loads(line) for line in test["input"].splitlines() if line.strip()] for test in tests]
    wanted = [json.loads(test["output"]) for test in tests]
    return replace(problem, test=problem.test + _calls(problem.entry_point, inputs, wanted), hidden="")


def _calls(name: str, inputs: Sequence[Any], wanted: Sequence[Any]) -> str:
    return f"from math import inf, nan\nINPUTS = {inputs!r}\nWANTED = {wanted!r}\n{_TEST.format(name=name)}"


def _lines(text: object) -> str:
    return "\n".join(map(str, text)) if isinstance(text, list) else str(text)
