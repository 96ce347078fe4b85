"""A run: one command's results in one folder, which the same command resumes after any kill.

`runs/<verb>-<name>-<hash8>/` holds `run.json` (what was asked, with what, and how it stands) and `run.db` (rows,
metrics, calls, labels). The hash covers what decides the numbers: config, data and model revisions.

    with Run.open("assay", "calibration", {"config": ..., "models": ...}) as run:
        done = run.keys()
        run.add([Row(...), ...])
"""

from __future__ import annotations

import json
import math
import platform
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from gnomon.core.config import digest, plain
from gnomon.core.errors import DataError, RunError, Stopped, UsageError
from gnomon.core.record import Row
from gnomon.store.cache import Cache
from gnomon.store.database import Database
from gnomon.store.files import full_disk, is_full
from gnomon.store.lock import Lock
from gnomon.store.manifest import Manifest, Status, find_folder, list_runs, read_manifest, runs_root, write_manifest

__all__ = ["Counts", "Label", "Manifest", "Metric", "Run", "Status", "list_runs", "readable"]

_LIBRARIES = ("gnomon", "numpy", "scipy", "torch", "transformers")


class Metric(NamedTuple):
    """One logged number; nan where the training diverged."""

    step: int
    name: str
    value: float


class Label(NamedTuple):
    """One judgement of a person about the row `key`; `at` is UTC, ISO 8601."""

    key: str
    rater: str
    name: str
    value: Any
    at: str


class Counts(NamedTuple):
    """How many rows a run has, and how many of them are in error."""

    rows: int
    errors: int


