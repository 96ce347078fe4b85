"""Files that are whole or absent, written beside their place, synced and renamed into it; and files that only grow."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gnomon.core.errors import RunError

__all__ = ["append_line", "full_disk", "is_full", "replace_file", "replacing"]


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


def append_line(path: Path, line: str) -> None:
    """Adds `line` to the file of lines at `path`, after whatever other processes add; on return it is on the disk.

    What a kill left without its end is ended first, so that it stays a line of its own.

    Raises:
        RunError: the disk is full; the file is as it was.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        try:
            _write_whole(handle, b"\n" * torn + line.encode() + b"\n")
        except OSError as error:
            os.ftruncate(handle, size)
            if is_full(error):
                raise full_disk(str(path), "what it held before stands", str(error.strerror)) from None
            raise
        if size == 0:
            _sync_folder(path.parent)
    finally:
        os.close(handle)


def _write_whole(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]
    os.fsync(handle)


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
