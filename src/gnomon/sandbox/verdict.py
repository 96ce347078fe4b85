"""What is asked about a candidate, and what the judge says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["CAUSES", "Cause", "Check", "Verdict"]

Cause = Literal[
    "passed",
    "wrong answer",
    "exception",
    "timeout",
    "memory",
    "forbidden action",
    "no entry point",
    "syntax",
    "crash",
    "unreadable answer",
    "too much output",
    "infrastructure",
]
CAUSES: tuple[Cause, ...] = get_args(Cause)


@dataclass(frozen=True, kw_only=True)
class Check:
    """Trusted code that decides about a candidate; it runs in the judge's process, never in the candidate's.

    Attributes:
        names: functions of the candidate's that the test calls; the first is the entry point.
        test: Python that raises where the candidate is wrong. In it each of `names` calls the candidate.
        setup: Python run before the test, such as the reference with its helpers; what it defines under one of
            `names` is replaced by the candidate's.
        call: the name of a function of the test to be called with the candidate's entry point, as in `check(f)`; "" for
            none.
        reference_bound: the test's own uses of the entry point's name stay the reference's; only what `call` is given
            is the candidate's.
        back: arguments that a call has changed are changed in the test too.
        programs: for whole programs, inputs and what is to be printed; `test` and `names` are not used then.
        seed: of the standard generator, set before the test.
    """

    names: tuple[str, ...] = ()
    test: str = ""
    setup: str = ""
    call: str = ""
    reference_bound: bool = False
    back: bool = False
    programs: tuple[tuple[str, str], ...] = ()
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of one candidate.

    Attributes:
        cause: "passed", or why it did not.
        detail: one line, for people; part of it is what the candidate says of itself.
        cpu_seconds: processor time of its own.
        calls: answered calls; of whole programs, inputs that they were right on.
    """

    cause: Cause
    detail: str = ""
    cpu_seconds: float = 0.0
    calls: int = 0

    @property
    def passed(self) -> bool:
        """Whether it is right."""
        return self.cause == "passed"
