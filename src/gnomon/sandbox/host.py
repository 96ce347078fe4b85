"""The judge's end of the sandbox: starts the zygote, gives it candidates, speaks with them, and keeps their time."""

from __future__ import annotations

import array
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import CodeType
from typing import Any, NoReturn

from gnomon.sandbox.asked import call_frame, load_frame
from gnomon.sandbox.codec import Unreadable, decode, encode
from gnomon.sandbox.frames import END, HEADER, pack
from gnomon.sandbox.limits import Limits

__all__ = ["Ended", "Raised", "Session", "Zygote", "how_it_ended"]

_LOOK_SECONDS = 0.05
_MOST_SAID = 4096
_BETWEEN_LOOKS_SECONDS = 0.25
# A package's own modules alone, without running its __init__: the zygote stays small.
_BOOT = """import sys, types
for name, path in (("gnomon", {root!r}), ("gnomon.sandbox", {root!r} + "/sandbox")):
    module = types.ModuleType(name)
    module.__path__ = [path]
    sys.modules[name] = module
from gnomon.sandbox.zygote import main
main({fd})
"""


class Ended(BaseException):
    """The candidate can answer no more; not an Exception, so that no test catches it.

    Attributes:
        cause: "timeout", "crash", "crowded", "unreadable", "output", "infrastructure", or "unforeseen": the test
            did not call what it had been foreseen to.
    """

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        self.cause, self.detail = cause, detail


class Raised(Exception):
    """An exception of the candidate's, by the names of its classes and its text.

    Attributes:
        names: of the class and those above it, the nearest first.
        detail: what it says.
    """

    names: Sequence[str] = ()
    detail: str = ""


