"""`gnomon trace PROJECT`: problems to write programs for, out of a project's own tests."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gnomon.cli.assay import keep, kept_rows
from gnomon.cli.flags import Fresh, Json, Out, Page
from gnomon.cli.output import command_line, emit, origin_of, say, write_text
from gnomon.core.errors import UsageError
from gnomon.grade.tracing import Tracing, trace
from gnomon.sandbox import protect

__all__ = ["EXAMPLES", "trace_command"]

EXAMPLES = """Examples:
  gnomon trace .                                     run `python -m pytest -q` here and watch
  gnomon trace ../project --tests "unittest -q" --python ../project/.venv/bin/python
  gnomon trace . --to problems.jsonl
  gnomon grade references --problems problems.jsonl  do they hold?
  gnomon train code --data problems.jsonl --model hf:FOLDER

What comes out:
  stdout              how many functions make a problem, and why others do not
  runs/trace-NAME-ID  problems.jsonl in HumanEval's form, rows (run.db), report.html, report.json
The tests and the functions run without network, other processes, or files but the project's, to read.
The same command again reports without running the tests, unless a file of the project has changed.
"""

_Python = Annotated[
    str, Parameter(help="Interpreter that has what the project needs. [default: this one]", show_default=False)
]


def trace_command(
    project: Annotated[Path, Parameter(help="Folder of a Python project with tests.")],
    /,
    *,
    tests: Annotated[str, Parameter(help="A module and its arguments, run as `python -m` there.")] = "pytest -q",
    python: _Python = "",
    pairs: Annotated[int, Parameter(help="Most calls to keep of a function.")] = 20,
    timeout: Annotated[int, Parameter(help="Processor seconds of all tests together.")] = 600,
    memory: Annotated[int, Parameter(help="MiB of the same.")] = 4096,
    to: Annotated[Path | None, Parameter(help="Write the problems to this file too.")] = None,
    strong: Annotated[bool, Parameter(help="Run the tests inside bubblewrap too.", negative="")] = False,
    unsafe: Annotated[bool, Parameter(help="Go on where this machine can hold too little.", negative="")] = False,
    fresh: Fresh = False,
    json: Json = None,
    page: Page = None,
    out: Out = None,
) -> int:
    """Turn a project's functions into problems: run its tests, and keep what they ask and are answered."""
    for name, value, least in (("pairs", pairs, 2), ("timeout", timeout, 1), ("memory", memory, 256)):
        if value < least:
            raise UsageError(f"--{name} is {value}", todo=f"give {least} or more")
    config = Tracing(project=project, tests=tests, python=python, pairs=pairs, timeout=timeout, memory=memory)
    say(str(held := protect(strong=strong, unsafe=unsafe)))
    traced = trace(config, held, fresh=fresh, root=out)
    say(f"problems: {traced.problems}")
    if to is not None:
        write_text(to, traced.problems.read_text(encoding="utf-8"))
    words = {name: value for name, value in asdict(config).items() if name != "project"}
    again = command_line("trace", str(project), words)
    origin = origin_of(traced.manifest, {}, {"wall_seconds": round(traced.seconds, 3)}, again)
    rows = kept_rows(traced.manifest.folder)
    keep(traced.manifest.folder, traced.report, origin, rows)
    emit([(traced.report, origin)], json=json, page=page, rows=rows)
    return traced.report.exit_code
