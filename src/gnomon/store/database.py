"""A run's SQLite file: opened safely, written in whole transactions, with errors in the user's words."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gnomon.core.errors import RunError
from gnomon.store.files import full_disk
from gnomon.store.schema import migrate

__all__ = ["Database"]


class Database:
    """One connection to `path`, usable from any thread.

    Args:
        path: the database file; made when `writing`, must exist otherwise.
        writing: False refuses every write.

    Raises:
        RunError: the file is missing, damaged, or of a newer gnomon.
    """

    def __init__(self, path: Path, *, writing: bool) -> None:
        self.path, self.writing = path, writing
        self.lock = threading.RLock()
        if not writing and not path.is_file():
            raise RunError("the run has no run.db", where=str(path.parent), todo="give its command again")
        try:
            self._db = self._connect()
        except sqlite3.DatabaseError as error:
            raise self._told(error) from None

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All result rows of one query."""
        with self.lock:
            try:
                return self._db.execute(sql, values).fetchall()
            except sqlite3.DatabaseError as error:
                raise self._told(error) from None

    def stream(self, sql: str, batch: int = 500) -> Iterator[tuple[Any, ...]]:
        """The result rows of one query, `batch` of them in memory at a time."""
        try:
            with self.lock:
                cursor = self._db.execute(sql)
            while found := self._fetched(cursor, batch):
                yield from found
        except sqlite3.DatabaseError as error:
            raise self._told(error) from None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Cursor]:
        """A cursor whose statements commit together at the end of the block, or not at all."""
        if not self.writing:
            raise RunError("this run was opened for reading", where=str(self.path.parent))
        with self.lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db.cursor()
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
            except sqlite3.DatabaseError as error:
                raise self._told(error) from None

    def close(self) -> None:
        """Ends the connection; the last one to close folds the write-ahead log into the file."""
        with self.lock:
            self._db.close()

    def _fetched(self, cursor: sqlite3.Cursor, count: int) -> list[tuple[Any, ...]]:
        with self.lock:
            return cursor.fetchmany(count)

    def _connect(self) -> sqlite3.Connection:
        # A folder one may only read (a mounted archive) has no room for the shared-memory file that WAL needs.
        frozen = not self.writing and not os.access(self.path.parent, os.W_OK)
        uri = self.path.resolve().as_uri() + ("?immutable=1" if frozen else "")
        db = sqlite3.connect(uri, uri=True, timeout=10.0, isolation_level=None, check_same_thread=False)
        try:
            if not frozen:
                db.execute("PRAGMA journal_mode = WAL")
                # Committed rows survive the death of the process; a power cut may take the last few, never the file.
                db.execute("PRAGMA synchronous = NORMAL")
            migrate(db, str(self.path))
        except BaseException:
            db.close()
            raise
        return db

    def _told(self, error: sqlite3.DatabaseError) -> RunError:
        where, text = str(self.path.parent), str(error)
        if "full" in text or "disk I/O" in text:
            return full_disk(where, self._saved(), text)
        if "not a database" in text or "malformed" in text:
            return RunError(f"run.db is damaged ({text})", where=where, todo="restore it, or start over with --fresh")
        return RunError(f"run.db cannot be used ({text})", where=where)

    def _saved(self) -> str:
        try:
            (count,) = self._db.execute("SELECT count(*) FROM rows").fetchone()
        except (sqlite3.DatabaseError, AttributeError):  # the file could not be opened at all
            return ""
        return f"{count} rows are saved"
