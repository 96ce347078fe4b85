"""A function and what it is said to do, the other way round: signature, body, and then the docstring.

Chen et al. 2021, "Evaluating Large Language Models Trained on Code", arXiv 2107.03374, sec. 5: a model that writes
docstrings, and the choice among programs by the chance of the problem's own docstring behind each.
"""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import NamedTuple

from gnomon.core.errors import DataError
from gnomon.data.code_sets import Problem

__all__ = ["Described", "described", "docstring_stops", "with_docstring"]

# Brook says the task before the code, and has no quotes.
_TASK, _CODE = "Task:", " Code: "
_QUOTES = '"""'


class Described(NamedTuple):
    """A program, and the docstring that is to follow it.

    Attributes:
        prompt: signature and body, and what begins a docstring.
        docstring: the problem's own.
        end: what ends it.
    """

    prompt: str
    docstring: str
    end: str


class _Parts(NamedTuple):
    """What stands before the docstring in the prompt, its text, and what of the prompt follows it."""

    before: str
    docstring: str
    after: str


def described(problem: Problem, source: str) -> Described:
    """The program `source`, written for `problem`, with the docstring last.

    Raises:
        DataError: the problem's prompt is no function with a docstring.
    """
    if problem.prompt.startswith(_TASK):
        said = problem.prompt.removesuffix(_CODE + problem.opening).removeprefix(_TASK)
        return Described(f"{_CODE.strip()} {source} {_TASK}", said, "")
    before, docstring, after = _parts(problem)
    body = source.removeprefix(problem.opening).removesuffix(problem.adapter)
    indent = before[before.rindex("\n") + 1 :]
    code = f"{before.rstrip()}{after.rstrip(' ')}{body.rstrip()}"
    return Described(f"{code}\n{indent}{_QUOTES}", docstring, f"{_QUOTES}\n")


def docstring_stops(problem: Problem) -> tuple[str, ...]:
    """Where a docstring for `problem` ends."""
    return ("\n", " Code:", "Code:") if problem.prompt.startswith(_TASK) else (_QUOTES,)


def with_docstring(problem: Problem, docstring: str) -> Problem:
    """The problem asked for in other words; its tests stay.

    Raises:
        DataError: the problem's prompt is no function with a docstring.
    """
    if problem.prompt.startswith(_TASK):
        return replace(problem, prompt=f"{_TASK} {docstring.strip()}{_CODE}{problem.opening}")
    before, _, after = _parts(problem)
    # A docstring that ends in its own quotes or a backslash would not end where it is meant to.
    said = docstring.replace(_QUOTES, "'''").rstrip("\\")
    prompt = f"{before}{_QUOTES}{said}{_QUOTES}{after}"
    return replace(problem, prompt=prompt, opening=prompt, text=prompt)


def _parts(problem: Problem) -> _Parts:
    """The prompt around its docstring."""
    found = _docstring(problem)
    if found is None or problem.opening != problem.prompt:
        what = "the prompt is no function with a docstring"
        raise DataError(what, where=problem.id, todo="give problems in HumanEval's form")
    text = problem.opening.encode()
    lines = text.splitlines(keepends=True)
    starts = [sum(map(len, lines[:number])) for number in range(len(lines))]
    begin = starts[found.lineno - 1] + found.col_offset
    end = starts[(found.end_lineno or 1) - 1] + (found.end_col_offset or 0)
    return _Parts(text[:begin].decode(), str(found.value), text[end:].decode())


def _docstring(problem: Problem) -> ast.Constant | None:
    """The text that the problem's function begins with, where it does."""
    try:
        tree = ast.parse(problem.reference)
    except (SyntaxError, ValueError):
        return None
    named = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == problem.entry_point]
    first = named[-1].body[0] if named else None
    said = first.value if isinstance(first, ast.Expr) else None
    return said if isinstance(said, ast.Constant) and isinstance(said.value, str) else None
