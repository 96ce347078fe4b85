"""Problems out of a project's own tests: its functions, each with what the tests were seen to ask and be answered.

    gnomon trace PROJECT --tests "pytest -q"

The tests run where they can do no harm (`recorder`, started by `running`); what comes back is data, from which problems
in HumanEval's form are written (`problems`). A problem is kept if its recorded tests pass on the function alone, in
the sandbox that `gnomon grade` has; small faults put into it say how sharp those tests are. Chen et al. 2021,
"Evaluating Large Language Models Trained on Code", arXiv 2107.03374, sec. 4.2.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from gnomon.core.errors import DataError
from gnomon.core.progress import progress
from gnomon.core.record import Row
from gnomon.core.seeds import Seed
from gnomon.data.code_mutants import mutants
from gnomon.data.code_sets import Problem, parse_problem
from gnomon.grade.tracing.problems import Unfit, problem_row
from gnomon.grade.tracing.running import Recorded, Tests, record
from gnomon.report.base import Estimate, Report, Table
from gnomon.sandbox import Check, Judges, Limits, Protection
from gnomon.stats.intervals import bounded, proportion
from gnomon.store.files import replace_file
from gnomon.store.manifest import Manifest
from gnomon.store.run import Run
from gnomon.trial.code import check_of

__all__ = ["PROBLEMS", "Traced", "Tracing", "trace"]

PROBLEMS = "problems.jsonl"
"""Where in its run's folder a trace leaves the problems."""

_MUTANTS = 4
_MOST_LISTED = 20
_CPU_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class Tracing:
    """What is traced, and how.

    Attributes:
        project: its folder.
        tests: a module and its arguments, run as `python -m` there.
        python: the interpreter that has what the project needs; "" for this one.
        pairs: most calls to keep of a function.
        timeout: processor seconds of all tests together.
        memory: MiB of the same.
    """

    project: Path
    tests: str = "pytest -q"
    python: str = ""
    pairs: int = 20
    timeout: int = 600
    memory: int = 4096


class Traced(NamedTuple):
    """What a trace left: its run, its report, where the problems are, and seconds it took now."""

    manifest: Manifest
    report: Report
    problems: Path
    seconds: float


def trace(config: Tracing, protection: Protection, *, fresh: bool = False, root: Path | None = None) -> Traced:
    """Runs the tests once, judges every function that can be a problem, and reports on all of them.

    The same call goes on where an earlier one stopped: the tests run again, and what was judged is not judged again.

    Args:
        protection: what holds the tests and the functions; `gnomon.sandbox.protect` finds it.
        fresh: forget an earlier run of the same configuration.
        root: folder of the runs; None is GNOMON_RUNS or ./runs.

    Raises:
        DataError: no such folder, or the tests do not come to their end or call nothing of the project's.
        UsageError: the command is none.
    """
    began = monotonic()
    project = config.project.resolve()
    if not project.is_dir():
        raise DataError("is no folder", where=str(config.project), todo="give the folder of a Python project")
    identity = {"config": asdict(replace(config, project=Path(project.name))), "files": _digest(project)}
    name = "".join(c if c.isalnum() or c in "._-" else "-" for c in project.name)[:60] or "project"
    with Run.open("trace", name, identity, root=root, fresh=fresh) as run:
        if not (run.folder / PROBLEMS).exists():
            found, status = _recorded(config, project, protection)
            run.note(protection=str(protection), tests_status=status)
            _judge(found, project, protection, run)
            lines = (json.dumps(r.evidence["problem"]) + "\n" for r in run.rows() if r.evidence["problem"])
            replace_file(run.folder / PROBLEMS, "".join(lines))
        report = _report(config, run.rows(), run.manifest.notes, protection)
        run.finish("done")
        return Traced(run.manifest, report, run.folder / PROBLEMS, monotonic() - began)


def _recorded(config: Tracing, project: Path, protection: Protection) -> tuple[list[Recorded], int]:
    tests = Tests(
        project=project,
        command=config.tests,
        python=config.python,
        most=config.pairs,
        cpu_seconds=config.timeout,
        memory_bytes=config.memory << 20,
    )
    return record(tests, protection)


def _judge(found: Sequence[Recorded], project: Path, protection: Protection, run: Run) -> None:
    """A row a function: the problem it makes, or why it makes none."""
    held = run.keys()
    todo = [each for each in found if _key(each) not in held]
    places = {_key(each): place for place, each in enumerate(found)}
    kept = 0
    with Judges(1, Limits(cpu_seconds=_CPU_SECONDS), protection) as judges, progress(len(todo), "functions") as bar:
        for each in todo:
            row = _row(each, project, judges)
            run.add([row], [places[row.key]])
            kept += row.evidence["problem"] is not None
            bar.advance(1, estimate=f"{kept} problems")


