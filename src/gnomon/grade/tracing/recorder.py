"""Runs inside the sandbox: a project's own tests, while the calls of its functions are written down.

A profile function sees every call and return (Chen et al. 2021, sec. 4.2). Arguments are encoded before the call, which
copies them through, and the answer after it. When the tests are done, every pair is played again, the last one first:
answers that differ, or a file or socket that is touched, leave the function out; the lines it takes say which pairs to
keep. Nothing here is trusted by the side that reads the records.
"""

from __future__ import annotations

import contextlib
import dis
import json
import os
import resource
import runpy
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, FrameType, FunctionType
from typing import Any, NamedTuple

from gnomon.sandbox import kernel, landlock, seccomp
from gnomon.sandbox.codec import Unreadable, decode, encode
from gnomon.sandbox.zygote import READABLE

__all__ = ["Setup", "main"]

# Of one function: pairs and calls after which it is watched no more.
_MOST_PAIRS, _MOST_CALLS = 200, 5_000
_MOST_BYTES, _MOST_VALUES, _MOST_DEPTH = 2_000, 500, 12
_MOST_DIGITS = 10**300
_OPEN_FILES, _FILE_BYTES = 256, 256 << 20
# Of a function's code; bodies of modules and classes lack it.
_FUNCTION = 0x01
# Generators, coroutines and asynchronous generators.
_UNFINISHED = 0x20 | 0x80 | 0x200
_VARARGS, _VARKEYWORDS = 0x04, 0x08
_RETURNS = frozenset(dis.opmap[name] for name in ("RETURN_VALUE", "RETURN_CONST") if name in dis.opmap)
_ATOMS = (type(None), bool, int, float, complex, str, bytes, bytearray)
_TOUCHING = (
    "os.",
    "socket.",
    "subprocess.",
    "shutil.",
    "sqlite3.",
    "urllib.",
    "tempfile.",
    "ctypes.",
    "builtins.input",
)
_SAYS = frozenset({"print", "input", "open"})
_IO = "reads or writes"


class Setup(NamedTuple):
    """What the recorder is told.

    Attributes:
        project: the folder whose functions are watched.
        tests: a module and its arguments, run as `python -m`.
        most: pairs to keep of a function.
        layers: of "landlock" and "seccomp", those to be held by.
        cpu_seconds, memory_bytes: of the whole.
        writable: a folder to work in.
        outside: a file that it is to be kept from.
        allowed: what it is known to get away with.
        report: the descriptor that records go to.
    """

    project: str
    tests: list[str]
    most: int
    layers: list[str]
    cpu_seconds: int
    memory_bytes: int
    writable: str
    outside: str
    allowed: list[str]
    report: int


def main() -> None:
    """Holds itself, runs the tests, and writes what was recorded, a line of JSON a function."""
    setup = Setup(**json.loads(sys.argv[1]))
    for name in [name for name in sys.modules if name.partition(".")[0] == "gnomon"]:
        del sys.modules[name]  # the project may be, or use, a package of this name
    _hold(setup)
    free = [what for what in _free(setup.outside) if what not in setup.allowed]
    if free:
        with open(setup.report, "w", encoding="utf-8") as report:
            report.write(json.dumps({"free": free}) + "\n")
        os._exit(0)
    recorder = _Recorder(setup.project)
    sys.path[:0] = [setup.project, os.path.join(setup.project, "src")]
    sys.argv = list(setup.tests)
    status = 0
    sys.addaudithook(recorder.touched)
    threading.setprofile(recorder.profile)
    sys.setprofile(recorder.profile)
    try:
        runpy.run_module(setup.tests[0], run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]  # as documented
    sys.stdout.flush()
    with open(setup.report, "w", encoding="utf-8") as report:
        for record in recorder.records(setup.most):
            report.write(json.dumps(record) + "\n")
        report.write(json.dumps({"status": status}) + "\n")
    os._exit(0)


def _hold(setup: Setup) -> None:
    """Limits, no capability, no file but the project's and the interpreter's, no process, no socket."""
    seconds, memory = setup.cpu_seconds, setup.memory_bytes
    for what, most in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, _FILE_BYTES),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (least, least))
    if sys.platform != "linux":
        return
    kernel.no_new_privileges()
    installed = [path for path in sys.path if path and os.path.exists(path)]
    readable = [setup.project, sys.prefix, *installed]
    kernel.drop_privileges(*readable, os.path.dirname(os.__file__))
    kernel.die_with_parent(os.getppid())
    if "landlock" in setup.layers:
        landlock.restrict_self(landlock.ruleset([*READABLE, *readable], [setup.writable, os.devnull]))
    if "seccomp" in setup.layers:
        seccomp.install_shared()
        seccomp.install(os.getpid())


