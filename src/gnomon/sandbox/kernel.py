"""System calls that Python does not offer: capabilities, death signals, no new privileges.

Everything here works without a package and without root; where the kernel refuses, OSError says so.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from os import getppid

__all__ = [
    "MACHINE",
    "adopt_orphans",
    "bare_prctl",
    "cpu_clock",
    "die_with_parent",
    "drop_privileges",
    "no_new_privileges",
    "prctl",
    "syscall",
]

MACHINE = os.uname().machine
_SET_PDEATHSIG, _SET_DUMPABLE, _CAPBSET_DROP, _SET_NO_NEW_PRIVS, _SET_CHILD_SUBREAPER = 1, 4, 24, 38, 36
_CAPSET = {"x86_64": 126, "aarch64": 91}
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63
_NOBODY = 65534

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
# Without declared types, for which a call makes objects, and one without errno: in a fresh fork each copies pages.
_prctl = _libc.prctl if _libc is not None else None
_bare_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def syscall(number: int, *args: object) -> int:
    """The system call's result; OSError where it fails."""
    if _libc is None:
        raise OSError(38, "no Linux")
    result: int = _libc.syscall(number, *args)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def prctl(option: int, first: int = 0, second: ctypes.c_void_p | None = None) -> int:
    """prctl(2), `second` an address; OSError where it fails."""
    if _prctl is None:
        raise OSError(38, "no Linux")
    result: int = _prctl(option, first, second, None, None)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def no_new_privileges() -> None:
    """From here on no program that is started gains rights; Landlock and seccomp ask for it."""
    prctl(_SET_NO_NEW_PRIVS, 1)


def bare_prctl(option: int, first: int, second: ctypes.c_void_p | None = None) -> None:
    """As `prctl`, in a third fewer pages: where it fails this process ends, so that nothing goes on unheld."""
    if _bare_prctl is None or _bare_prctl(option, first, second, None, None):
        os._exit(71)


def die_with_parent(parent: int) -> None:
    """Ends this process by SIGKILL when `parent` ends, at once where it has ended already."""
    bare_prctl(_SET_PDEATHSIG, 9)
    if getppid() != parent:
        os._exit(0)


def adopt_orphans() -> None:
    """Descendants whose parent ends become this process's children, so that none is lost."""
    prctl(_SET_CHILD_SUBREAPER, 1)


def drop_privileges(*readable: str) -> None:
    """Leaves every capability, and where this is root the root user too, if others can read all of `readable`.

    Args:
        readable: folders that must stay readable, such as the standard library.
    """
    for capability in range(_LAST_CAPABILITY + 1):
        try:
            prctl(_CAPBSET_DROP, capability)
        except OSError:
            break
    if os.geteuid() == 0 and all(map(_open_to_others, readable)):
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    if MACHINE in _CAPSET:
        header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
        syscall(_CAPSET[MACHINE], header, ctypes.create_string_buffer(24))
    # after a change of user the kernel forgets this one
    prctl(_SET_DUMPABLE, 0)


def cpu_clock(pid: int) -> int:
    """The identifier of a process's processor clock, for `time.clock_gettime`."""
    return (~pid << 3) | 2


def _open_to_others(path: str) -> bool:
    while True:
        if os.stat(path).st_mode & 0o005 != 0o005:
            return False
        above = os.path.dirname(path)
        if above == path:
            return True
        path = above
