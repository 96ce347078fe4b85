"""A judge as a process of its own: orders on stdin, verdicts on stdout, until stdin closes.

Tests run in here, so an answer that makes a test hang or run out of memory costs this process, not the command.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
from typing import Any

from gnomon.sandbox.frames import pack, read_frame, write_all
from gnomon.sandbox.host import Zygote
from gnomon.sandbox.judge import Judge
from gnomon.sandbox.limits import Limits
from gnomon.sandbox.verdict import Check

__all__ = ["TEST_SECONDS", "main"]

# Processor time that a test itself may take for one candidate; what the candidate computes is not in it.
TEST_SECONDS = 30
_MEMORY_BYTES = 4 << 30


def main() -> None:
    """Serves the pool that started this process."""
    setup = json.loads(read_frame(0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    sys.path += setup["path"]
    replies, sys.stdout = 1, sys.stderr
    limits = Limits(**setup["limits"])
    gc.freeze()
    judge = Judge(lambda: Zygote(setup["layers"], limits, setup["wrapper"]))
    checks: dict[int, Check] = {}
    while True:
        try:
            order = json.loads(read_frame(0))
        except EOFError:
            judge.close()
            return
        _allow_seconds(TEST_SECONDS)
        if "check" in order:
            checks[order["number"]] = _check_of(order["check"])
        verdict = judge.verdict(checks[order["number"]], order["source"])
        try:
            write_all(replies, pack(json.dumps(vars(verdict)).encode()))
        except BrokenPipeError:  # the command was stopped
            judge.close()
            return


def _allow_seconds(seconds: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds + 1, hard))


def _check_of(record: dict[str, Any]) -> Check:
    programs = tuple((text, wanted) for text, wanted in record["programs"])
    return Check(**{**record, "names": tuple(record["names"]), "programs": programs})