def _free(outside: str) -> list[str]:
    """What this process gets away with, by trying; `outside` is a file that it is to be kept from."""

    def forked() -> None:
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

    tried: dict[str, Callable[[], Any]] = {
        "read other files": lambda: open(outside).close(),
        "write files": lambda: open(outside, "a").close(),
        "open sockets": lambda: socket.socket().close(),
        "start processes": forked,
    }
    found = []
    for what, attempt in tried.items():
        with contextlib.suppress(OSError):
            attempt()
            found.append(what)
    return found


class _Watched:
    """One function of the project, and what its calls were."""

    def __init__(self, code: CodeType, file: str, reason: str, of: Any) -> None:
        self.code, self.file, self.reason, self.of = code, file, reason, of
        self.instructions = code.co_code
        self.pairs: dict[bytes, bytes] = {}
        self.calls = 0

    @property
    def done(self) -> bool:
        return bool(self.reason) or len(self.pairs) >= _MOST_PAIRS or self.calls >= _MOST_CALLS


class _Recorder:
    """The profile function and the audit hook, and what they saw.

    Args:
        project: the folder whose functions are watched.
    """

    def __init__(self, project: str) -> None:
        self._project = os.path.realpath(project) + os.sep
        self._seen: dict[CodeType, _Watched | None] = {}
        # Calls that have not returned, by their frames, with their arguments; none where those are no plain values.
        self._open: dict[FrameType, tuple[_Watched, bytes | None]] = {}
        self._unplain: set[CodeType] = set()

    def profile(self, frame: FrameType, event: str, arg: Any) -> None:
        """Sees calls and returns."""
        if event == "call":
            watched = self._watched(frame)
            if watched is not None and not watched.done:
                watched.calls += 1
                self._open[frame] = watched, _arguments(frame)
        elif event == "return" and frame in self._open:
            watched, given = self._open.pop(frame)
            # A frame that an exception leaves is seen to return None too.
            if watched.instructions[frame.f_lasti] in _RETURNS:
                self._keep(watched, given, _snapshot(arg))

    def touched(self, event: str, args: tuple[Any, ...]) -> None:
        """Marks every call under way as one that reads or writes; imports do, and do not count."""
        if not self._open or not (event == "open" or event.startswith(_TOUCHING)):
            return
        if not sys._getframe(1).f_code.co_filename.startswith("<frozen importlib"):
            for watched, _ in list(self._open.values()):
                watched.reason = watched.reason or _IO

    def records(self, most: int) -> Iterator[dict[str, Any]]:
        """What was seen of each function, pairs played again and chosen."""
        for watched in filter(None, list(self._seen.values())):
            if not watched.reason and not watched.pairs:
                watched.reason = "values are not plain" if watched.code in self._unplain else "never returned"
            lines = self._played(watched) if not watched.reason else []
            chosen = _spread(lines, most) if not watched.reason else []
            pairs = list(watched.pairs.items())
            yield {
                "file": watched.file,
                "name": watched.code.co_name,
                "line": watched.code.co_firstlineno,
                "calls": watched.calls,
                "reason": watched.reason,
                "branches": len(set().union(*lines)) if lines else 0,
                "pairs": [[part.decode() for part in pairs[place]] for place in chosen],
            }

    def _watched(self, frame: FrameType) -> _Watched | None:
        code = frame.f_code
        if code not in self._seen:
            self._seen[code] = self._first_seen(code, frame)
        return self._seen[code]

    def _first_seen(self, code: CodeType, frame: FrameType) -> _Watched | None:
        # Code that is made while the program runs has no path.
        path = os.path.realpath(code.co_filename) if os.path.isabs(code.co_filename) else ""
        if not path.startswith(self._project) or code.co_name.startswith("<") or not code.co_flags & _FUNCTION:
            return None
        file = path.removeprefix(self._project)
        if _is_test(file) or "site-packages" in file:
            return None
        of = frame.f_globals.get(code.co_name)
        return _Watched(code, file, _unfit(code, of), of)

    def _keep(self, watched: _Watched, given: bytes | None, answer: bytes | None) -> None:
        if given is None or answer is None:
            self._unplain.add(watched.code)
        elif watched.pairs.setdefault(given, answer) != answer and not _same(watched.pairs[given], answer):
            watched.reason = watched.reason or "answers differ"

    def _played(self, watched: _Watched) -> list[frozenset[tuple[int, int]]]:
        """The steps from line to line of each pair, played again in reverse, in the pairs' order."""
        found = []
        for given, wanted in reversed(watched.pairs.items()):
            args, kwargs = decode(given)
            steps: set[tuple[int, int]] = set()
            self._open = {sys._getframe(): (watched, None)}
            sys.settrace(_tracer(watched.code, steps))
            try:
                answer = _snapshot(watched.of(*args, **kwargs))
            except BaseException:
                answer = None
            finally:
                sys.settrace(None)
                self._open = {}
            if not watched.reason and (answer is None or not _same(answer, wanted)):
                watched.reason = "answers differ"
            found.append(frozenset(steps))
        return found[::-1]


