"""What runs inside the sandbox: loads a candidate and calls it as asked, or runs a whole program.

Nothing here is trusted by the judge. The candidate can read and change all of it, and gains no more than it could
say by answering: frames carry answers, never verdicts.
"""

from __future__ import annotations

import _thread
import builtins
import contextlib
import os
import sys
from collections.abc import Callable
from functools import partial
from os import read
from sys import modules
from types import CodeType, ModuleType
from typing import Any, TextIO

from gnomon.sandbox.asked import Uncompiled, compiled_here, read_call, read_load
from gnomon.sandbox.codec import Unreadable, decode, encode
from gnomon.sandbox.frames import HEADER, pack, write_all

__all__ = ["ASK", "NO_MEMORY", "NO_PYTHON", "REPLY", "Frames", "rehearse", "serve"]

# The descriptors that a candidate's process keeps.
ASK, REPLY = 3, 4
# A whole program's status where a MemoryError ends it, which is not believed without evidence, or it is no Python.
NO_MEMORY, NO_PYTHON = 12, 13
_MOST_DETAIL = 300


def serve(ask: int = ASK, reply: int = REPLY) -> None:
    """Runs the code that the first frame holds, then answers calls until the judge closes, which is an EOFError.

    Each function that a fresh fork calls, and each object that it makes, copies pages: there are few of them on this
    way.
    """
    frames = Frames(ask, reply)
    code, names = read_load(frames.next())
    if not names:
        _run_program(code, frames.rest())
        return
    try:
        module = ModuleType("candidate")
        modules["candidate"] = module
        here = module.__dict__
        exec(compiled_here(code) if type(code) is str else code, here)
        known = {name: here[name] for name in names if name in here}
        # Where a call is there already, its answer goes along: the judge is woken once.
        frames.reply(b"l" + ",".join(known).encode(), hold=bool(known) and frames.more())
    except BaseException as error:
        frames.reply(b"f" + _described(error))
        return
    function = partial(_Callback, frames)
    while True:
        frames.reply(_answered(known, frames.next(), function))


class Frames:
    """Frames of two pipes; many are read at once where they are there."""

    def __init__(self, ask: int, reply: int) -> None:
        self._ask, self._reply, self._held = ask, reply, b""
        self._read, self._place = b"", 0

    def next(self) -> memoryview:
        """The next frame's payload; EOFError at the end."""
        self._await(HEADER.size)
        size = HEADER.unpack_from(self._read, self._place)[0]
        self._await(HEADER.size + size)
        begin = self._place + HEADER.size
        self._place = begin + size
        return memoryview(self._read)[begin : self._place]

    def reply(self, payload: bytes, *, hold: bool = False) -> None:
        """Sends a frame; with `hold` together with the next one."""
        self._held += pack(payload)
        if not hold:
            write_all(self._reply, self._held)
            self._held = b""

    def more(self) -> bool:
        """Whether more was read than the last frame."""
        return self._place < len(self._read)

    def rest(self) -> bytes:
        """What was read beyond the last frame."""
        return self._read[self._place :]

    def _await(self, count: int) -> None:
        while len(self._read) < self._place + count:
            part = read(self._ask, 1 << 16)
            if not part:
                raise EOFError
            self._read, self._place = self._read[self._place :] + part, 0


def rehearse(asked: bytes) -> None:
    """Serves `asked`, frames short enough for a pipe, without leaving anything."""
    (ask, ours), (theirs, reply) = os.pipe(), os.pipe()
    write_all(ours, asked)
    os.close(ours)
    try:
        serve(ask, reply)
    except EOFError:
        del sys.modules["candidate"]
    for fd in (ask, theirs, reply):
        os.close(fd)


def _answered(known: dict[str, Any], asked: memoryview, function: Callable[[int], Any]) -> bytes:
    """The answer to a call; where the call asks for it, with the arguments as it has left them."""
    try:
        name, back, args, kwargs = read_call(asked, function)
        value = known[name](*args, **kwargs)
        return b"b" + encode([value, list(args)]) if back else b"v" + encode(value)
    except Unreadable as error:
        return b"u" + str(error).encode()
    except BaseException as error:
        return b"r" + _described(error)


class _Callback:
    """Stands for a function of the judge's that was given as an argument."""

    def __init__(self, frames: Frames, number: int) -> None:
        self._number, self._frames = number, frames

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._frames.reply(b"c" + encode([self._number, list(args), kwargs]))
        return decode(bytes(self._frames.next()))


def _run_program(code: CodeType | str, begun: bytes) -> None:
    """The candidate as `python program.py` would run it; what it prints goes where its answers would.

    Args:
        begun: the beginning of its input, which was read with the source.
    """
    os.dup2(REPLY, 1)
    whole = begun + b"".join(iter(lambda: os.read(ASK, 1 << 16), b""))
    os.closerange(ASK, REPLY + 1)
    _feed(whole)
    how: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape", "closefd": False}
    sys.stdin = sys.__stdin__ = open(0, **how)  # type: ignore[misc]  # noqa: SIM115
    sys.stdout = sys.__stdout__ = out = open(1, "w", **how)  # type: ignore[misc]  # noqa: SIM115
    vars(builtins).update(exit=sys.exit, quit=sys.exit)
    module = ModuleType("__main__")
    module.__file__ = "/program.py"
    sys.modules["__main__"] = module
    status = 0
    try:
        exec(compiled_here(code) if type(code) is str else code, vars(module))
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except MemoryError:
        status = NO_MEMORY
    except Uncompiled:
        status = NO_PYTHON
    except BaseException:
        status = 1
    try:
        _wind_up(out)
    except BaseException:
        status = status or 120
    os._exit(status & 0xFF)


def _feed(whole: bytes) -> None:
    """Makes descriptor 0 a pipe that holds `whole` and then ends: some programs read it without `sys.stdin`."""
    end, begin = os.pipe()
    os.dup2(end, 0)
    os.close(end)
    os.set_blocking(begin, False)
    try:
        rest = whole[os.write(begin, whole) :] if whole else b""
    except BlockingIOError:
        rest = whole
    os.set_blocking(begin, True)

    def write() -> None:
        with contextlib.suppress(OSError):
            write_all(begin, rest)
        os.close(begin)

    if rest:
        _thread.start_new_thread(write, ())
    else:
        os.close(begin)


def _wind_up(out: TextIO) -> None:
    """As the interpreter at its end: waits for threads, calls what was registered, writes what is held."""
    if "threading" in sys.modules:
        sys.modules["threading"]._shutdown()
    if "atexit" in sys.modules:
        sys.modules["atexit"]._run_exitfuncs()
    for stream in (sys.stdout, out):
        if not stream.closed:
            stream.flush()


def _described(error: BaseException) -> bytes:
    """The names of an error's classes, the nearest first, and on the next lines what it says."""
    try:
        said = str(error)[:_MOST_DETAIL]
    except BaseException:
        said = ""
    return f"{','.join(c.__name__ for c in type(error).__mro__)}\n{said}".encode("utf-8", "replace")
