"""Whole programs: the ways that people read and print and end are all right; a right output alone is not."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from gnomon.sandbox import Check, Judges, Limits, called, protect

_NUMBERS = " ".join(map(str, range(20000)))
# the second input is more than a pipe holds
SUM = Check(programs=(("3\n1 2 3\n", "6\n"), (f"20000\n{_NUMBERS}\n", f"{sum(range(20000))}\n")))
_PRINT = "input()\nprint(sum(map(int, input().split())))\n"

RIGHT = {
    "plain": _PRINT,
    "exit": _PRINT + "exit()",
    "quit": _PRINT + "quit(0)",
    "a function at the end": f"import atexit\natexit.register(lambda: exec({_PRINT!r}))",
    "a thread that nobody waits for": (
        "import threading, time\ndef main():\n    time.sleep(0.02)\n    input()\n"
        "    print(sum(map(int, input().split())))\n"
        "threading.stack_size(1 << 27)\nthreading.Thread(target=main).start()"
    ),
    "descriptor 0": "f = open(0)\nf.readline()\nprint(sum(map(int, f.readline().split())))",
    "reads of descriptor 0": (
        "import os\ntext = b''\nwhile part := os.read(0, max(os.fstat(0).st_size, 8192)): text += part\n"
        "print(sum(map(int, text.split()[1:])))"
    ),
    "bytes": "import sys\nsys.stdout.buffer.write(b'%d' % sum(map(int, sys.stdin.buffer.read().split()[1:])))",
    "lines": "import sys\ninput = sys.stdin.readline\n" + _PRINT,
    "until it ends": _PRINT + "try:\n    while True: input()\nexcept EOFError: pass",
    "output that is put back": (
        "import io, sys\nsys.stdout = io.StringIO()\nprint('no')\nsys.stdout = sys.__stdout__\n" + _PRINT
    ),
    "output that is closed": _PRINT + "import sys\nsys.stdout.close()",
    "threads of an event loop": (
        "import asyncio\nasync def main():\n    for _ in range(2): line = await asyncio.to_thread(input)\n"
        "    print(sum(map(int, line.split())))\nasyncio.run(main())"
    ),
    "output that leads nowhere": "import os, sys\nsys.stderr = open(os.devnull, 'w')\n" + _PRINT,
    "its own name": "import os\nos.chdir(os.path.dirname(os.path.abspath(__file__)))\n" + _PRINT,
    "words beside it": "import sys\nprint('read', file=sys.stderr)\n" + _PRINT,
}
WRONG = {
    "right and then a failure": (_PRINT + "1 / 0", "exception"),
    "right and then a status": (_PRINT + "exit(3)", "exception"),
    "right and then a crash": (_PRINT + "import ctypes, sys\nsys.stdout.flush()\nctypes.string_at(0)", "crash"),
    "right and then no end": (_PRINT + "import os, sys\nsys.stdout.flush()\nos.close(1)\nwhile True: pass", "timeout"),
    "the signal for too much time": (_PRINT + "import os, signal\nos.kill(os.getpid(), signal.SIGXCPU)", "crash"),
    "says that memory is out": (_PRINT + "raise MemoryError", "exception"),
    "long and no Python": (_PRINT + "# " + "x" * 70_000 + "\n(", "syntax"),
    "a byte now and then": (
        "import os, time\nwhile True:\n    os.write(1, b' ')\n    time.sleep(0.02)",
        "timeout",
    ),
    "waits for more": (
        "import os, time\nwhile not os.read(0, 1): time.sleep(0.01)\nwhile True: os.read(0, 9)",
        "timeout",
    ),
    "what else can be read": (
        "import os\nfor fd in range(3, 64):\n    try: print(os.read(fd, 999))\n    except OSError: pass",
        "wrong answer",
    ),
}


@pytest.fixture(scope="module")
def judges() -> Iterator[Judges]:
    with Judges(1, Limits(cpu_seconds=0.4)) as pool:
        yield pool


@pytest.mark.parametrize("name", RIGHT)
def test_right_programs_pass(judges: Judges, name: str) -> None:
    verdict = judges.verdict(SUM, RIGHT[name])
    assert verdict.passed, verdict


@pytest.mark.parametrize("name", WRONG)
def test_wrong_ones_do_not(judges: Judges, name: str) -> None:
    source, cause = WRONG[name]
    assert judges.verdict(SUM, source).cause == cause


def test_memory_is_what_failed_where_much_was_held() -> None:
    held = "held = b'x' * (90 << 20)\n"
    with Judges(1, Limits(memory_bytes=256 << 20)) as pool:
        assert pool.verdict(SUM, held + "held *= 9").cause == "memory"
        assert pool.verdict(SUM, held + "raise ValueError").cause == "exception"


def test_descriptors_of_a_busy_command_do_not_reach_the_candidate() -> None:
    ours = [os.open("/dev/null", os.O_RDONLY) for _ in range(60)]
    try:
        source = (
            "import os\ndef f():\n    found = []\n    for fd in range(300):\n        try: os.fstat(fd)\n"
            "        except OSError: continue\n        found.append(fd)\n    return found"
        )
        assert called(source, "f", [], protect(), Limits()) == [0, 1, 2, 3, 4]
    finally:
        for fd in ours:
            os.close(fd)
