"""The command line. `gnomon --help` says what there is; every command's own `--help` shows how to use it.

stdout holds results and nothing else; progress, file names and errors go to stderr. Exit codes: 0 done, 1 done with
findings or a value outside its range, 2 wrong use, 3 bad data or model, 4 failed, 130 stopped and resumable.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

__all__ = ["main"]

# The study whose trainings several processes share.
_GRID = ["study", "repeated-data"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code; `argv` defaults to the process's own arguments."""
    from gnomon.cli.guard import guarded

    tokens = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _run(tokens), tokens)


def _run(tokens: list[str]) -> int:
    from gnomon.cli.app import build_app
    from gnomon.core.errors import UsageError

    size = os.environ.get("WORLD_SIZE", "1")
    if size != "1" and "LOCAL_WORLD_SIZE" in os.environ and tokens[:1] != ["train"] and tokens[:2] != _GRID:
        raise UsageError(f"{size} processes have nothing to share but a training", todo="start it without torchrun")
    # "-" alone reads as a flag whose name is missing; joined to its flag it is the value that means stdout.
    if "-" in tokens[1:]:
        at = tokens.index("-", 1)
        tokens = [*tokens[: at - 1], f"{tokens[at - 1]}=-", *tokens[at + 1 :]]
    app = build_app(tokens)
    # What is imported stays: to look through it again and again for what can go costs a tenth of a short command.
    gc.freeze()
    try:
        code = app(tokens, exit_on_error=False, print_error=False)
    finally:
        gc.unfreeze()
    return code if isinstance(code, int) else 0
