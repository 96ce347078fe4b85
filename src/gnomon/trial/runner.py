"""Runs an evaluation: which items are left, who answers them, what is kept.

Every row is committed as it comes; the same call again skips what is there. Rows depend on the item and the seed
alone, so any number of workers, before or after a kill, gives the same rows.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import NamedTuple

from gnomon.core.config import plain, to_json
from gnomon.core.engine import spread
from gnomon.core.errors import AbilityError, DataError, ModelError, RunError, UsageError
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.report.base import Report
from gnomon.store.run import Run
from gnomon.trial.base import Cast, Evaluation
from gnomon.trial.cast import close_cast, open_cast, role_names

__all__ = [
    "Finished",
    "Progress",
    "Tally",
    "ask",
    "checked",
    "items_digest",
    "prepared",
    "run_evaluation",
    "summarised",
]

# Enough calls in flight for a local model to fill its batches and for an endpoint's own limit to bind.
IN_FLIGHT = 256
FLUSH_ROWS = 200
FLUSH_SECONDS = 1.0
# Items a worker process gets at a time: enough to fill batches, few enough that a kill loses little.
CHUNK = 256


class Progress(NamedTuple):
    """How far a run is: items done of `total`, rows in error, and the first score's running mean with its SE."""

    done: int
    total: int
    errors: int
    metric: str
    mean: float
    se: float


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A run that ended.

    Attributes:
        run: closed; `Run.find` opens it for reading.
        report: what the evaluation says of the rows.
        cast: role to "name@revision".
        asked: items asked in this call; the others were in the run already.
        seconds: wall time of this call, and `cpu_seconds` this process's processor time.
    """

    run: Run
    report: Report
    cast: Mapping[str, str]
    asked: int
    total: int
    seconds: float
    cpu_seconds: float


class Tally:
    """The running estimate: mean and standard error of the first score rows carry (Welford's update)."""

    def __init__(self, total: int, done: int) -> None:
        self.total, self.done, self.errors = total, done, 0
        self.metric, self.count, self.mean, self.squares = "", 0, 0.0, 0.0

    def take(self, row: Row) -> None:
        """Counts one more row."""
        self.done += 1
        self.errors += row.error is not None
        scores: Mapping[str, float | None] = row.evidence.get("scores", {})
        self.metric = self.metric or next(iter(scores), "")
        value = scores.get(self.metric)
        if value is None:
            return
        self.count += 1
        step = value - self.mean
        self.mean += step / self.count
        self.squares += step * (value - self.mean)

    @property
    def progress(self) -> Progress:
        """What a progress bar shows."""
        se = (self.squares / (self.count * (self.count - 1))) ** 0.5 if self.count > 1 else float("nan")
        return Progress(self.done, self.total, self.errors, self.metric, self.mean, se)


async def run_evaluation(
    config: Evaluation,
    name: str,
    models: Mapping[str, str],
    *,
    seed: int = 0,
    workers: int = 1,
    fresh: bool = False,
    root: Path | None = None,
    max_errors: float = 0.01,
    on_progress: Callable[[Progress], None] | None = None,
) -> Finished:
    """Asks every item that the run does not hold yet, and reports on all of them.

    Args:
        config: the evaluation.
        name: its registered name.
        models: model name by role; "subject" is the model under test.
        seed: root of the seed tree.
        workers: processes; 1 is this process.
        fresh: forget an earlier run of the same identity.
        root: folder of the runs; None is GNOMON_RUNS or ./runs.
        max_errors: largest share of rows in error, in [0, 1], with which the run still counts as done.

    Raises:
        UsageError: `max_errors` is no share.
        DataError: there are no items, or two share an id.
        RunError: too many rows in error; the rows stay, and the same call asks the failed ones again.
        ModelError: a model cannot be loaded or lacks what the evaluation needs.
    """
    if not 0 <= max_errors <= 1:
        raise UsageError(f"--max-errors is {max_errors}", todo="give a share from 0 to 1")
    began, cpu = time.monotonic(), time.process_time()
    items = checked(config.items(Seed(seed).child("items")), name)
    cast = await open_cast(config, models, items)
    names = role_names(cast)
    try:
        with Run.open("assay", name, _identity(config, name, seed, names, items), root=root, fresh=fresh) as run:
            run.note(cast=cast.proofs, workers=workers)
            _share_cache(cast, run)
            cast = await prepared(config, cast, run.folder, Seed(seed))
            job = _Job(config, cast, run, items, Seed(seed).child("trial"), max_errors, on_progress)
            if workers > 1 and job.todo:
                job.in_processes(job.todo, models, workers)
            else:
                await job.here(job.todo)
            report = summarised(config, run, items)
            run.note(usage=_usage(cast))
            run.finish("done")
    finally:
        await close_cast(cast)
    wall, used = time.monotonic() - began, time.process_time() - cpu
    return Finished(
        run=run, report=report, cast=names, asked=len(job.todo), total=len(items), seconds=wall, cpu_seconds=used
    )


def _identity(
    config: Evaluation, name: str, seed: int, cast: Mapping[str, str], items: Sequence[Item]
) -> dict[str, object]:
    """What decides the numbers."""
    return {
        "evaluation": name,
        "config": to_json(config),
        "seed": seed,
        "cast": dict(cast),
        "items": items_digest(items),
    }


def items_digest(items: Sequence[Item]) -> str:
    """`digest` of the items as JSON, by one pass of the encoder: resuming hashes every item of a run."""
    names = [f.name for f in fields(Item)]
    records = [{name: getattr(item, name) for name in names} for item in items]
    text = json.dumps(records, sort_keys=True, separators=(",", ":"), allow_nan=False, default=plain)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _share_cache(cast: Cast, run: Run) -> None:
    for model in cast.values():
        if hasattr(model, "cache"):
            model.cache = run.cache


def _usage(cast: Cast) -> dict[str, object]:
    """Calls and tokens of the endpoints, by role."""
    return {role: plain(model.usage) for role, model in cast.items() if hasattr(model, "usage")}


def checked(items: Iterable[Item], name: str) -> list[Item]:
    """The items as a list; DataError when there are none or two share an id."""
    listed = list(items)
    if not listed:
        raise DataError(f"{name} has no items", todo="choose other --only parts, more --n, or other --data")
    seen: set[str] = set()
    for item in listed:
        if item.id in seen:
            raise DataError(f"two items are called {item.id!r}", where=item.source or name)
        seen.add(item.id)
    return listed


async def prepared(config: Evaluation, cast: Cast, folder: Path | None, seed: Seed) -> Cast:
    """The cast after the evaluation's own `prepare`, where it has one; `folder` keeps what it trains."""
    prepare = getattr(config, "prepare", None)
    return await prepare(cast, folder, seed.child("prepare")) if prepare else cast


def summarised(config: Evaluation, run: Run, items: Sequence[Item]) -> Report:
    """The evaluation's report on the rows without error, with a note on those in error."""
    asked = {item.id for item in items}
    rows = [r for r in run.rows() if r.key in asked]
    good = [r for r in rows if r.error is None]
    bad = [r for r in rows if r.error is not None]
    report = config.summarise(good)
    if not bad:
        return report
    note = f"{len(bad)} of {len(rows)} items are in error and left out; the first, {bad[0].key}: {bad[0].error}"
    return replace(report, notes=[note, *report.notes])


async def ask(config: Evaluation, item: Item, cast: Cast, rng: Seed) -> Row:
    """One trial; what goes wrong with the model or the item becomes a row in error.

    Raises:
        AbilityError: the model cannot do what the method needs, which no other item would change.
    """
    try:
        row = await config.trial(item, cast, rng.child(item.id))
    except AbilityError:
        raise
    except (ModelError, DataError) as e:
        return Row(key=item.id, cluster=item.cluster, evidence={"part": item.part}, error=str(e))
    if row.key != item.id:
        raise AssertionError(f"trial of item {item.id!r} returned row {row.key!r}")
    return row


class _Job:
    """One call's trials: takes rows as they come, commits them, watches the share of errors."""

    def __init__(
        self,
        config: Evaluation,
        cast: Cast,
        run: Run,
        items: Sequence[Item],
        rng: Seed,
        max_errors: float,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.config, self.cast, self.run, self.rng = config, cast, run, rng
        self.order = {item.id: i for i, item in enumerate(items)}
        held = run.keys()
        self.todo = [item for item in items if item.id not in held]
        self.tally = Tally(len(items), len(items) - len(self.todo))
        self.allowed = max_errors * len(items)
        self.on_progress = on_progress
        self.waiting: list[Row] = []
        self.flushed = time.monotonic()

    async def here(self, todo: Sequence[Item]) -> None:
        """Asks `todo` in this process, many at a time."""
        line = iter(todo)

        async def worker() -> None:
            for item in line:
                self.take(await ask(self.config, item, self.cast, self.rng))

        tasks = [asyncio.ensure_future(worker()) for _ in range(min(IN_FLIGHT, len(todo)))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.flush()

    def in_processes(self, todo: Sequence[Item], models: Mapping[str, str], workers: int) -> None:
        """Asks `todo` in worker processes, each with a cast of its own."""
        size = min(CHUNK, -(-len(todo) // workers))
        chunks = [_Items(todo[i].id, list(todo[i : i + size])) for i in range(0, len(todo), size)]
        work = _Chunk(self.config, dict(models), self.rng, str(self.run.folder))
        try:
            for rows in spread(work, chunks, where=f"processes:{workers}"):
                for row in rows:
                    self.take(row)
        finally:
            self.flush()

    def take(self, row: Row) -> None:
        """Keeps one row; raises RunError once too many are in error to end well."""
        self.waiting.append(row)
        self.tally.take(row)
        now = time.monotonic()
        if len(self.waiting) >= FLUSH_ROWS or now - self.flushed > FLUSH_SECONDS:
            self.flush()
            if self.on_progress:
                self.on_progress(self.tally.progress)
        if row.error is not None and self.tally.errors > self.allowed:
            self.flush()
            raise RunError(
                f"{self.tally.errors} of {self.tally.total} items are in error, more than --max-errors allows; "
                f"item {row.key}: {row.error}",
                where=str(self.run.folder),
                todo="the rows that succeeded are kept; the same command asks the others again",
            )

    def flush(self) -> None:
        """Commits the rows that wait; where that fails they go on waiting, and the last flush tries once more."""
        self.flushed = time.monotonic()
        if self.waiting:
            self.run.add(self.waiting, [self.order[row.key] for row in self.waiting])
            self.waiting = []


class _Items(NamedTuple):
    """A worker process's share; errors that end it name it by its first item."""

    id: str
    items: Sequence[Item]


@dataclass(frozen=True)
class _Chunk:
    """A worker process's job: items in, rows out."""

    config: Evaluation
    models: Mapping[str, str]
    rng: Seed
    folder: str

    def __call__(self, chunk: _Items) -> list[Row]:
        return asyncio.run(self.rows(chunk.items))

    async def rows(self, items: Sequence[Item]) -> list[Row]:
        cast = await open_cast(self.config, self.models, items)
        try:
            cast = await prepared(self.config, cast, Path(self.folder), Seed(self.rng.root))
            return list(await asyncio.gather(*(ask(self.config, item, cast, self.rng) for item in items)))
        finally:
            await close_cast(cast)
