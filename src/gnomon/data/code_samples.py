"""Programs that models wrote, as openai/human-eval and evalplus keep them: JSON lines with `task_id` and either
`completion`, which follows the prompt, or `solution`, a whole program.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnomon.core.errors import DataError, closest
from gnomon.data.code_sets import Problem
from gnomon.data.formats import read_jsonl

__all__ = ["MOST_CHARS", "Sample", "made_samples", "read_samples"]

MOST_CHARS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One program for one problem.

    Attributes:
        task: the problem's id.
        index: its place among the problem's samples, from 0.
        source: the whole program that is run.
        record: the row it came from, for results that keep every field.
        mean_logprob: its mean token log-probability in nats; None where the file does not say.
        temperature: it was drawn at; None where the file does not say.
    """

    task: str
    index: int
    source: str
    record: Mapping[str, Any]
    mean_logprob: float | None = None
    temperature: float | None = None

    @property
    def key(self) -> str:
        """Unique within a file."""
        return f"{self.task}#{self.index}"


def read_samples(path: Path, problems: Mapping[str, Problem]) -> list[Sample]:
    """The samples of a JSON lines file, gzipped or not, in its order.

    Raises:
        DataError: a line is no sample, or of no known problem; the message names it.
    """
    seen: Counter[str] = Counter()
    found = []
    for number, record in read_jsonl(path):
        where = f"{path}, line {number}"
        if not isinstance(record, dict):
            raise DataError(f"holds a {type(record).__name__}, not an object", where=where)
        sample = _sample(record, problems, seen, where)
        seen[sample.task] += 1
        found.append(sample)
    if not found:
        raise DataError("holds no samples", where=str(path))
    return found


def made_samples(kind: str, problems: Iterable[Problem]) -> Iterator[Sample]:
    """One sample a problem: its reference ("references") or nothing after the prompt ("empty")."""
    for problem in problems:
        completion = "" if kind == "empty" else problem.reference.removeprefix(problem.opening)
        source = problem.opening if kind == "empty" else problem.reference
        record = {"task_id": problem.id, "completion": completion}
        yield Sample(task=problem.id, index=0, source=problem.program(source), record=record)


def _sample(record: dict[str, Any], problems: Mapping[str, Problem], seen: Counter[str], where: str) -> Sample:
    task = str(record.get("task_id", ""))
    if task not in problems:
        near = closest(task, problems) if task else "each line has a task_id"
        raise DataError(f"no problem is called {task!r}", where=where, todo=near[:200])
    field = "completion" if record.get("solution") is None else "solution"
    text = record.get(field)
    if not isinstance(text, str):
        raise DataError(f"{field} is {text!r:.60}", where=where, todo="give the program as text")
    if len(text) > MOST_CHARS:
        raise DataError(f"{field} has {len(text)} characters", where=where, todo=f"leave out those above {MOST_CHARS}")
    problem = problems[task]
    source = text if field == "solution" else problem.opening + text
    return Sample(
        task=task,
        index=seen[task],
        source=problem.program(source),
        record=record,
        mean_logprob=_number(record, "mean_logprob", where),
        temperature=_number(record, "temperature", where),
    )


def _number(record: Mapping[str, Any], field: str, where: str) -> float | None:
    value = record.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise DataError(f"{field} is {value!r}", where=where, todo="give a number or leave it out")
    return float(value)
