"""One call's trials: asks items, here or in worker processes, and commits their rows as they come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gnomon.core.engine import spread
from gnomon.core.errors import AbilityError, DataError, GnomonError, ModelError, RunError
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.store.run import Run
from gnomon.trial.base import Cast, Evaluation
from gnomon.trial.cast import open_cast

__all__ = ["Job", "Progress", "Tally", "ask", "prepared"]

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


async def prepared(config: Evaluation, cast: Cast, folder: Path | None, seed: Seed) -> Cast:
    """The cast after the evaluation's own `prepare`, where it has one; `folder` keeps what it trains."""
    prepare = getattr(config, "prepare", None)
    return await prepare(cast, folder, seed.child("prepare")) if prepare else cast


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


class Job:
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
        self.items = items
        self.order = {item.id: i for i, item in enumerate(items)}
        held = run.keys()
        self.todo = [item for item in items if item.id not in held]
        self.tally = Tally(len(items), len(items) - len(self.todo))
        self.allowed = max_errors * len(items)
        self.on_progress = on_progress
        self.waiting: list[Row] = []
        self.flushed = time.monotonic()

    async def answer(self, models: Mapping[str, str], workers: int) -> None:
        """Asks what is left, many items at a time; a new run's first item alone, lest all meet one fault at once.

        Args:
            models: model name by role, for worker processes.
            workers: processes; 1 is this one.

        Raises:
            ModelError: too many items are in error, and none has been answered: the model or the data is unfit.
            RunError: too many are in error.
        """
        alone = 1 if len(self.todo) == len(self.items) else 0
        await self.here(self.todo[:alone])
        if workers > 1 and self.todo[alone:]:
            self.in_processes(self.todo[alone:], models, workers)
        else:
            await self.here(self.todo[alone:])

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
        shares = [_Share(todo[i].id, [item.id for item in todo[i : i + size]]) for i in range(0, len(todo), size)]
        work = _Worker(self.config, models, self.items, self.rng, self.run.folder)
        try:
            for rows in spread(work, shares, where=f"processes:{workers}"):
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
            raise self._failure(row)

    def _failure(self, row: Row) -> GnomonError:
        """What ends the run after `row`: the fault of all items where none is answered, else the share of errors."""
        errors, total = self.tally.errors, self.tally.total
        if errors == self.tally.done:
            return ModelError(f"{row.error}", where=f"item {row.key}")
        return RunError(
            f"{errors} of {total} items are in error, more than --max-errors allows; item {row.key}: {row.error}",
            where=str(self.run.folder),
            todo="the rows that succeeded are kept; the same command asks the others again",
        )

    def flush(self) -> None:
        """Commits the rows that wait; where that fails they go on waiting, and the last flush tries once more."""
        self.flushed = time.monotonic()
        if self.waiting:
            self.run.add(self.waiting, [self.order[row.key] for row in self.waiting])
            self.waiting = []


class _Share(NamedTuple):
    """What a worker process gets at a time; errors that end it name it by its first item."""

    id: str
    items: Sequence[str]


class _Worker:
    """A worker process's job: ids of items in, rows out.

    The cast is opened and prepared for the first share and kept for the others; the process ends with it. Planted
    models are shown all items, as in one process.
    """

    def __init__(
        self, config: Evaluation, models: Mapping[str, str], items: Sequence[Item], rng: Seed, folder: Path
    ) -> None:
        self.config, self.models, self.items, self.rng, self.folder = config, dict(models), items, rng, folder
        self._here: tuple[asyncio.Runner, Cast, dict[str, Item]] | None = None

    def __call__(self, share: _Share) -> list[Row]:
        loop, cast, items = self._here = self._here or self._opened()
        return loop.run(self._rows([items[key] for key in share.items], cast))

    def _opened(self) -> tuple[asyncio.Runner, Cast, dict[str, Item]]:
        loop = asyncio.Runner()
        cast = loop.run(open_cast(self.config, self.models, self.items))
        cast = loop.run(prepared(self.config, cast, self.folder, Seed(self.rng.root)))
        return loop, cast, {item.id: item for item in self.items}

    async def _rows(self, items: Sequence[Item], cast: Cast) -> list[Row]:
        return list(await asyncio.gather(*(ask(self.config, item, cast, self.rng) for item in items)))
