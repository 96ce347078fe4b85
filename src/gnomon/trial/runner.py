"""Runs an evaluation: which items are left, who answers them, what is kept.

Every row is committed as it comes; the same call again skips what is there. Rows depend on the item and the seed
alone, so any number of workers, before or after a kill, gives the same rows.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from gnomon.core.config import plain, to_json
from gnomon.core.errors import DataError, ModelError, UsageError
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.data.worlds.fingerprint import in_identity
from gnomon.report.base import Report
from gnomon.store.run import Run, list_runs, readable
from gnomon.trial.base import Cast, Evaluation
from gnomon.trial.cast import close_cast, load_cast, make_ready, role_names, unproved
from gnomon.trial.job import Job, Progress, prepared

__all__ = ["Finished", "checked", "items_digest", "run_evaluation", "summarised"]


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
        ModelError: a model cannot be loaded or lacks what the evaluation needs, or not one item can be asked.
    """
    if not 0 <= max_errors <= 1:
        raise UsageError(f"--max-errors is {max_errors}", todo="give a share from 0 to 1")
    began, cpu = time.monotonic(), time.process_time()
    items = checked(config.items(Seed(seed).child("items")), name)
    cast = await load_cast(config, models)
    try:
        identity = _identity(config, name, seed, items)
        names = None if fresh else _answered_by(name, identity, len(items), cast, root)
        if names is None:
            await make_ready(cast, items)
            names = role_names(cast)
        with Run.open("assay", name, {**identity, "cast": names}, root=root, fresh=fresh) as run:
            job = Job(config, cast, run, items, Seed(seed).child("trial"), max_errors, on_progress)
            if job.todo:
                run.note(cast=cast.proofs, workers=workers)
                _lend_cache(cast, run)
                job.cast = cast = await prepared(config, cast, run.folder, Seed(seed))
                await job.answer(models, workers)
                run.note(usage=_usage(cast))
            report = summarised(config, run, items)
            run.finish("done")
    finally:
        await close_cast(cast)
    wall, used = time.monotonic() - began, time.process_time() - cpu
    return Finished(
        run=run, report=report, cast=names, asked=len(job.todo), total=len(items), seconds=wall, cpu_seconds=used
    )


def _identity(config: Evaluation, name: str, seed: int, items: Sequence[Item]) -> dict[str, object]:
    """What decides the numbers, but for the cast."""
    decided = {"evaluation": name, "config": to_json(config), "seed": seed, "items": items_digest(items)}
    return {**decided, **in_identity([name, *_words(config)])}


def _words(config: Evaluation) -> Iterator[str]:
    """What the config's fields say, but for names of models."""
    for field in fields(config):  # type: ignore[arg-type]  # a dataclass, as `evaluation` makes it
        said = getattr(config, field.name)
        if "ModelName" not in str(field.type):
            yield from (each for each in (said if isinstance(said, tuple) else (said,)) if isinstance(each, str))


def _answered_by(
    name: str, identity: Mapping[str, object], count: int, cast: Cast, root: Path | None
) -> dict[str, str] | None:
    """Role to "name@revision" in the latest run that holds all `count` answers already; None where none does.

    Only for casts with endpoints: their revision takes a probe, and a report of what is answered needs no server.
    """
    absent, known = unproved(cast), role_names(cast)
    for manifest in list_runs(root) if absent else ():
        named: dict[str, str] = manifest.identity.get("cast", {})
        bare = {role: n.rpartition("@")[0] + "@" if role in absent else n for role, n in named.items()}
        if (manifest.verb, manifest.name, bare) != ("assay", name, known):
            continue
        if manifest.identity != plain({**identity, "cast": named}):
            continue
        with Run.find(str(manifest.folder)) as run:
            if run.counts() == (count, 0):
                return named
    return None


def items_digest(items: Sequence[Item]) -> str:
    """`digest` of the items as JSON, by one pass of the encoder: resuming hashes every item of a run."""
    names = [f.name for f in fields(Item)]
    records = [{name: getattr(item, name) for name in names} for item in items]
    text = json.dumps(records, sort_keys=True, separators=(",", ":"), allow_nan=False, default=plain)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _lend_cache(cast: Cast, run: Run) -> None:
    for model in cast.values():
        if hasattr(model, "http"):
            model.http.cache = run.cache


def _usage(cast: Cast) -> dict[str, object]:
    """Calls and tokens of the endpoints, by role."""
    return {role: plain(model.http.usage) for role, model in cast.items() if hasattr(model, "http")}


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


def summarised(config: Evaluation, run: Run, items: Sequence[Item]) -> Report:
    """The evaluation's report on the rows without error, with a note on those in error."""
    asked = {item.id for item in items}
    rows = [r for r in run.rows() if r.key in asked]
    good = [r for r in rows if r.error is None]
    bad = [r for r in rows if r.error is not None]
    if bad and not good:
        raise ModelError(f"{bad[0].error}", where=f"item {bad[0].key}")
    with readable(run.folder):
        report = config.summarise(good)
    if not bad:
        return report
    note = f"{len(bad)} of {len(rows)} items are in error and left out; the first, {bad[0].key}: {bad[0].error}"
    return replace(report, notes=[note, *report.notes])
