"""Answers of models, kept in the run: a trial that starts again asks nobody twice.

Writes are buffered and committed with the next rows, when the buffer is old or full, and when the run closes; a call
lost in a kill is only asked again.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gnomon.store.database import Database

__all__ = ["Cache"]

_MOST_PENDING = 500
_MOST_SECONDS = 1.0


class Cache:
    """Values by key; keys are content hashes of what was asked, values anything JSON can hold."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._pending: dict[str, str] = {}
        self._flushed = time.monotonic()

    def get(self, key: str) -> Any | None:
        """The value put under `key`, in this process or an earlier one; None when there is none."""
        with self._db.lock:
            text = self._pending.get(key)
        if text is None:
            found = self._db.read("SELECT value FROM calls WHERE key = ?", (key,))
            text = found[0][0] if found else None
        return None if text is None else json.loads(text)

    def put(self, key: str, value: Any) -> None:
        """Keeps `value` under `key`, replacing what was there.

        Raises:
            TypeError: JSON cannot hold the value.
            RunError: the disk is full, or the run was opened for reading.
        """
        text = json.dumps(value, separators=(",", ":"))
        with self._db.lock:
            self._pending[key] = text
            old = time.monotonic() - self._flushed > _MOST_SECONDS
        if old or len(self._pending) >= _MOST_PENDING:
            self.flush()

    def flush(self) -> None:
        """Commits what is buffered."""
        if self._pending:
            with self.transaction():
                pass

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Cursor]:
        """A transaction of the run's database that commits the buffered calls too."""
        with self._db.lock:
            with self._db.transaction() as cursor:
                yield cursor
                cursor.executemany("INSERT OR REPLACE INTO calls VALUES (?, ?)", list(self._pending.items()))
            self._pending.clear()
            self._flushed = time.monotonic()

    def __len__(self) -> int:
        self.flush()
        return int(self._db.read("SELECT count(*) FROM calls")[0][0])
