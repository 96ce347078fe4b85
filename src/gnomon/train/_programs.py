"""Programs that a model in training writes for problems, judged; each problem is a row, so nothing is drawn twice.

Also which problems are fit to learn from: those that the model can write at all, and whose verdicts are stable (Chen et
al. 2021, sec. 4.3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gnomon.core.progress import progress
from gnomon.core.record import Row
from gnomon.core.seeds import Seed
from gnomon.data.code_sets import Problem
from gnomon.learn.loop import one_thread_if_small
from gnomon.models.base import Completion, Sampling
from gnomon.models.local import LocalModel
from gnomon.report.base import Estimate
from gnomon.sandbox import Job, Judges, Verdict
from gnomon.stats.intervals import proportion
from gnomon.trial.code import check_of, program_of

if TYPE_CHECKING:
    from gnomon.store.run import Run
    from gnomon.train._fitting import Start

__all__ = ["FILTER", "Drawing", "filter_estimates", "filtered", "fit_to_learn", "part_of", "try_programs"]

FILTER = "filter"
"""The part of a run's rows that says which problems are fit to learn from."""

_MOST_TOKENS = 300
# Problems between commits.
_TOGETHER = 16
# How often a program that passed is judged again before its problem is trusted.
_RERUNS = 3


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How programs are drawn: samples a problem, at a temperature, from a seed."""

    samples: int
    temperature: float
    seed: int


def try_programs(
    part: str,
    start: Start,
    problems: Sequence[Problem],
    how: Drawing,
    run: Run,
    judges: Judges,
    *,
    again: bool = False,
) -> None:
    """Draws programs from `start.net` for every problem that the run has no row of under `part`, and judges them.

    Args:
        again: programs that pass are judged three times more; the row says whether all were right each time.
    """
    held = run.keys()
    todo = [problem for problem in problems if _key(part, problem) not in held]
    places = {problem.id: place for place, problem in enumerate(problems)}
    with progress(len(problems), f"programs, {part}", done=len(problems) - len(todo)) as bar:
        for begin in range(0, len(todo), _TOGETHER):
            some = todo[begin : begin + _TOGETHER]
            drawn = asyncio.run(_drawn(start, some, how))
            rows = [_row(part, problem, found, judges, again) for problem, found in zip(some, drawn, strict=True)]
            run.add(rows, [places[row.cluster] for row in rows])
            right = [row.evidence["scores"]["passed"] for row in rows]
            bar.advance(len(some), estimate=f"passed {sum(right) / len(right):.3f}")


def filtered(
    start: Start, sides: Sequence[Sequence[Problem]], how: Drawing, run: Run, judges: Judges
) -> list[list[Problem]]:
    """Of each side the problems that are fit to learn from, by programs that `start.net` writes for them."""
    try_programs(FILTER, start, [problem for side in sides for problem in side], how, run, judges, again=True)
    rows = part_of(run.rows(), FILTER)
    return [fit_to_learn(rows, side) for side in sides]


def filter_estimates(rows: Sequence[Row]) -> Iterator[Estimate]:
    """How many problems the model could write before training, and how many of all were fit to learn from."""
    some = part_of(rows, FILTER)
    solved = [float(row.evidence["scores"]["passed"] > 0) for row in some]
    fit = [float(row.evidence["stable"] and passed) for row, passed in zip(some, solved, strict=True)]
    yield Estimate.of("problems that some sample passes", proportion(solved), group="to learn from")
    yield Estimate.of("problems fit to learn from", proportion(fit), group="to learn from")


def part_of(rows: Sequence[Row], part: str) -> list[Row]:
    """The rows of one part, in the order of their problems."""
    return [row for row in rows if row.evidence.get("part") == part]


def fit_to_learn(rows: Sequence[Row], problems: Sequence[Problem]) -> list[Problem]:
    """The problems that some program passes, every time it is judged; `rows` are of one part."""
    fit = {row.cluster for row in rows if row.evidence["scores"]["passed"] > 0 and row.evidence["stable"]}
    return [problem for problem in problems if problem.id in fit]


async def _drawn(start: Start, problems: Sequence[Problem], how: Drawing) -> list[list[Completion]]:
    model = LocalModel(start.net, start.tokenizer, name="in training")

    def of(problem: Problem) -> Any:
        seed = Seed(how.seed).child("programs", problem.id).value
        asked = Sampling(max_tokens=_MOST_TOKENS, temperature=how.temperature, stop=problem.stops, seed=seed)
        return model.sample(problem.prompt, asked, how.samples)

    try:
        with one_thread_if_small(start.net):
            return list(await asyncio.gather(*map(of, problems)))
    finally:
        await model.close()


def _row(part: str, problem: Problem, drawn: Sequence[Completion], judges: Judges, again: bool) -> Row:
    check = check_of(problem)
    sources = [program_of(problem, completion.text) for completion in drawn]
    verdicts = dict(judges.all(Job(source, check, source) for source in dict.fromkeys(sources)))
    passing = [source for source, verdict in verdicts.items() if verdict.passed] * (_RERUNS if again else 0)
    stable = all(judges.verdict(check, source).passed for source in passing)
    samples = list(_samples(drawn, sources, verdicts))
    share = sum(sample["cause"] == "passed" for sample in samples) / len(samples)
    evidence = {"part": part, "level": problem.level, "samples": samples, "stable": stable, "scores": {"passed": share}}
    return Row(key=_key(part, problem), cluster=problem.id, evidence=evidence)


def _samples(
    drawn: Sequence[Completion], sources: Sequence[str], verdicts: Mapping[str, Verdict]
) -> Iterator[dict[str, Any]]:
    for completion, source in zip(drawn, sources, strict=True):
        verdict = verdicts[source]
        yield {
            "text": completion.text,
            "cause": verdict.cause,
            "detail": verdict.detail.encode("utf-8", "replace").decode(),
            "tokens": completion.num_tokens,
            "logprob": completion.logprob,
        }


def _key(part: str, problem: Problem) -> str:
    return f"{part}: {problem.id}"
