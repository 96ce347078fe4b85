"""Functions of the user's own: checks, and changes of requests; named by `--hooks MODULE` or registered in Python.

    @gnomon.fuzz.check
    def no_stack_traces(case, reply):
        assert b"Traceback" not in reply.body

    @gnomon.fuzz.before_send
    def signed(request): ...

A hook that raises anything else loses no finding: the request goes as it is, the other checks are made, and the error,
with the hook's name, file and line, is one of the search's notes.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gnomon.fuzz.base import Case, Exchange, Reply, Request, Violation
from gnomon.fuzz.checks import Check, Promises
from gnomon.fuzz.imports import imported
from gnomon.fuzz.writing import written

__all__ = ["before_send", "check", "load_hooks", "noted", "own_checks", "writing"]

CheckHook = Callable[[Case, Reply], Any]
RequestHook = Callable[[Request], Request]

_CHECKS: dict[str, CheckHook] = {}
_BEFORE: list[RequestHook] = []
_FAULTS: dict[str, str] = {}


def check(function: CheckHook) -> CheckHook:
    """Registers `(case, reply)`: an AssertionError from it is a defect, whose key is its name and the operation."""
    _CHECKS[function.__name__] = function
    return function


def before_send(function: RequestHook) -> RequestHook:
    """Registers a function from a request to the request that is sent; credentials are added after it."""
    _BEFORE.append(function)
    return function


def load_hooks(module: str) -> None:
    """Imports a module for the hooks that it registers.

    Raises:
        UsageError: it cannot be imported.
    """
    imported(module, "--hooks")


def own_checks() -> Mapping[str, Check]:
    """The registered checks, as `checks` has them."""
    return {name: _as_check(name, function) for name, function in _CHECKS.items()}


def writing(case: Case, base_path: str) -> Request:
    """The bytes of a case, as the registered functions leave them."""
    request = written(case, base_path)
    for function in _BEFORE:
        try:
            request = function(request)
        except Exception as error:
            _note(function.__name__, error)
    return request


def noted() -> list[str]:
    """What hooks raised, once each; then forgotten."""
    found = list(_FAULTS.values())
    _FAULTS.clear()
    return found


def _as_check(name: str, function: CheckHook) -> Check:
    def checked(exchange: Exchange, promises: Promises) -> Iterator[Violation]:
        operation = exchange.case.operation.key
        try:
            function(exchange.case, exchange.reply)
        except AssertionError as error:
            yield Violation(
                check=name,
                key=(name, operation),
                title=f"{operation} fails {name}",
                severity="medium",
                certain=True,
                detail=str(error),
                steps=(exchange,),
            )
        except Exception as error:
            _note(name, error)

    return checked


def _note(name: str, error: Exception) -> None:
    """Keeps what a hook raised: the hook, the place in it, the error."""
    frames = traceback.extract_tb(error.__traceback__)
    place = frames[-1] if len(frames) < 2 else frames[1]
    where = f"{place.filename}:{place.lineno}"
    _FAULTS.setdefault(f"{name} {where} {type(error)}", f"hook {name} ({where}) raised {error!r}")
