"""One grading run: samples in, verdicts as rows, a report; resumed where it stopped."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from gnomon.core.errors import DataError, RunError
from gnomon.core.progress import progress
from gnomon.core.record import Row
from gnomon.core.seeds import Seed
from gnomon.data.code_open import open_problems
from gnomon.data.code_samples import Sample, made_samples, read_samples
from gnomon.data.code_sets import Problem
from gnomon.report.base import Finding, Report
from gnomon.sandbox import Job, Judges, Limits, Protection, Verdict
from gnomon.store.manifest import Manifest
from gnomon.store.run import Run
from gnomon.trial.code import Binding, check_of, likeness, opened, passes_shown
from gnomon.trial.graded import Envelope, Graded, by_task, report_on, usable_ks
from gnomon.trial.seen import met_in, seen

__all__ = ["MADE", "Finished", "Grading", "grade"]

# Names in place of a file: the set's own references, and nothing after the prompt.
MADE = ("references", "empty")
_FLUSH_ROWS, _FLUSH_SECONDS = 200, 1.0


@dataclass(frozen=True, kw_only=True)
class Grading:
    """What is graded, and how.

    Attributes:
        samples: a file of samples, or "references" or "empty".
        problems: a file of problems, or the name of an embedded set.
        k: for pass@k; those of 1, 10 and 100 that fit where empty.
        bind: what the test's own uses of the entry point's name are.
        timeout: processor seconds a sample.
        memory: MiB a sample.
        allow_missing: problems without a sample count as wrong, instead of being an error.
        envelope: whether the best temperature for each k is chosen on other problems than it is reported on.
        bleu: whether likeness to the reference is measured too.
        trained_on: a text that the model learnt from; problems that stand in it are reported apart. "" for none.
        seed: of resampling.
    """

    samples: str
    problems: str
    k: tuple[int, ...] = ()
    bind: Binding = "candidate"
    timeout: float = 3.0
    memory: int = 1024
    allow_missing: bool = False
    envelope: Envelope = "split"
    bleu: bool = False
    trained_on: str = ""
    seed: int = 0


class Finished(NamedTuple):
    """What a grading run left.

    Attributes:
        samples: in the file's order, each with its row's key.
        verdicts: cause and detail by key.
        judged: samples that this call judged; copies of a program are judged once.
    """

    manifest: Manifest
    report: Report
    samples: Sequence[Sample]
    verdicts: Mapping[str, Verdict]
    judged: int
    seconds: float


def grade(
    config: Grading,
    protection: Protection,
    *,
    workers: int = 1,
    fresh: bool = False,
    root: Path | None = None,
) -> Finished:
    """Judges every sample that the run does not hold yet, and reports on all of them.

    Args:
        protection: what holds candidates; `gnomon.sandbox.protect` finds it.
        workers: judges; verdicts are the same for any number.
        fresh: forget an earlier run of the same configuration.
        root: folder of the runs; None is GNOMON_RUNS or ./runs.

    Raises:
        DataError: a file cannot be used, or a problem has no sample.
        UsageError: a k is above the number of samples of some problem.
        RunError: the sandbox failed on more than one sample in a hundred.
    """
    began = time.monotonic()
    every = {p.id: opened(p, protection) for p in open_problems(config.problems, None, Seed(0), untested=True)}
    problems = {name: problem for name, problem in every.items() if problem.tested}
    samples = _samples(config, problems, every)
    with Run.open("grade", _name(config), _identity(config, problems, samples), root=root, fresh=fresh) as run:
        run.note(protection=str(protection), workers=workers)
        held = run.keys()
        todo = [s for s in samples if s.key not in held]
        if todo:
            limits = Limits(cpu_seconds=config.timeout, memory_bytes=config.memory << 20)
            with Judges(min(workers, len(todo)), limits, protection) as judges:
                _Grader(config, run, problems, samples).judge(todo, judges)
        verdicts = {row.key: _verdict(row) for row in run.rows()}
        report = _report(config, problems, samples, verdicts, protection)
        if len(problems) < len(every):
            note = f"{len(every) - len(problems)} problems have no tests: they and their samples are in no number"
            report = replace(report, notes=[note, *report.notes])
        run.finish("done")
        manifest = run.manifest
    return Finished(manifest, report, samples, verdicts, len(todo), time.monotonic() - began)


class _Grader:
    """Judges samples, identical programs once, and commits rows as they come."""

    def __init__(self, config: Grading, run: Run, problems: Mapping[str, Problem], samples: Sequence[Sample]) -> None:
        self._config, self._run, self._problems = config, run, problems
        self._place = {s.key: i for i, s in enumerate(samples)}
        self._waiting: list[Row] = []
        self._flushed = time.monotonic()
        done = [r for r in run.rows() if r.error is None]
        self._done, self._passed = len(done), sum(r.evidence["cause"] == "passed" for r in done)

    def judge(self, todo: Sequence[Sample], judges: Judges) -> None:
        """Judges `todo`; RunError where the sandbox failed on more than one in a hundred."""
        same: dict[tuple[str, str], list[Sample]] = {}
        for sample in todo:
            same.setdefault((sample.task, sample.source.rstrip("\n")), []).append(sample)
        copies = {some[0].key: some for some in same.values()}
        lost = 0
        try:
            with progress(len(self._place), "grade", done=self._done) as bar:
                for key, verdict in judges.all(self._jobs([some[0] for some in same.values()])):
                    lost += verdict.cause == "infrastructure"
                    for sample in copies[key]:
                        self._take(sample, verdict)
                    bar.advance(len(copies[key]), estimate=f"passed {self._passed / self._done:.3f}")
        finally:
            self._flush()
        if lost > 0.01 * len(same) + 1:
            raise RunError(
                f"the sandbox failed on {lost} of {len(same)} programs",
                where=str(self._run.folder),
                todo="the verdicts on the others are kept; the same command judges these again",
            )

    def _jobs(self, samples: Sequence[Sample]) -> Iterator[Job]:
        checks: dict[str, Any] = {}
        for sample in samples:
            if sample.task not in checks:
                checks[sample.task] = check_of(self._problems[sample.task], self._config.bind)
            yield Job(sample.key, checks[sample.task], sample.source)

    def _take(self, sample: Sample, verdict: Verdict) -> None:
        error = verdict.detail if verdict.cause == "infrastructure" else None
        evidence = {
            "cause": verdict.cause,
            "detail": verdict.detail.encode("utf-8", "replace").decode(),
            "cpu_seconds": round(verdict.cpu_seconds, 4),
            "calls": verdict.calls,
            "scores": {"passed": float(verdict.passed)},
        }
        self._waiting.append(Row(key=sample.key, cluster=sample.task, evidence=evidence, error=error))
        self._done += 1
        self._passed += verdict.passed
        if len(self._waiting) >= _FLUSH_ROWS or time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self._flush()

    def _flush(self) -> None:
        self._flushed = time.monotonic()
        if self._waiting:
            self._run.add(self._waiting, [self._place[row.key] for row in self._waiting])
            self._waiting = []


def _samples(config: Grading, problems: Mapping[str, Problem], every: Mapping[str, Problem]) -> list[Sample]:
    """The samples of `problems`; those of others among `every` cannot be judged."""
    if config.samples in MADE:
        found = list(made_samples(config.samples, problems.values()))
    else:
        found = [s for s in read_samples(Path(config.samples), every) if s.task in problems]
    counts = Counter(s.task for s in found)
    without = [task for task in problems if task not in counts]
    if without and not config.allow_missing:
        raise DataError(
            f"{len(without)} of {len(problems)} problems have no sample; the first is {without[0]}",
            where=config.samples,
            todo="give samples of every problem, or --allow-missing to count these as wrong",
        )
    if not without:
        usable_ks(config.k, counts)
    return found


def _name(config: Grading) -> str:
    stem = Path(config.samples).name.removesuffix(".gz").removesuffix(".jsonl")
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in stem)[:60] or "samples"


def _identity(config: Grading, problems: Mapping[str, Problem], samples: Sequence[Sample]) -> dict[str, Any]:
    asked = {
        key: value
        for key, value in asdict(config).items()
        if key not in ("samples", "problems", "k", "allow_missing", "envelope", "bleu", "trained_on")
    }
    return {
        "config": asked,
        "seed": config.seed,
        "problems": _digest(repr(p) for p in problems.values()),
        "samples": _digest(f"{s.key} {s.source!r}" for s in samples),
    }


def _digest(texts: Iterable[str]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for text in texts:
        found.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return found.hexdigest()


def _verdict(row: Row) -> Verdict:
    e = row.evidence
    return Verdict(cause=e["cause"], detail=e["detail"], cpu_seconds=e["cpu_seconds"], calls=e["calls"])


def _report(
    config: Grading,
    problems: Mapping[str, Problem],
    samples: Sequence[Sample],
    verdicts: Mapping[str, Verdict],
    protection: Protection,
) -> Report:
    graded = [_graded(config, s, problems[s.task], verdicts[s.key]) for s in samples]
    notes = []
    present = {s.task for s in samples}
    without = [p for p in problems.values() if p.id not in present]
    if without:
        most = max(Counter(s.task for s in samples).values())
        notes.append(f"{len(without)} problems have no sample and count as wrong, as {most} samples each")
        graded += [Graded(task=p.id, index=i, cause="no sample", level=p.level) for p in without for i in range(most)]
    if protection.open:
        notes.append(f"samples were free to {', '.join(protection.open)}: read no verdict as safe from cheating")
    title = f"Grade of {config.samples}"
    report = report_on(graded, title, ks=config.k, envelope=config.envelope, seed=config.seed)
    estimates = list(report.estimates)
    if config.trained_on:
        counts = {task: (len(some), sum(g.passed for g in some)) for task, some in by_task(graded).items()}
        met, told = met_in(config.trained_on, [problems[task] for task in counts])
        estimates += seen(counts, met, usable_ks(config.k, {task: n for task, (n, _) in counts.items()}), config.seed)
        notes.append(f"{config.trained_on}: {told}")
    findings = _findings(config, graded)
    return replace(report, estimates=estimates, notes=[*notes, *report.notes], findings=findings)


def _graded(config: Grading, sample: Sample, problem: Problem, verdict: Verdict) -> Graded:
    return Graded(
        task=sample.task,
        index=sample.index,
        cause=verdict.cause,
        detail=verdict.detail,
        level=problem.level,
        mean_logprob=sample.mean_logprob,
        temperature=sample.temperature,
        bleu=likeness(problem, sample.source) if config.bleu else None,
        shown=passes_shown(problem, verdict.cause, verdict.calls),
    )


def _findings(config: Grading, graded: Sequence[Graded]) -> list[Finding]:
    """Problems whose own reference fails, and those that nothing passes."""
    if config.samples not in MADE:
        return []
    wanted = config.samples == "references"
    return [
        Finding(
            key=f"{config.samples} {g.task}",
            title=f"the reference of {g.task} fails its own test"
            if wanted
            else f"an empty solution of {g.task} passes",
            severity="high",
            reproduce=f"gnomon grade {config.samples} --problems {config.problems}",
            detail=f"{g.cause}: {g.detail}",
        )
        for g in graded
        if g.passed != wanted
    ]
