"""HumanEval+ and MBPP+ as evalplus releases them: tables of inputs, for which the reference says what is right.

What is right is what `evalplus.evaluate` takes for it: equality, closeness of floats, and for some problems an oracle
of their own, because several answers are right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gnomon.data.code_problem import STOPS, Problem

__all__ = ["table_problem"]

_TEST = """
import cmath, math

def close(ours, theirs, atol):
    if isinstance(theirs, (list, tuple)):
        alike = isinstance(ours, (list, tuple)) and len(ours) == len(theirs)
        return alike and all(close(a, b, atol) for a, b in zip(ours, theirs))
    if ours == theirs:
        return True
    numbers = all(isinstance(x, (int, float, complex)) and cmath.isfinite(x) for x in (ours, theirs))
    return numbers and abs(ours - theirs) <= atol + 1e-7 * abs(theirs)

def floats(value):
    return isinstance(value, float) or isinstance(value, (list, tuple)) and value and all(map(floats, value))

def same(ours, theirs):
    if ours == theirs:
        return True
    atol = ATOL or (1e-6 if floats(theirs) else 0)
    return bool(atol) and type(ours) is type(theirs) and close(ours, theirs, atol)

def check(candidate):
    from copy import deepcopy
    for place, args in enumerate(INPUTS):
        wanted = REFERENCE(*deepcopy(args))
        answer = candidate(*args)
        assert ORACLE, f"input {place}"
"""
_SAME, _SAME_SET = "same(answer, wanted)", "set(answer) == set(wanted)"
_FOUND = "answer == (wanted is not None) if isinstance(answer, bool) else (answer is None) == (wanted is None)"
_PYRAMID = "round(args[0] ** 2 + 2 * args[0] * math.sqrt((args[0] / 2) ** 2 + args[1] ** 2))"
_DIGITS = (
    "sum(abs(int(a) - int(b)) for a, b in"
    " zip(*(str(n).zfill(max(len(str(args[0])), len(str(args[1])))) for n in args)))"
)
_ORACLES = {
    "HumanEval": {"find_zero": "abs(sum(c * math.pow(answer, i) for i, c in enumerate(args[0]))) <= ATOL"},
    "Mbpp": {
        "are_equivalent": "True",
        "sum_div": f"{_SAME} or answer == 0",
        "surface_Area": f"{_SAME} or abs(answer - {_PYRAMID}) <= ATOL",
        "digit_distance_nums": f"{_SAME} or answer == {_DIGITS}",
        **dict.fromkeys(("check_str", "text_match_three", "text_starta_endb"), _FOUND),
        **dict.fromkeys(("similar_elements", "find_char_long", "common_in_nested_lists", "extract_singly"), _SAME_SET),
        **dict.fromkeys(("larg_nnum", "intersection_array", "find_dissimilar", "Diff"), _SAME_SET),
    },
}
# Where it counts whether something was found, what was found may be an object that cannot be sent.
_TOLD = """
if {name!r} in globals():
    def {name}(*args, _found={name}):
        found = _found(*args)
        return found if found is None or isinstance(found, bool) else True
"""


def table_problem(row: Mapping[str, Any]) -> Problem:
    """A row of HumanEval+ or MBPP+ with `base_input` and `plus_input`; a candidate is judged by both."""
    entry, prompt = row["entry_point"], row["prompt"]
    reference = prompt + row["canonical_solution"]
    kind, _, number = str(row["task_id"]).partition("/")
    inputs = [*row["base_input"], *row["plus_input"]]
    if kind == "Mbpp":
        inputs = [list(_SHAPES.get(int(number), _as_it_is)(args)) for args in inputs]
    oracle = _ORACLES.get(kind, {}).get(entry, _SAME)
    test = _TEST.replace("ORACLE", oracle)
    return Problem(
        id=str(row["task_id"]),
        prompt=prompt,
        opening=prompt,
        stops=STOPS,
        entry_point=entry,
        reference=reference,
        setup=f"{reference}\nREFERENCE = {entry}\n",
        test=f"from math import inf, nan\nINPUTS = {inputs!r}\nATOL = {row.get('atol', 0)!r}\n{test}",
        names=(entry,),
        call="check",
        compared=True,
        adapter=_TOLD.format(name=entry) if oracle == _FOUND else "",
        text=prompt,
    )


# JSON has neither tuples nor sets nor complex numbers, so the file has lists and texts for them.


def _as_it_is(args: Sequence[Any]) -> Sequence[Any]:
    return args


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _rows(value: Sequence[Any]) -> list[Any]:
    return [tuple(row) for row in value]


def _shapes() -> dict[int, Callable[[Sequence[Any]], Sequence[Any]]]:
    every = "2 116 132 143 222 261 273 394 399 421 424 429 470 560 579 596 616 630 726 740 744 809"
    shaped: list[tuple[str, Callable[[Sequence[Any]], Sequence[Any]]]] = [
        (every, _rows),
        ("63 64 70 94 120 237 272 299 400 409 417 438 473 614 780", lambda args: [_rows(a) for a in args]),
        ("75 413 444 753", lambda args: [_rows(args[0]), *args[1:]]),
        ("106 750", lambda args: [args[0], tuple(args[1])]),
        ("115", lambda args: [[set(x) if isinstance(x, list) and x else {} for x in args[0]]]),
        ("124", lambda args: [float(args[0]), complex(args[1])]),
        ("250 307 405 446 617 720 763 808", lambda args: [tuple(args[0]), *args[1:]]),
        ("259 401 445", lambda args: [tuple(_rows(a)) for a in args]),
        ("278", lambda args: [tuple(tuple(x) if isinstance(x, list) else x for x in args[0])]),
        ("722", lambda args: [{key: tuple(value) for key, value in args[0].items()}, *args[1:]]),
        ("252", lambda args: [complex(args[0])]),
        ("580 615 791", lambda args: [_tuples(a) for a in args]),
    ]
    return {int(number): shape for numbers, shape in shaped for number in numbers.split()}


_SHAPES = _shapes()
