"""A run holds the same rows whatever happens on the way: kills, workers, interrupts, errors; asked once, not again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gnomon.assay.self_knowledge import SelfKnowledge
from gnomon.core.errors import DataError, ModelError, RunError
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.models.planted.calibrated import Calibrated
from gnomon.report.base import Estimate, Report
from gnomon.stats.intervals import clustered_mean
from gnomon.store.run import Run
from gnomon.trial import job
from gnomon.trial.base import Cast, Planted
from gnomon.trial.job import Progress
from gnomon.trial.runner import Finished, run_evaluation

TOTAL = 450
CONFIG = {"only": ("calibration",), "data": ("synthetic",), "forms": ("lettered",), "shots": (0,), "resamples": 50}
MODEL = {"subject": "planted:calibrated?a=0.5&b=0.6"}

# The same run in a process that kills itself when it asks item number `at`.
DIES = f"""
import asyncio, os, signal, sys
from pathlib import Path
from gnomon.assay.self_knowledge import SelfKnowledge
from gnomon.models.planted.calibrated import Calibrated
from gnomon.trial import job, runner

real, asked, at = Calibrated.choose, [], int(sys.argv[2])

async def choose(self, prompt, options):
    asked.append(prompt)
    if len(asked) == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return await real(self, prompt, options)

Calibrated.choose, job.FLUSH_ROWS = choose, 100
config = SelfKnowledge(n={TOTAL}, **{CONFIG!r})
asyncio.run(runner.run_evaluation(config, "self-knowledge", {MODEL!r}, root=Path(sys.argv[1])))
"""


def run(root: Path, n: int = TOTAL, **more: Any) -> Finished:
    return asyncio.run(run_evaluation(SelfKnowledge(n=n, **CONFIG), "self-knowledge", MODEL, root=root, **more))


def kept_of(done: Finished) -> Run:
    """The run on disk, opened anew."""
    return Run.find(str(done.run.folder))


def rows_in(root: Path) -> list[Row]:
    [folder] = [f for f in root.iterdir() if f.is_dir()]
    return Run.find(str(folder)).rows()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("at", [1, 333])
def test_a_killed_run_resumes_with_the_same_rows(tmp_path: Path, undisturbed: Finished, at: int) -> None:
    died = subprocess.run([sys.executable, "-c", DIES, str(tmp_path), str(at)], check=False)
    assert died.returncode == -signal.SIGKILL
    kept = len(rows_in(tmp_path))

    resumed = run(tmp_path)

    # The first row is committed alone, the others by the hundred.
    assert kept == (at > 1) + (at - 2) // 100 * 100 * (at > 1)
    assert resumed.asked == TOTAL - kept
    assert kept_of(resumed).rows() == kept_of(undisturbed).rows()
    assert resumed.report.estimates == undisturbed.report.estimates
    assert kept_of(resumed).status == "done"


def test_two_workers_give_the_rows_of_one(tmp_path: Path, undisturbed: Finished) -> None:
    spread = run(tmp_path, workers=2)

    assert kept_of(spread).rows() == kept_of(undisturbed).rows()
    assert spread.run.id == undisturbed.run.id


def test_a_second_run_asks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(tmp_path, n=30)

    async def never(*_: Any) -> None:
        raise AssertionError("the model was asked again")

    monkeypatch.setattr(Calibrated, "choose", never)
    second = run(tmp_path, n=30)

    assert (first.asked, second.asked, second.total) == (30, 0, 30)
    assert second.report.estimates == first.report.estimates


def test_fresh_asks_everything_again_and_another_seed_is_another_run(tmp_path: Path) -> None:
    first = run(tmp_path, n=30)

    assert run(tmp_path, n=30, fresh=True).asked == 30
    assert run(tmp_path, n=30, seed=1).run.id != first.run.id


def test_progress_ends_at_the_total_with_the_running_mean(tmp_path: Path) -> None:
    seen: list[Progress] = []

    done = run(tmp_path, on_progress=seen.append)

    assert seen and all(p.total == TOTAL for p in seen)
    accuracy = [row.evidence["scores"]["accuracy"] for row in kept_of(done).rows()[: seen[-1].done]]
    assert seen[-1].metric == "accuracy"
    assert seen[-1].mean == pytest.approx(sum(accuracy) / len(accuracy), abs=0.05)


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Asks numbers; what happens at each is set from outside."""

    n: int = 300
    failing: ClassVar[set[int]] = set()
    at: ClassVar[dict[int, Any]] = {}

    def items(self, seed: Seed) -> Iterator[Item]:
        yield from (Item(id=str(i), question=f"Question {i}") for i in range(self.n))

    async def trial(self, item: Item, cast: Cast, rng: Seed) -> Row:
        number = int(item.id)
        if number in self.at:
            await self.at[number]()
        if number in self.failing:
            raise ModelError("the server hung up", where=f"item {number}")
        value = rng.random().random()
        return Row(key=item.id, cluster=item.cluster, evidence={"value": value, "scores": {"value": value}})

    def summarise(self, rows: Sequence[Row]) -> Report:
        mean = clustered_mean([r.evidence["value"] for r in rows], [r.cluster for r in rows])
        return Report(title="Numbers", estimates=[Estimate.of("mean", mean)])

    def planted(self) -> Iterator[Planted]:
        yield Planted(name="null", cast=MODEL, truth={"mean": 0.5}, null=True)


