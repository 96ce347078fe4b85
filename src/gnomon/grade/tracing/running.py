"""Starts the recorder in an interpreter of its own and waits for it, with what it left read as data and never run."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from gnomon.core.errors import DataError, UsageError
from gnomon.core.progress import progress
from gnomon.sandbox import Protection, SandboxError
from gnomon.sandbox.codec import Unreadable, decode

__all__ = ["Recorded", "Tests", "record"]

# Tests that sleep or wait are given this many times their processor seconds.
_WALL_FACTOR = 4
_LOOK_SECONDS = 0.5
_LAST_LINES = 3
_BOOT = """import sys, types
for name, below in (("gnomon", ""), ("gnomon.sandbox", "/sandbox"), ("gnomon.grade", "/grade"),
                    ("gnomon.grade.tracing", "/grade/tracing")):
    module = types.ModuleType(name)
    module.__path__ = [{root!r} + below]
    sys.modules[name] = module
from gnomon.grade.tracing.recorder import main
main()
"""
_ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    # No cache beside the project, and no temporary files to capture output in.
    "PYTEST_ADDOPTS": "-p no:cacheprovider --capture=sys",
}


@dataclass(frozen=True, kw_only=True)
class Tests:
    """A project's own tests, and what they may use.

    Attributes:
        project: its folder.
        command: a module and its arguments, run as `python -m` in that folder.
        python: the interpreter that has what the project needs; "" for this one.
        most: pairs of arguments and answer to keep of a function.
        cpu_seconds: processor time of all tests together, the second play of every pair included.
        memory_bytes: address space.
    """

    project: Path
    command: str
    python: str
    most: int
    cpu_seconds: int
    memory_bytes: int


class Recorded(NamedTuple):
    """One function, as the tests called it.

    Attributes:
        file: below the project.
        name, line: of its definition.
        calls: that were seen.
        reason: why it can be no problem; "" where it may be one.
        branches: different steps from line to line that the pairs take.
        pairs: arguments, arguments by name, and answer of each call that was kept.
    """

    file: str
    name: str
    line: int
    calls: int
    reason: str
    branches: int
    pairs: list[tuple[list[Any], dict[str, Any], Any]]


def record(tests: Tests, protection: Protection) -> tuple[list[Recorded], int]:
    """The functions that the tests called, by file and line, and the tests' own exit status.

    Raises:
        UsageError: the command is none.
        DataError: the tests did not come to their end, or called nothing of the project's.
        SandboxError: the tests would be free to do what `protection` was seen to refuse.
    """
    words = shlex.split(tests.command)
    if not words or words[0].endswith((".py", ".sh")) or "/" in words[0]:
        todo = 'give a module and its arguments, such as "pytest -q"'
        raise UsageError(f"--tests is {tests.command!r}", todo=todo)
    with tempfile.TemporaryDirectory(prefix="gnomon-trace-") as scratch:
        writable, outside = Path(scratch) / "work", Path(scratch) / "outside"
        writable.mkdir()
        outside.touch()
        # Open to everybody, so that nothing but the sandbox keeps the tests from it.
        for path, mode in ((Path(scratch), 0o711), (writable, 0o777), (outside, 0o666)):
            path.chmod(mode)
        with tempfile.TemporaryFile() as report, tempfile.TemporaryFile() as said:
            status = _run(tests, words, protection, (str(writable), str(outside)), report, said)
            ending = " | ".join(_tail(said))
            found, ended = _read(report, tests.project)
    if ended is None:
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        todo = "read the last lines; --timeout and --memory are what the tests may use"
        raise DataError(f"the tests did not come to their end ({how}): {ending}", where=tests.command, todo=todo)
    if not found:
        todo = "give the folder whose functions the tests call"
        raise DataError(f"the tests called no function of the project: {ending}", where=str(tests.project), todo=todo)
    return sorted(found, key=lambda r: (r.file, r.line)), ended


def _run(
    tests: Tests,
    words: Sequence[str],
    protection: Protection,
    places: tuple[str, str],
    report: IO[bytes],
    said: IO[bytes],
) -> int:
    """Runs the tests to their end; the exit status of the interpreter. `places` are to be written to, and not."""
    writable, outside = places
    root = str(Path(__file__).resolve().parents[2])
    setup = {
        "project": str(tests.project),
        "tests": words,
        "most": tests.most,
        "layers": [layer for layer in protection.layers if layer != "bubblewrap"],
        "cpu_seconds": tests.cpu_seconds,
        "memory_bytes": tests.memory_bytes,
        "writable": writable,
        "outside": outside,
        "allowed": list(protection.open),
        "report": report.fileno(),
    }
    environment = {**_ENVIRONMENT, "TMPDIR": writable, "HOME": writable}
    command = [tests.python or sys.executable, "-s", "-P", "-c", _BOOT.format(root=root), json.dumps(setup)]
    process = subprocess.Popen(
        [*_wrapper(protection, tests.project, root, writable, environment), *command],
        cwd=tests.project,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=said.fileno(),
        stderr=said.fileno(),
        pass_fds=(report.fileno(),),
        start_new_session=True,
    )
    try:
        return _waited(process, said, tests.cpu_seconds * _WALL_FACTOR)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wrapper(
    protection: Protection, project: Path, root: str, writable: str, environment: Mapping[str, str]
) -> list[str]:
    """bubblewrap with the project, this package and a folder to work in shown too; nothing without it."""
    if not protection.wrapper:
        return []
    shown = ["--ro-bind", str(project), str(project), "--ro-bind", root, root, "--bind", writable, writable]
    known = [word for name, value in environment.items() for word in ("--setenv", name, value)]
    return [*protection.wrapper, *shown, *known, "--chdir", str(project)]


def _waited(process: subprocess.Popen[bytes], said: IO[bytes], most_seconds: float) -> int:
    """The exit status; a process that goes on too long is left to be ended."""
    with progress(None, "tests") as bar:
        for _ in range(int(most_seconds / _LOOK_SECONDS)):
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(_LOOK_SECONDS)
            bar.advance(0, estimate="".join(_tail(said)[-1:])[-60:])
    return -signal.SIGXCPU


def _tail(said: IO[bytes]) -> list[str]:
    """The last lines that the tests printed."""
    size = os.fstat(said.fileno()).st_size
    text = os.pread(said.fileno(), 2000, max(0, size - 2000)).decode("utf-8", "replace")
    return [line.strip() for line in text.splitlines() if line.strip()][-_LAST_LINES:]


def _read(report: IO[bytes], project: Path) -> tuple[list[Recorded], int | None]:
    """Records, and the tests' status; None where the last line is not there. Nothing in them is trusted."""
    report.seek(0)
    found: list[Recorded] = []
    for line in report:
        try:
            record = json.loads(line)
            if "free" in record:
                raise SandboxError(f"the tests would be free to {', '.join(record['free'])}", where=str(project))
            if "status" in record:
                return found, int(record["status"])
            found.append(_recorded(record))
        except (ValueError, TypeError, KeyError, Unreadable) as error:
            raise DataError(f"the records are damaged ({error})", where=str(project)) from None
    return found, None


def _recorded(record: Mapping[str, Any]) -> Recorded:
    pairs = []
    for given, answer in record["pairs"]:
        args, kwargs = decode(str(given).encode())
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            raise ValueError("arguments of no known form")
        pairs.append((args, kwargs, decode(str(answer).encode())))
    return Recorded(
        file=str(record["file"]),
        name=str(record["name"]),
        line=int(record["line"]),
        calls=int(record["calls"]),
        reason=str(record["reason"])[:100],
        branches=int(record["branches"]),
        pairs=pairs,
    )
