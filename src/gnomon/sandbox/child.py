"""What runs inside the sandbox: loads a candidate and calls it as asked, or runs a whole program.

Nothing here is trusted by the judge. The candidate can read and change all of it, and gains no more than it could
say by answering: frames carry answers, never verdicts.
"""

from __future__ import annotations

import json
import os
import sys
from types import ModuleType
from typing import Any

from gnomon.sandbox.codec import Unreadable, decode, encode
from gnomon.sandbox.frames import pack, read_frame, write_all

__all__ = ["ASK", "REPLY", "rehearse", "serve"]

# The descriptors that a candidate's process keeps.
ASK, REPLY = 3, 4
_MOST_DETAIL = 300


def serve() -> None:
    """Loads the candidate that the first frame holds, then answers calls until the judge closes."""
    order = json.loads(read_frame(ASK))
    if order["kind"] == "program":
        _run_program(order["source"])
        return
    try:
        module = _load(order["source"])
        known = {name: vars(module)[name] for name in order["names"] if name in vars(module)}
        _reply({"loaded": sorted(known)})
    except BaseException as error:
        _reply({"failed": _described(error)})
        return
    while True:
        call = json.loads(read_frame(ASK))
        _reply(_answered(known, call))


def rehearse(source: str, read: int, write: int) -> None:
    """Loads `source` and calls its `f` once, over the pipe from `write` to `read`, without leaving anything."""
    module = _load(source)
    call = {"name": "f", "args": '[[[1.5, -2, 3], "a b"], {}]', "back": False}
    write_all(write, pack(json.dumps(_answered(vars(module), call)).encode()))
    json.loads(read_frame(read))
    del sys.modules["candidate"]


def _load(source: str) -> ModuleType:
    module = ModuleType("candidate")
    sys.modules["candidate"] = module
    code = compile(source, "<candidate>", "exec", dont_inherit=True)
    exec(code, vars(module))
    return module


def _answered(known: dict[str, Any], call: dict[str, Any]) -> dict[str, Any]:
    """The answer to one call, encoded; with `back` also the arguments as the call has left them."""
    try:
        args, kwargs = decode(call["args"].encode(), _Callback)
        answer: dict[str, Any] = {"value": encode(known[call["name"]](*args, **kwargs)).decode()}
        if call["back"]:
            answer["args"] = encode(list(args)).decode()
    except Unreadable as error:
        return {"unreadable": str(error)}
    except BaseException as error:
        return {"raised": _described(error)}
    return answer


class _Callback:
    """Stands for a function of the judge's that was given as an argument."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        _reply({"call": self._number, "args": encode([list(args), kwargs]).decode()})
        return decode(json.loads(read_frame(ASK))["value"].encode())


def _run_program(source: str) -> None:
    """The candidate as `python program.py` would run it; what it prints goes where its answers would."""
    os.dup2(REPLY, 1)
    os.dup2(ASK, 0)
    os.closerange(ASK, REPLY + 1)
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115  # until the end
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    module = ModuleType("__main__")
    sys.modules["__main__"] = module
    status = 0
    try:
        exec(compile(source, "<candidate>", "exec", dont_inherit=True), vars(module))
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        status = 1
    sys.stdout.flush()
    os._exit(status & 0xFF)


def _reply(record: dict[str, Any]) -> None:
    write_all(REPLY, pack(json.dumps(record).encode()))


def _described(error: BaseException) -> list[str]:
    """The names of an error's classes, the nearest first, and what it says."""
    try:
        said = str(error)[:_MOST_DETAIL]
    except BaseException:
        said = ""
    return [",".join(c.__name__ for c in type(error).__mro__), said]
