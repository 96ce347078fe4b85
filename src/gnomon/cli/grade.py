"""`gnomon grade SAMPLES --problems FILE`: how often programs that models wrote are right."""

from __future__ import annotations

import os
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from gnomon.cli.assay import keep, kept_rows
from gnomon.cli.flags import Json, Out, Page
from gnomon.cli.output import command_line, emit, origin_of, say, write_text
from gnomon.core.errors import UsageError
from gnomon.grade.grading import Finished, Grading, grade
from gnomon.grade.results import as_evalplus, as_human_eval
from gnomon.sandbox import protect

__all__ = ["EXAMPLES", "grade_command"]

EXAMPLES = """Examples:
  gnomon grade samples.jsonl --problems HumanEval.jsonl.gz
  gnomon grade references --problems HumanEval.jsonl.gz   are the problems sound?
  gnomon grade empty --problems brook                     the embedded set

What comes out:
  stdout              pass@k with 95 % intervals over problems, and why samples fail
  runs/grade-NAME-ID  rows (run.db), results.jsonl, report.html, report.json
  exit code 1         a reference that fails its own test, or an empty solution that passes
The same command again resumes, or reports without judging again.
"""


_Samples = Annotated[
    str, Parameter(help="JSON lines of task_id and completion or solution; or the word references, or empty.")
]
_Problems = Annotated[
    str,
    Parameter(
        help="File of HumanEval, HumanEval+, MBPP, MBPP+, APPS or LiveCodeBench, as published; or an embedded set: "
        "brook, chains, bindings, contests, mini."
    ),
]
_K = Annotated[
    str, Parameter(help="For pass@k, with commas. [default: those of 1,10,100 that fit]", show_default=False)
]
_Bind = Annotated[
    Literal["candidate", "reference"], Parameter(help="What the test's own uses of the function's name call.")
]
_Missing = Annotated[bool, Parameter(help="Count problems without a sample as wrong.", negative="")]
_Envelope = Annotated[
    Literal["split", "in-sample"],
    Parameter(
        help="Choose the best temperature for each k on half of the problems and report on the other, or both on all."
    ),
]
_Trained = Annotated[str, Parameter(help="Text that the model learnt from: problems that stand in it are told apart.")]
_Results = Annotated[Path | None, Parameter(help="Write verdicts here too: as human-eval, or *.json as evalplus.")]
_Unsafe = Annotated[bool, Parameter(help="Go on where this machine can hold too little.", negative="")]
_Workers = Annotated[int | None, Parameter(help="Judges side by side. [default: one a processor]")]
_Fresh = Annotated[bool, Parameter(help="Judge again what an earlier run judged.", negative="", show_default=False)]


def grade_command(
    samples: _Samples,
    /,
    *,
    problems: _Problems,
    k: _K = "",
    bind: _Bind = "candidate",
    timeout: Annotated[float, Parameter(help="Processor seconds a sample.")] = 3.0,
    memory: Annotated[int, Parameter(help="MiB a sample.")] = 1024,
    allow_missing: _Missing = False,
    envelope: _Envelope = "split",
    results: _Results = None,
    strong: Annotated[bool, Parameter(help="Run samples inside bubblewrap too.", negative="")] = False,
    unsafe: _Unsafe = False,
    bleu: Annotated[bool, Parameter(help="Measure likeness to the reference too.", negative="")] = False,
    trained_on: _Trained = "",
    seed: Annotated[int, Parameter(help="Root of every random draw.")] = 0,
    workers: _Workers = None,
    fresh: _Fresh = False,
    json: Json = None,
    page: Page = None,
    out: Out = None,
) -> int:
    """Grade programs that models wrote: run their tests where they cannot cheat or do harm."""
    _check(timeout, memory, workers)
    config = Grading(
        samples=samples,
        problems=problems,
        k=_numbers(k),
        bind=bind,
        timeout=timeout,
        memory=memory,
        allow_missing=allow_missing,
        envelope=envelope,
        bleu=bleu,
        trained_on=trained_on,
        seed=seed,
    )
    say(str(held := protect(strong=strong, unsafe=unsafe)))
    finished = grade(config, held, workers=workers or os.cpu_count() or 1, fresh=fresh, root=out)
    return _show(finished, config, json, page, results)


def _check(timeout: float, memory: int, workers: int | None) -> None:
    if not 0 < timeout < inf or memory < 128:
        raise UsageError(f"--timeout {timeout:g} --memory {memory}", todo="give above 0 seconds and at least 128 MiB")
    if workers is not None and workers < 1:
        raise UsageError(f"--workers is {workers}", todo="give at least 1")


def _show(finished: Finished, config: Grading, json: str | None, page: str | None, results: Path | None) -> int:
    _write_results(finished, results)
    words = {name: value for name, value in asdict(config).items() if name != "samples"}
    timing = {"wall_seconds": round(finished.seconds, 3), "samples_judged": finished.judged}
    origin = origin_of(finished.manifest, {}, timing, command_line("grade", config.samples, words))
    rows = kept_rows(finished.manifest.folder)
    keep(finished.manifest.folder, finished.report, origin, rows)
    emit([(finished.report, origin)], json=json, page=page, rows=rows)
    return finished.report.exit_code


def _write_results(finished: Finished, path: Path | None) -> None:
    """Verdicts as human-eval writes them into the run's folder, and where the user asks."""
    lines = as_human_eval(finished.samples, finished.verdicts)
    own = finished.manifest.folder / "results.jsonl"
    write_text(own, lines)
    say(f"results: {own}")
    if path is not None:
        write_text(path, as_evalplus(finished.samples, finished.verdicts) if path.suffix == ".json" else lines)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(",") if word.strip())
    except ValueError:
        raise UsageError(f"{text!r} is no list of numbers", where="--k", todo="give 1,10") from None
