"""The judge: runs a test in its own process, with the candidate behind a proxy that answers plain values.

The candidate has no way to the verdict: it answers calls, and the judge compares what it decodes itself.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import CodeType
from typing import Any

from gnomon.sandbox.asked import Uncompiled, compiled
from gnomon.sandbox.child import NO_MEMORY, NO_PYTHON
from gnomon.sandbox.codec import Unreadable
from gnomon.sandbox.foresee import foreseen, run_test
from gnomon.sandbox.host import Ended, Raised, Session, Zygote, how_it_ended
from gnomon.sandbox.output import same_output
from gnomon.sandbox.verdict import Cause, Check, Verdict

__all__ = ["Judge"]

_MOST_DETAIL = 300
_MOST_FORESEEN = 2000
# Longer sources are compiled where they run.
_MOST_CHARS = 1 << 16
_ENDED: Mapping[str, Cause] = {
    "timeout": "timeout",
    "crash": "crash",
    "crowded": "forbidden action",
    "unreadable": "unreadable answer",
    "output": "too much output",
    "infrastructure": "infrastructure",
    "unforeseen": "infrastructure",
}


class Judge:
    """Decides about candidates with one zygote, one after the other.

    Args:
        zygote: makes a fresh zygote; called again when one is lost.
    """

    def __init__(self, zygote: Callable[[], Zygote]) -> None:
        self._make, self._zygote = zygote, zygote()
        self._foreseen: dict[Check, tuple[bytes, ...]] = {}
        self._surprised = False

    def verdict(self, check: Check, source: str) -> Verdict:
        """What becomes of the candidate `source`; tried a second time where the sandbox itself failed."""
        try:
            code = _compiled_candidate(source)
        except Exception as error:
            return _of_uncompiled(error)
        found = self._once(check, code)
        if self._surprised:
            # The test's calls depend on the answers in some other way: from now on they go one by one.
            self._foreseen[check] = ()
            found = self._once(check, code)
        if found.cause == "infrastructure":
            self._zygote.close()
            self._zygote = self._make()
            found = self._once(check, code)
        return replace(found, detail=_printable(found.detail)) if found.detail else found

    def close(self) -> None:
        """Ends the zygote."""
        self._zygote.close()

    def _once(self, check: Check, code: CodeType | str) -> Verdict:
        if check.programs:
            return self._programs(check, code)
        try:
            session = self._zygote.start()
        except Ended as ended:
            return _of_ended(ended)
        try:
            found = _decided(check, code, session, self._calls(check))
        finally:
            try:
                session.end()
            except Ended as ended:
                session.broken = session.broken or ended
        if session.broken and (found.cause == "passed" or session.broken.cause == "unforeseen"):
            found = _of_ended(session.broken)
        self._surprised = session.broken is not None and session.broken.cause == "unforeseen"
        return Verdict(cause=found.cause, detail=found.detail, cpu_seconds=session.cpu_seconds, calls=session.calls)

    def _calls(self, check: Check) -> tuple[bytes, ...]:
        """The calls that the test makes whatever it is answered; found once a test."""
        if check not in self._foreseen:
            if len(self._foreseen) >= _MOST_FORESEEN:
                self._foreseen.clear()
            self._foreseen[check] = foreseen(check, _compiled)
        return self._foreseen[check]

    def _programs(self, check: Check, code: CodeType | str) -> Verdict:
        """Runs a whole program once for each input; the first wrong one decides."""
        seconds = 0.0
        for place, (text, wanted) in enumerate(check.programs):
            try:
                session = self._zygote.start()
            except Ended as ended:
                return _of_ended(ended)
            try:
                printed, status = session.run(code, text)
            except Ended as ended:
                session.end()
                return Verdict(
                    cause=_ENDED[ended.cause], detail=ended.detail, cpu_seconds=session.cpu_seconds, calls=place
                )
            seconds = max(seconds, session.cpu_seconds)
            if status:
                detail = f"test {place}: {how_it_ended(status)}"
                cause = _of_status(status, code, session.ran_short)
                return Verdict(cause=cause, detail=detail, cpu_seconds=seconds, calls=place)
            if not same_output(printed, wanted):
                detail = f"test {place}: {printed[:80]!r}, not {wanted[:80]!r}"
                return Verdict(cause="wrong answer", detail=detail, cpu_seconds=seconds, calls=place)
        return Verdict(cause="passed", cpu_seconds=seconds, calls=len(check.programs))


def _of_status(status: int, code: CodeType | str, ran_short: bool) -> Cause:
    """Why a whole program failed. That it ran out of memory it says itself, and is believed where it held much."""
    if os.WIFSIGNALED(status):
        return "crash"
    if isinstance(code, str) and os.WEXITSTATUS(status) == NO_PYTHON:
        return "syntax"
    return "memory" if ran_short and os.WEXITSTATUS(status) == NO_MEMORY else "exception"


def _decided(check: Check, code: CodeType | str, session: Session, foreseen: Sequence[bytes]) -> Verdict:
    try:
        defined = session.load(code, check.names, foreseen)
    except Ended as ended:
        return _of_ended(ended)
    except Raised as raised:
        return _of_raised(raised)
    if not set(check.names[:1]) <= set(defined):
        return Verdict(cause="no entry point", detail=f"{check.names[0]} is not defined")
    return _tested(check, session)


def _tested(check: Check, session: Session) -> Verdict:
    try:
        run_test(check, lambda name: _proxy(session, name, check.back), _compiled)
    except Ended as ended:
        return _of_ended(ended)
    except Unreadable as error:
        return Verdict(cause="unreadable answer", detail=f"an argument of the test cannot be sent: {error}")
    except AssertionError as error:
        if isinstance(error, Raised):
            return _of_raised(error)
        return Verdict(cause="wrong answer", detail=_line(error) or _failed_line(error, check.test))
    except Raised as raised:
        return _of_raised(raised)
    except Exception as error:
        # the test met an answer that it cannot work with, such as None where it adds
        return Verdict(cause="wrong answer", detail=f"{type(error).__name__}: {_line(error)}")
    return Verdict(cause="passed")


def _proxy(session: Session, name: str, back: bool) -> Callable[..., Any]:
    def candidate(*args: Any, **kwargs: Any) -> Any:
        value, left = session.call(name, args, kwargs, back=back)
        for ours, theirs in zip(args, left, strict=False):
            _write_back(ours, theirs)
        return value

    candidate.__name__ = candidate.__qualname__ = name
    return candidate


def _write_back(ours: Any, theirs: Any) -> None:
    if type(ours) is not type(theirs):
        return
    if isinstance(ours, list):
        ours[:] = theirs
    elif isinstance(ours, dict | set):
        ours.clear()
        ours.update(theirs)


def _compiled_candidate(source: str) -> CodeType | str:
    # The compiler repeats what a `finally` holds for each way out, so twenty lines can take all memory; and its time
    # goes with the square of the number of functions. Such a source costs the candidate.
    if len(source) > _MOST_CHARS or "finally" in source:
        return source
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compiled(source)


def _of_uncompiled(error: Exception) -> Verdict:
    """Of a source that is no Python: it breaks off, holds what no source may, or is nested too deeply."""
    return Verdict(cause="syntax", detail=_printable(f"{type(error).__name__}: {_line(error)}"))


@lru_cache(maxsize=512)
def _compiled(source: str, name: str) -> CodeType:
    return compile(source, name, "exec", dont_inherit=True)


def _of_ended(ended: Ended) -> Verdict:
    return Verdict(cause=_ENDED[ended.cause], detail=ended.detail)


def _of_raised(raised: Raised) -> Verdict:
    names = raised.names
    cause: Cause = "exception"
    if names[0] == Uncompiled.__name__:
        return Verdict(cause="syntax", detail=raised.detail[:_MOST_DETAIL])
    if "MemoryError" in names:
        cause = "memory"
    elif "PermissionError" in names:
        cause = "forbidden action"
    return Verdict(cause=cause, detail=f"{names[0]}: {raised.detail}"[:_MOST_DETAIL])


def _failed_line(error: BaseException, test: str) -> str:
    """The line of the test that an error comes from."""
    number, trace = 0, error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == "<test>":
            number = trace.tb_lineno
        trace = trace.tb_next
    lines = test.splitlines()
    return " ".join(lines[number - 1].split())[:_MOST_DETAIL] if 0 < number <= len(lines) else ""


def _printable(text: str) -> str:
    """One line without control codes: part of it is the candidate's, and it is shown in a terminal."""
    return "".join(c if c.isprintable() else " " for c in text[:_MOST_DETAIL])


def _line(error: BaseException) -> str:
    try:
        return " ".join(str(error).split())[:_MOST_DETAIL]
    except Exception:
        return ""