def _unfit(code: CodeType, of: Any) -> str:
    """Why the function can be no problem, as far as its code says; "" where it may be one."""
    if code.co_flags & _UNFINISHED:
        return "generator or coroutine"
    if "<locals>" in code.co_qualname:
        return "defined inside another"
    if "." in code.co_qualname:
        return "method"
    if not isinstance(of, FunctionType) or of.__code__ is not code:
        return "decorated or replaced"
    return _IO if _SAYS & set(code.co_names) else ""


def _is_test(file: str) -> bool:
    *folders, name = file.split(os.sep)
    named = name.startswith("test_") or name.endswith("_test.py") or name == "conftest.py"
    return named or any(folder in ("tests", "test") for folder in folders)


def _arguments(frame: FrameType) -> bytes | None:
    """The arguments of a call that begins, as `[[positional], {by name}]`."""
    code, values = frame.f_code, frame.f_locals
    names, count = code.co_varnames, code.co_argcount
    behind = count + code.co_kwonlyargcount
    given = [values[name] for name in names[:count]]
    by_name = {name: values[name] for name in names[count:behind]}
    if code.co_flags & _VARARGS:
        given += values[names[behind]]
        behind += 1
    if code.co_flags & _VARKEYWORDS:
        by_name |= values[names[behind]]
    return _snapshot([given, by_name])


def _snapshot(value: Any) -> bytes | None:
    """The value as text, which no later change reaches; None where it is too large or not of built-in types alone."""
    if not _plain(value, [_MOST_VALUES], 0):
        return None
    try:
        found = encode(value)
    except Unreadable:
        return None
    return found if len(found) <= _MOST_BYTES else None


def _plain(value: Any, left: list[int], depth: int) -> bool:
    left[0] -= 1
    if left[0] < 0 or depth > _MOST_DEPTH:
        return False
    kind = type(value)
    if kind in _ATOMS:
        return value == value and not (kind is int and abs(value) > _MOST_DIGITS)  # nan is not itself
    if kind in (list, tuple, set, frozenset):
        return all(_plain(each, left, depth + 1) for each in value)
    return kind is dict and all(_plain(each, left, depth + 1) for pair in value.items() for each in pair)


def _same(one: bytes, other: bytes) -> bool:
    """Whether two texts hold the same value; sets are written in no order."""
    return one == other or decode(one) == decode(other)


def _tracer(code: CodeType, steps: set[tuple[int, int]]) -> Any:
    """A trace function that adds the steps from line to line of calls of `code`."""

    def enter(frame: FrameType, event: str, arg: Any) -> Any:
        if frame.f_code is not code:
            return None
        last = frame.f_lineno

        def step(frame: FrameType, event: str, arg: Any) -> Any:
            nonlocal last
            steps.add((last, frame.f_lineno))
            last = frame.f_lineno
            return step

        return step

    return enter


def _spread(lines: Sequence[frozenset[tuple[int, int]]], most: int) -> list[int]:
    """Places of at most `most` pairs: first those that take new steps, most of them first, then others, evenly."""
    left, seen, chosen = list(range(len(lines))), set[tuple[int, int]](), list[int]()
    while left and len(chosen) < most:
        best = max(left, key=lambda place: len(lines[place] - seen))
        if not lines[best] - seen:
            break
        chosen.append(best)
        left.remove(best)
        seen |= lines[best]
    room = min(most - len(chosen), len(left))
    return sorted([*chosen, *(left[i * len(left) // room] for i in range(room))])
