"""`Search` is the whole of it: a document and a server in, defects out; `fuzz` keeps it as a run."""

from __future__ import annotations

import asyncio
import gc
import re
import signal
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from gnomon.core.errors import UsageError
from gnomon.core.progress import Bar, progress
from gnomon.core.record import Row, text_digest
from gnomon.fuzz.base import Defect
from gnomon.fuzz.campaign import Budget, Campaign
from gnomon.fuzz.config import Fuzzing
from gnomon.fuzz.directions import request_side, without_formats
from gnomon.fuzz.hooks import noted, writing
from gnomon.fuzz.identities import Identity
from gnomon.fuzz.locating import located
from gnomon.fuzz.outputs import Found, paths_of, write
from gnomon.fuzz.outputs.found import NOWHERE
from gnomon.fuzz.outputs.steps import secrets_of
from gnomon.fuzz.sending import Sender
from gnomon.fuzz.summary import Tally, summarise
from gnomon.fuzz.targets import Target
from gnomon.report.base import Report
from gnomon.store.manifest import Manifest
from gnomon.store.run import Run

__all__ = ["Finished", "Search", "fuzz"]

_SHOWN_EVERY = 0.25
_YOUNG = 10_000


@dataclass
class Search:
    """A campaign under way.

    Args:
        target: who is asked.
        config: how.
        identities: callers by name.
    """

    target: Target
    config: Fuzzing
    identities: Mapping[str, Identity] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tally = Tally()
        self.sender = Sender(
            request_side(without_formats(self.target.api) if "formats" in self.config.without else self.target.api),
            self.target.transport,
            self.identities,
            promised=self.target.api,
            checks=self.config.chosen,
            timeout=self.config.timeout,
            rate=self.config.rate,
            slow=self.config.slow,
            write=writing,
        )
        budget = Budget(
            seconds=self.config.max_time, requests=self.config.max_requests, connections=self.config.connections
        )
        self.campaign = Campaign(
            self.sender.api,
            self.sender,
            budget,
            self.config.seed,
            frozenset(self.config.without),
            watch=self.tally.saw,
            raw=self.config.raw,
            unwanted=self.config.unwanted,
        )

    async def defects(self) -> AsyncIterator[Defect]:
        """Defects as they are settled; the transport is closed at the end."""
        try:
            with _few_collections():
                async for defect in self.campaign.defects():
                    yield defect
        finally:
            await self.target.transport.close()

    def standing(self) -> str:
        """How far it is, in a few words: `23 defects, 41 of 41 operations, 12 s left`."""
        triage, left = self.campaign.triage, self.config.max_time - self.sender.elapsed
        certain = sum(each.violation.certain for each in triage.defects.values())
        rest = f"{left:.0f} s left" if left > 0 else f"{triage.waiting} to be played again"
        return f"{certain} defects, {self.tally.reached} of {len(self.target.api.operations)} operations, {rest}"

    def found(self) -> Found:
        """What was found by now, fit to be shown and written."""
        schema = self.target.schema
        return Found.of(
            self.target.api,
            self.campaign.triage.counted(),
            secrets=secrets_of(self.sender.identities),
            origin=self.target.origin or NOWHERE,
            requests=self.sender.requests,
            seconds=self.sender.elapsed,
            began=time.time() - self.sender.elapsed,
            notes=[*filter(None, [self.target.note]), *noted(), *self._quiet(), *self._mistaken()],
            document=str(Path(schema).resolve()) if schema and Path(schema).exists() else schema,
        )

    def _mistaken(self) -> list[str]:
        met = self.campaign.mistakes
        kinds = ", ".join(sorted({type(each).__name__ for each in met}))
        return [f"{len(met)} plays were ended by mistakes of ours, {kinds}"] if met else []

    def _quiet(self) -> list[str]:
        seconds = self.sender.quiet
        return [f"the server asked to be left alone for {seconds:.0f} s, and was"] if seconds else []


