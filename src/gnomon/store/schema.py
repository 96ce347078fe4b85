"""The tables of `run.db`, made by numbered migrations; a table records which have run.

A migration is a function from a connection to nothing, never edited once released; a change is a new one at the end.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from gnomon.core.errors import RunError

__all__ = ["MIGRATIONS", "migrate"]


def _first_tables(db: sqlite3.Connection) -> None:
    # An ordinary rowid table: evidence is long, and SQLite keeps long rows badly in WITHOUT ROWID trees.
    db.execute(
        "CREATE TABLE rows (key TEXT PRIMARY KEY, ordinal INTEGER NOT NULL, cluster TEXT NOT NULL,"
        " evidence TEXT NOT NULL, error TEXT)"
    )
    db.execute(
        "CREATE TABLE metrics (step INTEGER NOT NULL, name TEXT NOT NULL, value REAL, PRIMARY KEY (step, name))"
        " WITHOUT ROWID"
    )
    db.execute("CREATE TABLE calls (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
    db.execute(
        "CREATE TABLE labels (key TEXT NOT NULL, rater TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,"
        " at TEXT NOT NULL, PRIMARY KEY (key, rater, name))"
    )


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_first_tables,)
"""In the order they run; migration number k is `MIGRATIONS[k - 1]`."""


def migrate(db: sqlite3.Connection, where: str = "run.db") -> None:
    """Brings the database to the newest schema; all pending migrations commit together or not at all.

    Args:
        db: a connection in autocommit mode (`isolation_level=None`).

    Raises:
        RunError: it was written by a newer gnomon.
    """
    if _ran(db) == len(MIGRATIONS):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        done = _ran(db)
        if done > len(MIGRATIONS):
            raise RunError(
                f"its schema is number {done} and this gnomon knows {len(MIGRATIONS)}",
                where=where,
                todo="upgrade gnomon, or start over with --fresh",
            )
        for number, step in enumerate(MIGRATIONS[done:], done + 1):
            step(db)
            db.execute("INSERT INTO migrations VALUES (?, ?)", (number, step.__name__.strip("_")))
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def _ran(db: sqlite3.Connection) -> int:
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchone():
        return 0
    return int(db.execute("SELECT coalesce(max(number), 0) FROM migrations").fetchone()[0])
