"""seccomp: the system calls a candidate has. Everything that is not listed fails with EPERM.

The list is what the interpreter needs to compute: memory, time, threads, its own pipes, and opening files, which
Landlock decides about. There is no way to start a process, open a socket, signal another process, or change a file's
owner, mode or name.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator, Sequence

from gnomon.sandbox.kernel import MACHINE, bare_prctl, prctl

__all__ = ["available", "install", "install_shared"]

_SET_SECCOMP, _MODE_FILTER, _GET_SECCOMP = 22, 2, 21
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS, _ENOTTY = 1, 38, 25
_LOAD, _JEQ, _JGE, _JSET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_X32_BIT = 0x40000000
_CLONE_THREAD = 0x10000

_NAMES_X86_64 = """read 0 write 1 open 2 close 3 stat 4 fstat 5 lstat 6 poll 7 lseek 8 mmap 9 mprotect 10 munmap 11
brk 12 rt_sigaction 13 rt_sigprocmask 14 rt_sigreturn 15 pread64 17 readv 19 writev 20 access 21 pipe 22 select 23
sched_yield 24 mremap 25 madvise 28 dup 32 dup2 33 pause 34 nanosleep 35 getitimer 36 alarm 37 setitimer 38 getpid 39
exit 60 wait4 61 uname 63 getdents 78 getcwd 79 chdir 80 readlink 89 umask 95 gettimeofday 96 getrlimit 97 getrusage 98
sysinfo 99 times 100 getuid 102 getgid 104 geteuid 107 getegid 108 getppid 110 getpgrp 111 getgroups 115 getpgid 121
getsid 124 rt_sigpending 127 rt_sigtimedwait 128 rt_sigsuspend 130 sigaltstack 131 arch_prctl 158 gettid 186 time 201
futex 202 sched_getaffinity 204 epoll_create 213 getdents64 217 set_tid_address 218 restart_syscall 219
clock_gettime 228 clock_getres 229 clock_nanosleep 230 exit_group 231 epoll_wait 232 epoll_ctl 233 waitid 247
openat 257 newfstatat 262 readlinkat 267 faccessat 269 pselect6 270 ppoll 271 set_robust_list 273 epoll_pwait 281
eventfd2 290 epoll_create1 291 dup3 292 pipe2 293 getcpu 309 getrandom 318 membarrier 324 statx 332 rseq 334
faccessat2 439 recvfrom 45"""
_CHECKED_X86_64 = """ioctl 16 sendto 44 socketpair 53 clone 56 kill 62 fcntl 72 tgkill 234 prlimit64 302 clone3 435"""
_NAMES_AARCH64 = """getcwd 17 eventfd2 19 epoll_create1 20 epoll_ctl 21 epoll_pwait 22 dup 23 dup3 24 faccessat 48
chdir 49 openat 56 close 57 pipe2 59 getdents64 61 lseek 62 read 63 write 64 readv 65 writev 66 pread64 67 pselect6 72
ppoll 73 readlinkat 78 newfstatat 79 fstat 80 exit 93 exit_group 94 waitid 95 set_tid_address 96 futex 98
set_robust_list 99 nanosleep 101 getitimer 102 setitimer 103 clock_gettime 113 clock_getres 114 clock_nanosleep 115
sched_getaffinity 123 sched_yield 124 restart_syscall 128 sigaltstack 132 rt_sigsuspend 133 rt_sigaction 134
rt_sigprocmask 135 rt_sigpending 136 rt_sigtimedwait 137 rt_sigreturn 139 times 153 getpgid 155 getsid 156
getgroups 158 uname 160 getrlimit 163 getrusage 165 umask 166 getcpu 168 gettimeofday 169 getpid 172 getppid 173
getuid 174 geteuid 175 getgid 176 getegid 177 gettid 178 sysinfo 179 brk 214 munmap 215 mremap 216 mmap 222
mprotect 226 madvise 233 wait4 260 getrandom 278 membarrier 283 statx 291 rseq 293 faccessat2 439
recvfrom 207"""
_CHECKED_AARCH64 = (
    """ioctl 29 sendto 206 socketpair 199 clone 220 kill 129 fcntl 25 tgkill 131 prlimit64 261 clone3 435"""
)
_ZYGOTES_X86_64 = """sendmsg 46 recvmsg 47 setpgid 109 prctl 157 close_range 436"""
_ZYGOTES_AARCH64 = """setpgid 154 prctl 167 sendmsg 211 recvmsg 212 close_range 436"""
_TABLES = {
    "x86_64": (_NAMES_X86_64, _CHECKED_X86_64, _ZYGOTES_X86_64),
    "aarch64": (_NAMES_AARCH64, _CHECKED_AARCH64, _ZYGOTES_AARCH64),
}

# Terminal queries and close-on-exec; descriptors may be copied and made non-blocking, but not send signals.
_IOCTL_REQUESTS = (0x5401, 0x5413, 0x5421, 0x5450, 0x5451)
_FCNTL_COMMANDS = (0, 1, 2, 3, 4, 1030)
_AF_UNIX = 1

_Instruction = tuple[int, int, int, int]
# Stands for the process's own number until `install` knows it; no process has it.
_OWN_PID = 0x7EADBEEF


def available() -> bool:
    """Whether this kernel and this kind of processor can filter system calls as listed here."""
    try:
        prctl(_GET_SECCOMP)
    except OSError:
        return False
    return MACHINE in _TABLES


def install_shared() -> None:
    """Applies to this process, which will fork candidates, the part of the filter that they share; needs
    `no_new_privileges` before.
    """
    prctl(_SET_SECCOMP, _MODE_FILTER, _SHARED.address)


def install(pid: int) -> None:
    """Applies the rest to this process, a candidate's, which is `pid` and may signal itself alone; for good.

    It is short, for the kernel reads it once for each system call that there is.
    """
    for place in _PID_PLACES:
        _OWN_WORDS[place] = pid
    bare_prctl(_SET_SECCOMP, _MODE_FILTER, _OWN.address)


def _table(text: str) -> dict[str, int]:
    words = text.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


class _Filter:
    """A program of the kernel's, where the kernel finds it."""

    def __init__(self, instructions: Sequence[_Instruction]) -> None:
        program = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
        self.code = ctypes.create_string_buffer(program, max(8, len(program)))
        described = struct.pack("=H6xQ", len(instructions), ctypes.addressof(self.code))
        self._described = ctypes.create_string_buffer(described, 16)
        self.address = ctypes.c_void_p(ctypes.addressof(self._described))