@dataclass(frozen=True, kw_only=True)
class Unfit(Probe):
    """Fails at every item."""

    failing: ClassVar[set[int]] = set(range(300))


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> type[Probe]:
    monkeypatch.setattr(Probe, "failing", set())
    monkeypatch.setattr(Probe, "at", {})
    return Probe


def run_probe(root: Path, **more: Any) -> Finished:
    return asyncio.run(run_evaluation(Probe(), "probe", MODEL, root=root, **more))


def test_few_errors_are_rows_and_a_note_and_are_asked_again(tmp_path: Path, probe: type[Probe]) -> None:
    probe.failing.update({7, 200, 299})

    first = run_probe(tmp_path)

    assert kept_of(first).counts().errors == 3
    assert first.report.estimates[0].n == 297
    assert first.report.notes[0].startswith("3 of 300 items are in error and left out; the first, 7: ")
    assert "the server hung up" in first.report.notes[0]

    probe.failing.clear()
    second = run_probe(tmp_path)

    assert (second.asked, kept_of(second).counts().errors, list(second.report.notes)) == (3, 0, [])
    assert second.report.estimates[0].n == 300


def test_many_errors_fail_the_run_and_keep_what_succeeded(tmp_path: Path, probe: type[Probe]) -> None:
    probe.failing.update(range(0, 300, 10))

    with pytest.raises(RunError, match=r"4 of 300 items are in error, more than --max-errors allows; item 30") as error:
        run_probe(tmp_path)

    assert "the same command asks the others again" in str(error.value)
    assert {row.key for row in rows_in(tmp_path) if row.error is None} >= {str(i) for i in range(30) if i % 10}
    assert kept_of(run_probe(tmp_path, max_errors=0.2)).counts().errors == 30


@pytest.mark.parametrize("workers", [1, 2])
def test_a_fault_of_every_item_ends_the_run_at_its_start(tmp_path: Path, workers: int) -> None:
    with pytest.raises(ModelError, match=r"^item (\d+): item \1: the server hung up$"):
        asyncio.run(run_evaluation(Unfit(), "probe", MODEL, root=tmp_path, workers=workers))
    assert {row.error is None for row in rows_in(tmp_path)} == {False}
    with pytest.raises(ModelError, match=r"^item 0: item 0: the server hung up$"):
        asyncio.run(run_evaluation(Unfit(), "probe", MODEL, root=tmp_path, workers=workers, max_errors=1.0))


def test_errors_of_another_day_do_not_count_twice(tmp_path: Path, probe: type[Probe]) -> None:
    probe.failing.update({1, 2, 3})
    run_probe(tmp_path)

    again = run_probe(tmp_path)

    assert (again.asked, kept_of(again).counts().errors) == (3, 3)


def test_a_second_process_on_a_run_is_told_who_works_on_it(tmp_path: Path, probe: type[Probe]) -> None:
    told: list[str] = []

    async def intrude() -> None:
        with pytest.raises(RunError) as error:
            await run_evaluation(Probe(), "probe", MODEL, root=tmp_path)
        told.append(str(error.value))

    probe.at[5] = intrude
    done = run_probe(tmp_path)

    assert "is working on this run" in told[0] and "wait for it" in told[0]
    assert kept_of(done).counts().rows == 300


def test_ctrl_c_keeps_what_was_done_and_the_same_call_goes_on(tmp_path: Path, probe: type[Probe]) -> None:
    whole = run_probe(tmp_path / "whole")

    async def interrupt() -> None:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(60)

    probe.at[120] = interrupt
    with pytest.raises(KeyboardInterrupt):
        run_probe(tmp_path / "cut")
    kept = rows_in(tmp_path / "cut")
    [folder] = (tmp_path / "cut").iterdir()
    assert Run.find(str(folder)).status == "stopped"
    assert 120 <= len(kept) < 300

    del probe.at[120]
    resumed = run_probe(tmp_path / "cut")

    assert resumed.asked == 300 - len(kept)
    assert kept_of(resumed).rows() == kept_of(whole).rows()


@dataclass(frozen=True, kw_only=True)
class Counted(Probe):
    """Writes down each process that prepares it."""

    async def prepare(self, cast: Cast, folder: Path, seed: Seed) -> Cast:
        with open(folder / "prepared", "a") as file:
            file.write(f"{os.getpid()}\n")
        return cast


def test_a_worker_process_opens_its_cast_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "CHUNK", 10)
    whole = run_probe(tmp_path / "one")

    spread = asyncio.run(run_evaluation(Counted(), "probe", MODEL, root=tmp_path / "two", workers=2))

    processes = (spread.run.folder / "prepared").read_text().split()
    assert len(processes) == len(set(processes)) <= 3, "the parent and two workers, once each for thirty shares"
    assert kept_of(spread).rows() == kept_of(whole).rows()


@dataclass(frozen=True, kw_only=True)
class Twins(Probe):
    """Two items of one name."""

    def items(self, seed: Seed) -> Iterator[Item]:
        yield from (Item(id="same", question=q, source="own.jsonl") for q in "ab")


def test_two_items_of_one_name_and_none_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"own\.jsonl: two items are called 'same'"):
        asyncio.run(run_evaluation(Twins(), "twins", MODEL, root=tmp_path))
    with pytest.raises(DataError, match="probe has no items"):
        asyncio.run(run_evaluation(replace(Probe(), n=0), "probe", MODEL, root=tmp_path))