class Zygote:
    """A warm interpreter that forks candidates, one at a time.

    Args:
        layers: of "landlock" and "seccomp", those that candidates are held by.
        limits: what each candidate may use.
        wrapper: a command that the interpreter is started through, such as bubblewrap with its arguments.
    """

    def __init__(self, layers: Sequence[str], limits: Limits, wrapper: Sequence[str] = ()) -> None:
        self._limits = limits
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        root = str(Path(__file__).resolve().parent.parent)
        # As -I but for the seed of hashes, which decides the order of sets and so, of some programs, the answer.
        command = [sys.executable, "-P", "-s", "-S", "-c", _BOOT.format(root=root, fd=theirs.fileno())]
        self._process = subprocess.Popen(
            [*wrapper, *command],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            # a new session, so that an interrupt from the terminal does not reach it
            start_new_session=True,
            # libraries bound at once, for what a fork binds it binds each time
            env={"LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "LD_BIND_NOW": "1"},
        )
        theirs.close()
        self._control = ours
        self._ask(json.dumps({"layers": list(layers), "limits": asdict(limits)}).encode())

    def start(self) -> Session:
        """A fresh candidate process."""
        ask_theirs, ask_ours = os.pipe()
        reply_ours, reply_theirs = os.pipe()
        os.set_blocking(ask_ours, False)
        os.set_blocking(reply_ours, False)
        fds = array.array("i", [ask_theirs, reply_theirs])
        try:
            self._control.sendmsg([b"F"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        except OSError:
            for fd in (ask_ours, reply_ours):
                os.close(fd)
            raise Ended("infrastructure", "the sandbox's interpreter is gone") from None
        finally:
            os.close(ask_theirs)
            os.close(reply_theirs)
        return Session(self, self._limits, ask_ours, reply_ours)

    def look(self) -> dict[str, Any]:
        """The candidate's processor seconds (`cpu`), whether a thread of it computes or waits to (`awake`), and whether
        it has too many (`crowded`).
        """
        found: dict[str, Any] = json.loads(self._ask(b"L"))
        return found

    def end(self, wait: bool = False) -> tuple[int, float, bool, int]:
        """Ends the candidate: the wait status it had ended with by itself, else 0; its processor seconds; whether it
        had not ended; the most bytes of memory that it held.

        Args:
            wait: it has closed its pipes, so it may be about to end by itself.
        """
        status, seconds, killed, peak = END.unpack(self._ask(b"W" if wait else b"E"))
        return status, seconds, killed, peak

    def close(self) -> None:
        """Ends the interpreter and what it runs."""
        self._control.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, order: bytes) -> bytes:
        try:
            self._control.send(order)
            answer = self._control.recv(1 << 16)
        except OSError:
            answer = b""
        if not answer:
            raise Ended("infrastructure", "the sandbox's interpreter is gone")
        return answer


class Session:
    """One candidate's life, from the judge's side.

    Attributes:
        broken: how it ended, once it can answer no more: a test that swallows the exception changes nothing.
        calls: answered so far.
        killed: it did not end by itself.
        ran_short: it held so much memory that more may have been refused: a dictionary grows by as much again.
    """

    def __init__(self, zygote: Zygote, limits: Limits, ask: int, reply: int) -> None:
        self._zygote, self._limits, self._ask, self._reply = zygote, limits, ask, reply
        self.broken: Ended | None = None
        self.calls = 0
        self.killed = False
        self.ran_short = False
        self.cpu_seconds = 0.0
        self._began = self._looked = time.monotonic()
        self._cpu, self._idle = 0.0, 0.0
        self._functions: list[Callable[..., Any]] = []
        self._ahead: deque[bytes] = deque()
        self._unread, self._place = b"", 0

    def load(self, code: CodeType | str, names: Sequence[str], foreseen: Sequence[bytes] = ()) -> list[str]:
        """Runs the candidate's code; which of `names` it has defined.

        Args:
            foreseen: frames of the calls that the test will make first; they are sent along, and answered one after the
                other without a change of process for each.
        """
        self._ahead.extend(foreseen)
        kind, body = self._sent(b"".join((load_frame(code, names), *foreseen)))
        if kind == b"f":
            raise _raised(body)
        if kind != b"l":
            self._break("unreadable", "an answer before anything was asked")
        return body.decode("utf-8", "replace").split(",")

    def call(self, name: str, args: Sequence[Any], kwargs: dict[str, Any], *, back: bool) -> tuple[Any, list[Any]]:
        """What the candidate's function answers, and with `back` its arguments as the call has left them.

        Raises:
            Raised: the function raised, as a subclass of the built-in exception of that name where there is one.
            Ended: it cannot answer any more.
        """
        frame = call_frame(name, args, kwargs, back=back, numbered=self._numbered)
        kind, body = self._foreseen(frame) if self._ahead else self._sent(frame)
        while kind == b"c":
            kind, body = self._sent(pack(self._called(body)))
        self.calls += 1
        if kind == b"r":
            raise _raised(body)
        if kind == b"v" and not back:
            return self._decoded(body), []
        if kind != b"b" or not back:
            self._break("unreadable", body[:300].decode("utf-8", "replace") if kind == b"u" else "no answer")
        value, left = self._both(body)
        return value, left

    def run(self, code: CodeType | str, text: str) -> tuple[str, int]:
        """Runs a whole program on the input `text`; what it prints, and the wait status it ended with."""
        self._write(load_frame(code, ()) + text.encode("utf-8", "surrogateescape"))
        os.close(self._ask)
        self._ask = -1
        printed = self._read_to_end(self._limits.output_bytes)
        status = self.end(wait=True)
        if self.killed or self.cpu_seconds > self._limits.cpu_seconds:
            self._break("timeout", f"its output ended, {self.cpu_seconds:.2f} s computed")
        return printed.decode("utf-8", "replace"), status

    def end(self, wait: bool = False) -> int:
        """Ends the process; the wait status it had ended with by itself, else 0. `wait` as for `Zygote.end`."""
        if wait:
            self._close()
        try:
            status, seconds, self.killed, peak = self._zygote.end(wait)
        finally:
            # One that is to be killed does not wake before for the end of its pipes.
            self._close()
        self.cpu_seconds = max(self.cpu_seconds, seconds)
        self.ran_short = peak > self._limits.memory_bytes / 4
        return status

    def _close(self) -> None:
        for fd in (self._ask, self._reply):
            if fd >= 0:
                os.close(fd)
        self._ask = self._reply = -1

    def _numbered(self, function: Callable[..., Any]) -> int:
        self._functions.append(function)
        return len(self._functions) - 1

    def _called(self, body: bytes) -> bytes:
        try:
            number, args, kwargs = self._decoded(body)
            return encode(self._functions[number](*args, **kwargs))
        except Exception as error:
            self._break("unreadable", f"a function of the test, called back, raised {type(error).__name__}")

    def _both(self, body: bytes) -> tuple[Any, list[Any]]:
        """An answer, and the call's arguments after it."""
        found = self._decoded(body)
        if type(found) is not list or len(found) != 2 or type(found[1]) is not list:
            self._break("unreadable", "no answer with arguments")
        return found[0], found[1]

    def _decoded(self, text: bytes) -> Any:
        try:
            return decode(text)
        except Unreadable as error:
            self._break("unreadable", str(error))

    def _foreseen(self, frame: bytes) -> tuple[bytes, bytes]:
        """The answer to a call that was sent with the source."""
        if self._ahead.popleft() != frame:
            self._break("unforeseen", "")
        return self._sent(b"")

    def _sent(self, data: bytes) -> tuple[bytes, bytes]:
        """The kind and body of what the candidate says next, after `data` is written."""
        if self.broken:
            raise self.broken
        self._write(data)
        self._await(HEADER.size)
        size = HEADER.unpack_from(self._unread, self._place)[0]
        if size > self._limits.answer_bytes:
            self._break("unreadable", f"an answer of {size} bytes")
        self._await(HEADER.size + size)
        begin = self._place + HEADER.size
        self._place = end = begin + size
        if time.monotonic() - self._looked > _BETWEEN_LOOKS_SECONDS:
            self._keep_time()
        return self._unread[begin : begin + 1], self._unread[begin + 1 : end]

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._ask, view) :]
            except BlockingIOError:
                self._wait(self._ask, select.POLLOUT)
            except BrokenPipeError:
                self._crashed()

    def _await(self, count: int) -> None:
        """Waits until `count` bytes are there that were not taken."""
        missing = self._place + count - len(self._unread)
        if missing <= 0:
            return
        parts = [self._unread[self._place :]]
        while missing > 0:
            parts.append(self._read() or self._crashed())
            missing -= len(parts[-1])
        self._unread, self._place = b"".join(parts), 0

    def _read_to_end(self, most: int) -> bytes:
        parts: list[bytes] = []
        total = 0
        while part := self._read():
            parts.append(part)
            total += len(part)
            if total > most:
                self._break("output", f"more than {most} bytes printed")
        return b"".join(parts)

    def _read(self) -> bytes:
        """What there is to read; empty at the end."""
        while True:
            try:
                return os.read(self._reply, 1 << 16)
            except BlockingIOError:
                self._wait(self._reply, select.POLLIN)

    def _wait(self, fd: int, event: int) -> None:
        poll = select.poll()
        poll.register(fd, event)
        quiet = not poll.poll(_LOOK_SECONDS * 1000)
        # one that says a byte now and then is never quiet
        if quiet or time.monotonic() - self._looked > _BETWEEN_LOOKS_SECONDS:
            self._keep_time()

    def _keep_time(self) -> None:
        """Adds what the candidate has used since the last look, and ends it where that is too much.

        Time that all its threads sleep while an answer is awaited is its own choice and counts; time that it waits
        for a processor does not.
        """
        now = time.monotonic()
        found = self._zygote.look()
        passed, computed = now - self._looked, found["cpu"] - self._cpu
        if not found["awake"]:
            self._idle += max(0.0, passed - computed)
        if found["crowded"]:
            self._break("crowded", "too many threads at once")
        self._looked, self._cpu = now, found["cpu"]
        self.cpu_seconds = max(self.cpu_seconds, self._cpu)
        most = self._limits.cpu_seconds
        if self._cpu + self._idle > most or now - self._began > most * self._limits.wall_factor:
            self._break("timeout", f"{self._cpu:.2f} s computed, {self._idle:.2f} s asleep")

    def _crashed(self) -> NoReturn:
        status = self.end(wait=True)
        # A candidate can send itself any signal, so its name alone says nothing.
        if os.WIFSIGNALED(status) and self.cpu_seconds > self._limits.cpu_seconds:
            self._break("timeout", f"{self.cpu_seconds:.2f} s computed")
        self._break("crash", how_it_ended(status))

    def _break(self, cause: str, detail: str) -> NoReturn:
        self.broken = Ended(cause, detail)
        raise self.broken


