"""Frames on a pipe: four bytes of length, then that many bytes."""

from __future__ import annotations

import os
import struct

__all__ = ["END", "HEADER", "pack", "read_exactly", "read_frame", "write_all"]

HEADER = struct.Struct("<I")
# What the zygote says of an end: wait status, processor seconds, whether it had to be brought about, peak bytes.
END = struct.Struct("<id?Q")


def pack(payload: bytes) -> bytes:
    """The frame that holds `payload`."""
    return HEADER.pack(len(payload)) + payload


def read_exactly(fd: int, count: int) -> bytes:
    """`count` bytes from a blocking descriptor; EOFError where the other end closes before."""
    parts = []
    while count:
        part = os.read(fd, min(count, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def read_frame(fd: int) -> bytes:
    """The next frame's payload from a blocking descriptor."""
    return read_exactly(fd, HEADER.unpack(read_exactly(fd, HEADER.size))[0])


def write_all(fd: int, data: bytes) -> None:
    """Writes everything to a blocking descriptor."""
    done = os.write(fd, data)
    if done < len(data):
        view = memoryview(data)[done:]
        while view:
            view = view[os.write(fd, view) :]
