"""A problem to write a program for, whatever set it is from."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["STOPS", "Problem", "beside_reference", "problem_from"]

# Where the completion of a function ends (Chen et al. 2021, sec. 2.1).
STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
_WORD = re.compile(r"\w+")
# Nothing may stand before these.
_FUTURE = re.compile(r"^from __future__ import (?:[^(\n]*|\([^)]*\).*)\n", re.M)


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
        compared: what is right is what the reference says, so that calls of its own name must stay its own.
        programs: input and wanted output of each run of a whole program.
        adapter: Python appended to every candidate, such as what calls the method of a class.
        imports: statements that the set's own graders put before a program; those whose name it uses are.
        text: the task in words, for models that are talked to.
        level: how hard it is said to be; "" where it is not.
        shown: how many of the tests, the first ones, are examples that the statement shows.
        hidden: tests that are still to be opened, as LiveCodeBench encodes them.
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
    compared: bool = False
    programs: tuple[tuple[str, str], ...] = ()
    adapter: str = ""
    imports: tuple[str, ...] = ()
    text: str = ""
    level: str = ""
    shown: int = 0
    hidden: str = ""

    @property
    def tested(self) -> bool:
        """Whether there is anything to judge a program by; some rows of APPS have nothing."""
        return bool(self.test or self.programs or self.hidden)

    def program(self, text: str) -> str:
        """The program that is judged where `text` was written."""
        words = set(_WORD.findall(text)) if self.imports else set()
        line = "; ".join(statement for statement in self.imports if statement.rpartition(" ")[2] in words)
        if not line:
            return text + self.adapter
        first = [found.end() for found in _FUTURE.finditer(text)]
        place = first[-1] if first else 0
        return f"{text[:place]}{line}\n{text[place:]}{self.adapter}"

    @property
    def in_place(self) -> bool:
        """Whether the reference returns nothing, so that the test must look at what it did to its arguments."""
        return bool(self.entry_point and self.reference) and not _returns(self.reference, self.entry_point)


def beside_reference(
    id: str,
    opening: str,
    entry_point: str,
    reference: str,
    test: str,
    *,
    level: str,
    prompt: str = "",
    stops: tuple[str, ...] = STOPS,
    text: str = "",
) -> Problem:
    """A problem whose test, a `check(candidate)`, compares with the reference, there as `REFERENCE`.

    Where nothing else is given the opening is all that a model is told.
    """
    return Problem(
        id=id,
        prompt=prompt or opening,
        opening=opening,
        stops=stops,
        entry_point=entry_point,
        reference=reference,
        setup=f"{reference}\nREFERENCE = {entry_point}\n",
        test=test,
        names=(entry_point,),
        call="check",
        compared=True,
        text=text or opening,
        level=level,
    )


def problem_from(fields: Mapping[str, Any]) -> Problem:
    """The problem whose fields (`dataclasses.asdict`) have been through JSON, which makes lists of tuples."""
    found: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    return Problem(**{**found, "programs": tuple((given, wanted) for given, wanted in fields["programs"])})


def _returns(code: str, entry: str) -> bool:
    """Whether the last function `entry` of `code` gives something back."""
    try:
        body = ast.parse(code).body
    except SyntaxError:  # a published solution may be of another Python; the tests do not need it
        return True
    found = [n for n in body if isinstance(n, ast.FunctionDef) and n.name == entry]
    if not found:
        return True
    return any(
        isinstance(n, ast.Yield | ast.YieldFrom) or (isinstance(n, ast.Return) and n.value is not None)
        for n in ast.walk(found[-1])
    )