class Finished(NamedTuple):
    """What a fuzzing run left.

    Attributes:
        found: all, certain ones and advice, in the order in which they were first seen.
        files: what was written for other tools, by format.
        stopped: whether the user ended it early.
        mistakes: exceptions of this package, each of which ended one play.
    """

    manifest: Manifest
    report: Report
    target: Target
    found: Found
    files: Mapping[str, Path]
    seconds: float
    stopped: bool
    mistakes: Sequence[Exception] = ()


def fuzz(
    target: Target,
    config: Fuzzing,
    identities: Mapping[str, Identity] | None = None,
    *,
    reports: Sequence[str] = (),
    root: Path | None = None,
) -> Finished:
    """Searches for defects and keeps what was found as a run; a service is never the same twice, so nothing is resumed.

    Args:
        target: as `opened` gives it.
        config: how.
        identities: callers, `first` and perhaps `other`; they are kept nowhere.
        reports: formats of `outputs` to write, or FORMAT=PATH; tests and a replay file are written always.
        root: folder of the runs; None is GNOMON_RUNS or ./runs.

    Raises:
        UsageError: a format is not known, or its file cannot be written; nobody listens.
        RunError: the run cannot be written.
    """
    began = time.monotonic()
    identity = {"config": asdict(config), "seed": config.seed, "schema": target.schema}
    paths_of(reports, Path())
    with Run.open("fuzz", _name(target), identity, root=root, fresh=True) as run:
        search, stopped = asyncio.run(_searched(target, config, identities or {}))
        if search.sender.requests and not search.sender.recent:
            raise UsageError("nobody listens there", where=target.origin, todo="start the service, or name it by --url")
        found = search.found()
        curls = {i: found.curl(each) for i, each in enumerate(found.defects)}
        run.add([_row(each, curls[i]) for i, each in enumerate(found.defects)])
        report = summarise(
            found.api, found.defects, search.tally, requests=found.requests, seconds=found.seconds, curls=curls
        )
        report = replace(report, notes=[*report.notes, *found.notes])
        files = paths_of(reports, run.manifest.folder)
        write(found, files)
        run.finish("done")
        manifest = run.manifest
    took, mistakes = time.monotonic() - began, search.campaign.mistakes
    return Finished(manifest, report, search.target, found, files, took, stopped, mistakes)


@contextmanager
def _few_collections() -> Iterator[None]:
    """Lets the garbage collector pass over all that is there by now, and look at the rest less often.

    What was imported and compiled outlives the search; going over it again and again takes a fifteenth of the time of
    one in this process.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def _searched(target: Target, config: Fuzzing, identities: Mapping[str, Identity]) -> tuple[Search, bool]:
    """The search at its end, and whether the user had enough; what was found by then is kept."""
    search = Search(await located(target, identities), config, identities)
    loop = asyncio.get_running_loop()
    with suppress(ValueError, RuntimeError):  # no signals in threads, nor on every system
        loop.add_signal_handler(signal.SIGINT, search.campaign.stop)
    with progress(search.config.max_requests or None, "fuzz") as bar:
        showing = asyncio.create_task(_show(search, bar))
        try:
            async for _ in search.defects():
                pass
        finally:
            showing.cancel()
    return search, search.campaign.stopped


async def _show(search: Search, bar: Bar) -> None:
    """Moves the bar until it is cancelled, whether or not anything was found."""
    shown = 0
    while True:
        sent = search.sender.requests
        bar.advance(sent - shown, search.standing())
        shown = sent
        await asyncio.sleep(_SHOWN_EVERY)


def _row(defect: Defect, reproduce: str) -> Row:
    violation = defect.violation
    evidence = {
        "check": violation.check,
        "key": list(violation.key),
        "title": violation.title,
        "severity": violation.severity,
        "certain": violation.certain,
        "reproduced": list(defect.reproduced),
        "first_seen": defect.first_seen,
        "requests": defect.requests,
        "count": defect.count,
        "reproduce": reproduce,
    }
    cluster = violation.steps[-1].case.operation.key
    return Row(key=text_digest(repr(violation.key)), cluster=cluster, evidence=evidence)


def _name(target: Target) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", target.api.title).strip("-").lower()[:40] or "api"
