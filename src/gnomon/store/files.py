"""Files that are whole or absent: written beside their place, synced, and renamed into it."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gnomon.core.errors import RunError

__all__ = ["full_disk", "is_full", "replace_file", "replacing"]


def replace_file(path: Path, content: str | bytes) -> None:
    """Puts `content` at `path`; a reader, or a kill at any moment, meets the old file or the new one.

    Raises:
        RunError: the disk is full; the old file stands.
    """
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` when the block ends well, and vanishes when it does not.

    Raises:
        RunError: the disk is full; the old file stands.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        _sync_folder(path.parent)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and is_full(error):
            raise full_disk(str(path), "the file before it stands", str(error.strerror)) from None
        raise


def full_disk(where: str, saved: str, detail: str) -> RunError:
    """The error for a disk without room: what is kept, and that the same command resumes."""
    kept = f"; {saved}" if saved else ""
    return RunError(
        f"cannot write ({detail}){kept}", where=where, todo="free space and give the same command again: it resumes"
    )


def is_full(error: OSError) -> bool:
    """Whether the error says that the disk or the user's quota is used up."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def _sync_folder(folder: Path) -> None:
    # The rename itself is only on disk once the folder is.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
