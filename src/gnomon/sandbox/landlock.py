"""Landlock: which files a process can see, no TCP, no signals to processes outside.

Needs no root. Kernel 5.13 and later; TCP rules from ABI 4 (6.7), signals and abstract sockets from ABI 6 (6.12).
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Sequence

from gnomon.sandbox.kernel import syscall

__all__ = ["abi", "restrict_self", "ruleset"]

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE, _IOCTL = 1 << 1, 1 << 2, 1 << 3, 1 << 14, 1 << 15
_NET_BOTH, _SCOPE_BOTH = 3, 3
# The highest bit of file rights that each ABI knows.
_FILE_BITS = {1: 13, 2: 14, 3: 15, 4: 15}
_MOST_FILE_BITS = 16


def abi() -> int:
    """The kernel's Landlock version; 0 where it has none."""
    try:
        return syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    except OSError:
        return 0


def ruleset(readable: Sequence[str], writable: Sequence[str] = ()) -> int:
    """A descriptor of rules: `readable` paths and all below can be read, `writable` folders be worked in; no other
    file can be opened, no TCP connection made or taken, no process outside signalled.

    Args:
        readable: files and folders; those that do not exist are passed over.
        writable: folders, and files as they are.

    Raises:
        OSError: the kernel has no Landlock.
    """
    version = abi()
    handled = (1 << _FILE_BITS.get(version, _MOST_FILE_BITS)) - 1
    attributes = struct.pack("=QQQ", handled, _NET_BOTH if version >= 4 else 0, _SCOPE_BOTH if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    fd = syscall(_CREATE, ctypes.create_string_buffer(attributes, 24), ctypes.c_size_t(size), ctypes.c_uint32(0))
    for path in readable:
        _allow(fd, path, _READ_FILE | _READ_DIR)
    for path in writable:
        # everything but running programs, making devices and talking to them
        _allow(fd, path, handled & ~(1 | 1 << 6 | 1 << 11 | _IOCTL))
    return fd


def restrict_self(fd: int) -> None:
    """Applies the rules of `ruleset` to this process for good; needs `no_new_privileges` before."""
    syscall(_RESTRICT, ctypes.c_int(fd), ctypes.c_uint32(0))


def _allow(fd: int, path: str, rights: int) -> None:
    try:
        target = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(target).st_mode):
            rights &= _WRITE_FILE | _READ_FILE | _TRUNCATE | 1
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, target), 12)
        syscall(_ADD, ctypes.c_int(fd), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0))
    finally:
        os.close(target)