def _shared() -> Iterator[_Instruction]:
    """All but the listed calls fail, and those of the zygote's own; those with a check are tried one by one."""
    free, checked, zygotes = (_table(text) for text in _TABLES[MACHINE])
    yield from ((_LOAD, 0, 0, 4), (_JEQ, 1, 0, _ARCHITECTURE[MACHINE]), (_RETURN, 0, 0, _KILL))
    yield from ((_LOAD, 0, 0, 0), (_JGE, 0, 1, _X32_BIT), (_RETURN, 0, 0, _KILL))
    for name in _SHARED_CHECKS:
        yield from _block(checked[name], _CHECKS[name])
    numbers = [*free.values(), *zygotes.values(), *(checked[name] for name in _OWN_CHECKS)]
    for i, number in enumerate(numbers):
        yield _JEQ, len(numbers) - i, 0, number
    yield from ((_RETURN, 0, 0, _ERRNO | _EPERM), (_RETURN, 0, 0, _ALLOW))


def _own() -> Iterator[_Instruction]:
    """What the zygote may and a candidate may not. Where two filters say different things, the stricter one holds."""
    _, checked, zygotes = (_table(text) for text in _TABLES[MACHINE])
    yield _LOAD, 0, 0, 0
    for name in _OWN_CHECKS:
        yield from _block(checked[name], _CHECKS[name])
    for i, number in enumerate(zygotes.values()):
        yield _JEQ, len(zygotes) - i, 0, number
    yield from ((_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERRNO | _EPERM))


def _block(number: int, body: Sequence[_Instruction]) -> Iterator[_Instruction]:
    yield _JEQ, 0, len(body), number
    yield from body


def _one_of(argument: int, allowed: tuple[int, ...], otherwise: int) -> list[_Instruction]:
    """Allows the call where the low half of its argument is one of `allowed`; each block ends in a return."""
    tests = [(_JEQ, len(allowed) - i, 0, value) for i, value in enumerate(allowed)]
    return [
        (_LOAD, 0, 0, 16 + 8 * argument),
        *tests,
        (_RETURN, 0, 0, _ERRNO | otherwise),
        (_RETURN, 0, 0, _ALLOW),
    ]


_CHECKS: dict[str, list[_Instruction]] = {
    "ioctl": _one_of(1, _IOCTL_REQUESTS, _ENOTTY),
    "socketpair": _one_of(0, (_AF_UNIX,), _EPERM),
    # without an address, to the other end of a pair: an event loop of asyncio is woken so
    "sendto": [
        *((_LOAD, 0, 0, 16 + 8 * 4), (_JEQ, 1, 0, 0), (_RETURN, 0, 0, _ERRNO | _EPERM)),
        *((_LOAD, 0, 0, 20 + 8 * 4), (_JEQ, 1, 0, 0), (_RETURN, 0, 0, _ERRNO | _EPERM)),
        (_RETURN, 0, 0, _ALLOW),
    ],
    "clone": [
        (_LOAD, 0, 0, 16),
        (_JSET, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, _ERRNO | _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ],
    "kill": _one_of(0, (_OWN_PID,), _EPERM),
    "tgkill": _one_of(0, (_OWN_PID,), _EPERM),
    "fcntl": _one_of(1, _FCNTL_COMMANDS, _EPERM),
    "prlimit64": _one_of(0, (0, _OWN_PID), _EPERM),
    # the C library falls back to clone, whose flags a filter can read
    "clone3": [(_RETURN, 0, 0, _ERRNO | _ENOSYS)],
}
# The zygote forks and signals; a candidate may not, and its own number is not known before.
_OWN_CHECKS = ("clone", "kill", "tgkill", "prlimit64")
_SHARED_CHECKS = tuple(name for name in _CHECKS if name not in _OWN_CHECKS)
_SHARED, _OWN = (_Filter([*made()] if MACHINE in _TABLES else []) for made in (_shared, _own))
_OWN_WORDS = memoryview(_OWN.code).cast("B").cast("I")
_PID_PLACES = [place for place, word in enumerate(_OWN_WORDS) if word == _OWN_PID]