def _row(found: Recorded, project: Path, judges: Judges) -> Row:
    evidence: dict[str, Any] = {
        "calls": found.calls,
        "pairs": len(found.pairs),
        "branches": found.branches,
        "reason": found.reason,
        "problem": None,
        "mutants": [],
    }
    try:
        if found.reason:
            raise Unfit(found.reason)
        fields = problem_row(found, project)
        problem = parse_problem(fields, found.file)
        # Without what the judge would run of the project's before the test: nothing of it is trusted.
        check = replace(check_of(problem), setup="", back=False)
        verdict = judges.verdict(check, problem.reference)
        if not verdict.passed:
            raise Unfit(f"alone, its tests fail ({verdict.cause})")
        evidence |= {"problem": fields, "mutants": list(_refused(problem, check, judges))}
    except (Unfit, SyntaxError, UnicodeDecodeError, OSError) as error:
        evidence["reason"] = str(error) if isinstance(error, Unfit) else "its file cannot be read"
    return Row(key=_key(found), cluster=found.file, evidence=evidence)


def _refused(problem: Problem, check: Check, judges: Judges) -> Iterator[bool]:
    """Whether the recorded tests refuse each of a few faulty versions of the function."""
    for faulty in mutants(problem.reference, problem.entry_point, _MUTANTS, Seed(0).child(problem.id)):
        yield not judges.verdict(check, faulty).passed


def _key(found: Recorded) -> str:
    return f"{found.file}:{found.line} {found.name}"


def _digest(project: Path) -> str:
    """A hash over the project's Python files."""
    found = hashlib.blake2b(digest_size=16)
    for file in sorted(project.rglob("*.py")):
        found.update(file.relative_to(project).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return found.hexdigest()


def _report(config: Tracing, rows: Sequence[Row], notes: Mapping[str, Any], protection: Protection) -> Report:
    made = [float(row.evidence["problem"] is not None) for row in rows]
    kept = [row for row in rows if row.evidence["problem"] is not None]
    files = [row.cluster for row in rows]
    estimates = [Estimate.of("functions that make a problem", bounded(proportion(made, files)), headline=True)]
    faulty = [(float(refused), row.key) for row in kept for refused in row.evidence["mutants"]]
    if faulty:
        refused = bounded(proportion(*map(list, zip(*faulty, strict=True))))  # type: ignore[arg-type]  # zip forgets which is which
        estimates.append(Estimate.of("faulty versions that the tests refuse", refused, headline=True))
    told = []
    if notes.get("tests_status"):
        told.append(f"the tests ended with status {notes['tests_status']}; what they called before counts")
    if protection.open:
        told.append(f"the tests were free to {', '.join(protection.open)}")
    calls, pairs = (sum(row.evidence[name] for row in some) for name, some in (("calls", rows), ("pairs", kept)))
    summary = f"{len(kept)} problems with {pairs} recorded calls, of {len(rows)} functions that the tests called"
    return Report(
        title=f"Trace of {config.project.resolve().name}",
        estimates=estimates,
        tables=[table for table in (_made(kept), _left_out(rows)) if table.rows],
        summary=f"{summary} {calls} times.",
        notes=told,
    )


def _made(kept: Sequence[Row]) -> Table:
    """The problems with the most recorded calls."""
    rows = [
        (row.evidence["problem"]["task_id"], row.evidence["pairs"], row.evidence["branches"], _share(row))
        for row in sorted(kept, key=lambda row: -row.evidence["pairs"])[:_MOST_LISTED]
    ]
    more = len(kept) - len(rows)
    caption = "Steps are from one line to another." + (f" {more} more are in {PROBLEMS}." if more else "")
    columns = ("problem", "calls", "different steps", "faulty versions refused")
    return Table(title="Problems", columns=columns, rows=rows, caption=caption)


def _share(row: Row) -> str:
    refused = row.evidence["mutants"]
    return f"{sum(refused)} of {len(refused)}" if refused else "nothing to change"


def _left_out(rows: Sequence[Row]) -> Table:
    """Why functions make no problem."""
    reasons = Counter(row.evidence["reason"] for row in rows if row.evidence["reason"])
    found = [
        (why, count, next(r.key for r in rows if r.evidence["reason"] == why)) for why, count in reasons.most_common()
    ]
    return Table(title="Functions left out", columns=("why", "functions", "for example"), rows=found)
