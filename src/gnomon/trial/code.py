"""From a problem to what the judge asks of a candidate, and from a model's reply to the program that is judged."""

from __future__ import annotations

import ast
import re
from typing import Literal

from gnomon.core.errors import DataError, GnomonError
from gnomon.data.code_contests import with_tests
from gnomon.data.code_problem import Problem
from gnomon.sandbox import Check, Limits, Protection, called
from gnomon.stats.bleu import bleu, code_tokens

__all__ = ["Binding", "Extracted", "check_of", "extract", "likeness", "opened", "passes_shown", "program_of"]

# What the test's own uses of the entry point's name are: HumanEval/33 compares the candidate with it.
Binding = Literal["candidate", "reference"]

_OPEN = """
import base64, json, pickle, zlib

def tests(text):
    return json.loads(pickle.loads(zlib.decompress(base64.b64decode(text))))
"""
_TO_OPEN = Limits(cpu_seconds=60.0, memory_bytes=4 << 30, answer_bytes=1 << 28)
_FENCE = re.compile(r"```[a-zA-Z0-9_+-]*\n(.*?)(?:```|\Z)", re.S)
_MOST_LINES = 400

Extracted = tuple[str, str]
"""A program, and how it was found: "fence", "whole", "span", "completion" or "none"."""


def check_of(problem: Problem, bind: Binding = "candidate") -> Check:
    """What the judge runs for `problem`; DataError where it has no tests."""
    if not problem.programs and not problem.test:
        raise DataError("the problem has no tests", where=problem.id)
    return Check(
        names=problem.names,
        test=problem.test,
        setup=problem.setup,
        call=problem.call,
        # a test that calls the function by its name has no other way to the candidate
        reference_bound=problem.compared or (bind == "reference" and bool(problem.call)),
        back=problem.in_place,
        programs=problem.programs,
    )


def passes_shown(problem: Problem, cause: str, calls: int) -> bool | None:
    """Whether a program passes the examples of the statement, which are the first tests; None where it shows none.

    Args:
        cause, calls: of its verdict.
    """
    if not problem.shown:
        return None
    # a wrong answer of a function is an answered call too
    wrong = not problem.programs and cause in ("wrong answer", "unreadable answer")
    return cause == "passed" or calls - wrong >= problem.shown


def opened(problem: Problem, protection: Protection) -> Problem:
    """`problem` with its hidden tests, which are decoded where candidates run: a pickle can do anything.

    Raises:
        DataError: they are no tests.
    """
    if not problem.hidden:
        return problem
    try:
        tests = called(_OPEN, "tests", [problem.hidden], protection, _TO_OPEN)
        return with_tests(problem, tests)
    except (GnomonError, TypeError, KeyError, ValueError) as error:
        raise DataError(f"hidden tests cannot be opened ({error})", where=problem.id) from None


def program_of(problem: Problem, completion: str) -> str:
    """The program that a completion of the problem's prompt makes; the completion is cut where the function ends."""
    cuts = [place for stop in problem.stops if (place := completion.find(stop)) >= 0]
    return problem.program(problem.opening + completion[: min(cuts, default=len(completion))])


def likeness(problem: Problem, source: str) -> float | None:
    """BLEU of what a program adds to the prompt, to what the reference adds; None where there is no reference."""
    if not problem.reference:
        return None
    ours, theirs = (text.removeprefix(problem.opening) for text in (source, problem.reference))
    return bleu(code_tokens(ours), code_tokens(theirs))


def extract(problem: Problem, reply: str) -> Extracted:
    """The program in a reply that was asked for in words: a fenced block with the function, else the whole reply where
    it parses, else the longest parsable lines around the definition; what the prompt imports and defines goes before.
    """
    entry = problem.entry_point
    blocks = [b for b in _FENCE.findall(reply) if not entry or _defines(b, entry)]
    if blocks:
        return _with_prompt(problem, blocks[0]), "fence"
    if _parses(reply) and (not entry or _defines(reply, entry)):
        return _with_prompt(problem, reply), "whole"
    found = _span(reply, entry) if entry else ""
    if found:
        return _with_prompt(problem, found), "span"
    if entry and _parses(problem.opening + reply):
        return problem.program(problem.opening + reply), "completion"
    return reply, "none"


def _with_prompt(problem: Problem, text: str) -> str:
    """The program after the prompt's imports and helpers, where those can stand alone."""
    try:
        body = ast.parse(problem.opening).body
    except (SyntaxError, ValueError):
        return problem.program(text)
    kept = [n for n in body if not isinstance(n, ast.FunctionDef) or n.name != problem.entry_point]
    before = "\n".join(ast.unparse(n) for n in kept if not isinstance(n, ast.Expr))
    return problem.program(f"{before}\n{text}" if before else text)


def _defines(text: str, entry: str) -> bool:
    return bool(re.search(rf"^\s*(?:async\s+)?def\s+{re.escape(entry)}\b", text, re.M))


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _span(reply: str, entry: str) -> str:
    """The longest lines from an import or the definition on that parse and define `entry`."""
    lines = reply.splitlines()[:_MOST_LINES]
    starts = [i for i, line in enumerate(lines) if re.match(r"(import |from |def |async def |class |@)", line)]
    for start in starts:
        for end in range(len(lines), start, -1):
            text = "\n".join(lines[start:end])
            if _defines(text, entry) and _parses(text):
                return text
    return ""
