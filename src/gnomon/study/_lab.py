"""Evaluations that a study of trainings asks its models: each once, kept as runs, and named in the study's own run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from gnomon.core.progress import progress
from gnomon.core.record import Row
from gnomon.report.base import Report
from gnomon.store.run import Run
from gnomon.study._family import Part
from gnomon.trial.job import Progress
from gnomon.trial.runner import Finished, run_evaluation

__all__ = ["AskedOf", "Lab"]


class Lab:
    """Runs evaluations and keeps what a study was read from.

    Attributes:
        parts: every evaluation that was asked, as parts of the study.
    """

    def __init__(self, root: Path | None, workers: int) -> None:
        self.root, self.workers = root, workers
        self.parts: list[Part] = []

    def ask(self, config: Any, name: str, model: str, label: str = "", *, seed: int = 0) -> AskedOf:
        """The evaluation `name`, configured by `config`, of `model`; found where it was asked before.

        Args:
            label: what the study's tables call it; by default the evaluation and the model.
            seed: of items and draws.
        """
        label = label or f"{name} of {model}"
        cast = {"subject": model}
        with progress(None, label) as bar:
            seen = 0

            def on_progress(p: Progress) -> None:
                nonlocal seen
                bar.advance(p.done - seen)
                seen = p.done

            work = run_evaluation(
                config, name, cast, seed=seed, root=self.root, workers=self.workers, on_progress=on_progress
            )
            # A notebook's thread runs an event loop already.
            with ThreadPoolExecutor(1) as thread:
                finished = thread.submit(asyncio.run, work).result()
        with closing(Run.find(str(finished.run.folder))) as run:
            rows = [row for row in run.rows() if row.error is None]
        found = AskedOf(label, finished, rows)
        self.parts.append(found)
        return found


class AskedOf(NamedTuple):
    """One evaluation of one model, and its rows without error; a `Part` of the study."""

    name: str
    finished: Finished
    rows: list[Row]

    @property
    def run(self) -> str:
        """Its id."""
        return self.finished.run.id

    @property
    def report(self) -> Report:
        """What its rows say."""
        return self.finished.report

    @property
    def about(self) -> Mapping[str, Any]:
        """Which evaluation it is."""
        return {"evaluation": self.finished.run.manifest.name}