def how_it_ended(status: int) -> str:
    """A wait status in words."""
    if os.WIFSIGNALED(status):
        return f"ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"left with status {os.WEXITSTATUS(status)}"


def _raised(body: bytes) -> Raised:
    """The exception to raise in the judge: also of the built-in class of that name, so that tests can expect it."""
    import builtins

    said = body[:_MOST_SAID].decode("utf-8", "replace")
    names, detail = said.partition("\n")[0].split(","), said.partition("\n")[2]
    for name in names:
        kind = getattr(builtins, name, None)
        if isinstance(kind, type) and issubclass(kind, Exception) and name not in _NEVER:
            break
    else:
        kind = Exception
    found: Raised = _class_for(kind)(detail)
    found.names, found.detail = names, detail
    return found


# Raised inside an iteration of the test's these would end it early, and what was not reached would count as passed.
_NEVER = ("StopIteration", "StopAsyncIteration", "BaseExceptionGroup", "ExceptionGroup")
_CLASSES: dict[type, Any] = {}


def _class_for(kind: type) -> Any:
    if kind not in _CLASSES:
        try:
            _CLASSES[kind] = type("Raised", (Raised, kind), {}) if kind is not Exception else Raised
            _CLASSES[kind]("")
        except TypeError:  # classes whose constructor wants more
            _CLASSES[kind] = Raised
    return _CLASSES[kind]