class Run:
    """A folder of results; made by `Run.open` for writing or `Run.find` for reading.

    Attributes:
        folder: where everything is; methods put checkpoints and reports here too.
        cache: model calls by content hash.
        lock: the lock that keeps other writers out; None when opened for reading.
    """

    def __init__(self, manifest: Manifest, db: Database, lock: Lock | None) -> None:
        self.folder = manifest.folder
        self.lock = lock
        self.cache = Cache(db)
        self._db = db
        self._manifest = manifest

    @classmethod
    def open(
        cls, verb: str, name: str, identity: Mapping[str, Any], *, root: str | Path | None = None, fresh: bool = False
    ) -> Run:
        """The run that `identity` decides, new or where it stopped, locked for writing.

        Args:
            verb, name: of the command; letters, digits, `.`, `_` and `-`.
            identity: JSON values and configs that decide the numbers; not workers, not output.
            root: the folder of runs; else the environment's GNOMON_RUNS, else `./runs`.
            fresh: empties the folder first.

        Raises:
            RunError: another process works on it, its files are damaged, or the disk is full.
        """
        for part in (verb, name):
            if not re.fullmatch(r"[\w.-]+", part):
                raise UsageError(f"{part!r} cannot name a run", todo="use letters, digits, '.', '_' and '-'")
        asked = plain(identity)
        folder = cls.place(verb, name, asked, root=root)
        run_id = folder.name.rpartition("-")[2]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = Lock(folder / "run.lock")
            try:
                return cls._opened(Manifest(**_first(run_id, verb, name, asked), folder=folder), lock, fresh)
            except BaseException:
                lock.release()
                raise
        except OSError as error:
            if is_full(error):
                raise full_disk(str(folder), "", str(error.strerror)) from None
            raise RunError(
                f"cannot open the run ({error.strerror})", where=str(folder), todo="GNOMON_RUNS names another folder"
            ) from None

    @staticmethod
    def place(verb: str, name: str, identity: Mapping[str, Any], *, root: str | Path | None = None) -> Path:
        """The folder of the run that `identity` decides, whether or not it is there; arguments as in `open`."""
        return runs_root(root) / f"{verb}-{name}-{digest([verb, name, plain(identity)])[:8]}"

    @classmethod
    def find(cls, name: str, *, root: str | Path | None = None) -> Run:
        """The run with this id, the start of an id, folder name or path; for reading, while others may write.

        Raises:
            UsageError: there is none, or several.
            RunError: its files are damaged.
        """
        folder = find_folder(name, root)
        manifest = read_manifest(folder)
        return cls(manifest, Database(folder / "run.db", writing=False), None)

    @property
    def id(self) -> str:
        """Eight hexadecimal digits; `run:<id>` names the run's checkpoint as a model."""
        return self._manifest.id

    @property
    def status(self) -> Status:
        """running, stopped, failed or done, as run.json says."""
        return self._manifest.status

    @property
    def manifest(self) -> Manifest:
        """What run.json holds."""
        return self._manifest

    def add(self, rows: Iterable[Row], ordinals: Sequence[int] = ()) -> None:
        """Commits rows, and the model calls behind them, in one transaction; a row replaces one of the same key.

        Args:
            ordinals: each row's place among the items, so that `rows` gives them back in item order.

        Raises:
            DataError: a row's evidence is not JSON (nan and infinities are not either); nothing is written.
            RunError: the disk is full; the message says what is saved.
        """
        rows = list(rows)
        places = ordinals or [0] * len(rows)
        values = [(r.key, n, r.cluster, _encoded(r), _printable(r.error)) for r, n in zip(rows, places, strict=True)]
        with self.cache.transaction() as cursor:
            cursor.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?)", values)

    def keys(self) -> set[str]:
        """Keys of the rows that need not run again: all but those in error."""
        return {key for (key,) in self._db.read("SELECT key FROM rows WHERE error IS NULL")}

    def rows(self) -> list[Row]:
        """All rows, errors included, by ordinal and then key, whatever the order they came in."""
        return list(self.each_row())

    def each_row(self) -> Iterator[Row]:
        """What `rows` gives, a few at a time in memory."""
        found = self._db.stream("SELECT key, cluster, evidence, error FROM rows ORDER BY ordinal, key")
        return (Row(key=k, cluster=c, evidence=json.loads(e), error=x) for k, c, e, x in found)

    def counts(self) -> Counts:
        """Rows, and rows in error."""
        return Counts(*self._db.read("SELECT count(*), count(error) FROM rows")[0])

    def add_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Commits numbers of one step; a step that is done again replaces its numbers."""
        kept = [(step, name, float(value)) for name, value in values.items()]
        with self._db.transaction() as cursor:
            cursor.executemany("INSERT OR REPLACE INTO metrics VALUES (?, ?, ?)", kept)

    def metrics(self) -> list[Metric]:
        """Every logged number, by step and then name."""
        found = self._db.read("SELECT step, name, value FROM metrics ORDER BY step, name")
        # SQLite keeps nan as NULL.
        return [Metric(step, name, math.nan if value is None else value) for step, name, value in found]

    def add_label(self, key: str, name: str, value: Any, *, rater: str) -> None:
        """Commits a person's judgement about row `key`; a second one by the same rater replaces the first."""
        kept = (key, rater, name, json.dumps(value), _now())
        with self._db.transaction() as cursor:
            cursor.execute("INSERT OR REPLACE INTO labels VALUES (?, ?, ?, ?, ?)", kept)

    def labels(self) -> list[Label]:
        """Every judgement, by row, rater and name."""
        found = self._db.read("SELECT key, rater, name, value, at FROM labels ORDER BY key, rater, name")
        return [Label(key, rater, name, json.loads(value), at) for key, rater, name, value, at in found]

    def note(self, **facts: Any) -> None:
        """Keeps facts that do not decide the numbers (workers, command line) in run.json."""
        self._update(notes={**self._manifest.notes, **plain(facts)})

    def finish(self, status: Status, error: str = "") -> None:
        """Writes how the run ended, after committing what is buffered."""
        self.cache.flush()
        self._update(status=status, finished=_now(), error=error)

    def close(self) -> None:
        """Commits what is buffered and lets the next process in; the status stays as it is."""
        try:
            if self.lock:
                self.cache.flush()
        finally:
            self._db.close()
            if self.lock:
                self.lock.release()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends as done, stopped (Ctrl-C, cancellation) or failed, unless `finish` was called before."""
        try:
            if self.lock and (error is not None or self.status == "running"):
                self._finish_by(error)
        finally:
            self.close()

    @classmethod
    def _opened(cls, first: Manifest, lock: Lock, fresh: bool) -> Run:
        folder = first.folder
        if fresh:
            _empty(folder, but=lock.path)
        if (folder / "run.json").exists():
            before = read_manifest(folder)
            if before.identity != first.identity:
                raise RunError("run.json was edited: its identity is another", where=str(folder), todo="use --fresh")
            first = replace(first, started=before.started, notes=before.notes)
        db = Database(folder / "run.db", writing=True)
        try:
            write_manifest(first)
        except BaseException:
            db.close()
            raise
        return cls(first, db, lock)

    def _finish_by(self, error: BaseException | None) -> None:
        if error is None:
            self.finish("done")
        elif isinstance(error, Stopped) or not isinstance(error, Exception):
            self.finish("stopped")
        else:
            try:
                self.finish("failed", _printable(" ".join(f"{type(error).__name__}: {error}".split())) or "")
            except RunError:
                # A full disk ends the run and cannot take its epitaph either; the first error is the one to show.
                return

    def _update(self, **changes: Any) -> None:
        if not self.lock:
            raise RunError("this run was opened for reading", where=str(self.folder))
        self._manifest = replace(self._manifest, **changes)
        write_manifest(self._manifest)


def _first(run_id: str, verb: str, name: str, identity: Mapping[str, Any]) -> dict[str, Any]:
    versions = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    head = {"id": run_id, "verb": verb, "name": name, "identity": identity}
    return {**head, "status": "running", "started": _now(), "versions": versions}


def _encoded(row: Row) -> str:
    try:
        return json.dumps(row.evidence, separators=(",", ":"), allow_nan=False, default=plain)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"evidence is not JSON ({error})", where=f"row {row.key!r}", todo="store null and say why beside it"
        ) from None


def _printable(text: str | None) -> str | None:
    """Text that UTF-8 can hold: an error may quote half of a character."""
    return text if text is None else text.encode("utf-8", "backslashreplace").decode()


def _empty(folder: Path, *, but: Path) -> None:
    for path in folder.iterdir():
        if path == but:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Around what reads the rows of a run.

    Raises:
        RunError: the rows lack something, as those of another version may.
    """
    try:
        yield
    except KeyError as error:
        todo = "if another version wrote them, --fresh makes them anew"
        raise RunError(f"its rows have no {error}", where=str(folder), todo=todo) from error
