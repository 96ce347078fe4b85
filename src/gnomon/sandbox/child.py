"""What runs inside the sandbox: loads a candidate and calls it as asked, or runs a whole program.

Nothing here is trusted by the judge. The candidate can read and change all of it, and gains no more than it could
say by answering: frames carry answers, never verdicts.
"""

from __future__ import annotations

import io
import json
import os
import sys
from types import ModuleType
from typing import Any

from gnomon.sandbox.codec import Unreadable, decode, encode
from gnomon.sandbox.frames import HEADER, pack, write_all

__all__ = ["ASK", "REPLY", "Frames", "rehearse", "serve"]

# The descriptors that a candidate's process keeps.
ASK, REPLY = 3, 4
_MOST_DETAIL = 300


def serve() -> None:
    """Loads the candidate that the first frame holds, then answers calls until the judge closes."""
    frames = Frames(ASK)
    order = json.loads(frames.next())
    if order["kind"] == "program":
        _run_program(order["source"], frames.rest())
        return
    try:
        module = _load(order["source"])
        known = {name: vars(module)[name] for name in order["names"] if name in vars(module)}
        _reply(b"l" + ",".join(known).encode())
    except BaseException as error:
        _reply(b"f" + _described(error))
        return
    while True:
        _reply(_answered(known, frames))


class Frames:
    """Frames of a pipe; many are read at once where they are there."""

    def __init__(self, fd: int) -> None:
        self._fd, self._unread = fd, b""

    def next(self) -> bytes:
        """The next frame's payload; EOFError at the end."""
        size = HEADER.unpack(self._take(HEADER.size))[0]
        return self._take(size)

    def rest(self) -> bytes:
        """What was read beyond the last frame."""
        return self._unread

    def _take(self, count: int) -> bytes:
        while len(self._unread) < count:
            part = os.read(self._fd, 1 << 16)
            if not part:
                raise EOFError
            self._unread += part
        found, self._unread = self._unread[:count], self._unread[count:]
        return found


def rehearse(source: str, read: int, write: int) -> None:
    """Loads `source` and calls its `f` once, over the pipe from `write` to `read`, without leaving anything."""
    module = _load(source)
    write_all(write, pack(b'f\n0[[[1.5, -2, 3], "a b"], {"d": []}]'))
    write_all(write, pack(_answered(vars(module), Frames(read))))
    Frames(read).next()
    del sys.modules["candidate"]


def _load(source: str) -> ModuleType:
    module = ModuleType("candidate")
    sys.modules["candidate"] = module
    code = compile(source, "<candidate>", "exec", dont_inherit=True)
    exec(code, vars(module))
    return module


def _answered(known: dict[str, Any], frames: Frames) -> bytes:
    """The answer to the next call; where the call asks for it, with the arguments as it has left them."""
    name, _, text = frames.next().partition(b"\n")
    try:
        args, kwargs = decode(text[1:], lambda number: _Callback(number, frames))
        value = known[name.decode()](*args, **kwargs)
        return b"b" + encode([value, list(args)]) if text[:1] == b"1" else b"v" + encode(value)
    except Unreadable as error:
        return b"u" + str(error).encode()
    except BaseException as error:
        return b"r" + _described(error)


class _Callback:
    """Stands for a function of the judge's that was given as an argument."""

    def __init__(self, number: int, frames: Frames) -> None:
        self._number, self._frames = number, frames

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        _reply(b"c" + encode([self._number, list(args), kwargs]))
        return decode(self._frames.next())


def _run_program(source: str, begun: bytes) -> None:
    """The candidate as `python program.py` would run it; what it prints goes where its answers would.

    Args:
        begun: the beginning of its input, which was read with the source.
    """
    os.dup2(REPLY, 1)
    os.dup2(ASK, 0)
    os.closerange(ASK, REPLY + 1)
    whole = begun + b"".join(iter(lambda: os.read(0, 1 << 16), b""))
    sys.stdin = io.TextIOWrapper(io.BytesIO(whole), encoding="utf-8", errors="surrogateescape")
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


def _reply(payload: bytes) -> None:
    write_all(REPLY, pack(payload))


def _described(error: BaseException) -> bytes:
    """The names of an error's classes, the nearest first, and on the next lines what it says."""
    try:
        said = str(error)[:_MOST_DETAIL]
    except BaseException:
        said = ""
    return f"{','.join(c.__name__ for c in type(error).__mro__)}\n{said}".encode("utf-8", "replace")
