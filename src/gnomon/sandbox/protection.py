"""What this machine can hold a candidate to: proved by trying, each time judges start, never assumed.

Each row of the table is a small hostile program and the verdict it has to meet.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from gnomon.core.errors import GnomonError
from gnomon.sandbox import bubblewrap, landlock, seccomp
from gnomon.sandbox.host import Ended, Zygote
from gnomon.sandbox.judge import Judge
from gnomon.sandbox.limits import Limits
from gnomon.sandbox.verdict import Check, Verdict

__all__ = ["Protection", "SandboxError", "protect"]


class SandboxError(GnomonError):
    """This machine cannot hold untrusted code, or what was asked of the sandbox is not there."""


@dataclass(frozen=True, kw_only=True)
class Protection:
    """What holds candidates here.

    Attributes:
        layers: those in force: "landlock", "seccomp", "bubblewrap".
        refused: what a candidate has been seen to be kept from.
        open: what it has been seen to get away with.
        wrapper: the command that zygotes are started through.
    """

    layers: tuple[str, ...]
    refused: tuple[str, ...]
    open: tuple[str, ...]
    wrapper: tuple[str, ...] = ()

    def __str__(self) -> str:
        held = ", ".join(("limits on time and memory", *self.layers))
        kept = f"kept from {', '.join(self.refused)}" if self.refused else "kept from nothing"
        return f"candidates are held by {held}; tried: {kept}" + (f"; free to {', '.join(self.open)}" * bool(self.open))


_CHECK = Check(names=("f",), test="assert f(0) == 'done'")
_QUICK = Limits(cpu_seconds=0.1, memory_bytes=512 << 20)
# What is tried, and the one outcome that would show that it worked: the function comes to its end.
_TRIED = {
    "read other files": "def f(x):\n    open({here!r}).read(1)\n    return 'done'",
    "write files": (
        "import tempfile\ndef f(x):\n    open({folder!r} + '/gnomon-probe-{pid}', 'w').close()\n    return 'done'"
    ),
    "open sockets": "import socket\ndef f(x):\n    socket.socket().close()\n    return 'done'",
    "start processes": "import os\ndef f(x):\n    if os.fork() == 0: os._exit(0)\n    return 'done'",
    "signal processes": "import os\ndef f(x):\n    os.kill(os.getppid(), 0)\n    return 'done'",
    "take memory": "def f(x):\n    a = bytearray(1 << 30)\n    return 'done'",
    "compute without end": "def f(x):\n    while True: pass",
}


def protect(*, strong: bool = False, unsafe: bool = False) -> Protection:
    """What holds candidates on this machine, after trying it.

    Args:
        strong: start candidates inside bubblewrap.
        unsafe: go on where too little holds.

    Raises:
        SandboxError: `strong` without bubblewrap; it does not start; or too little holds and it is
            not `unsafe`.
    """
    layers = [name for name, there in (("landlock", landlock.abi()), ("seccomp", seccomp.available())) if there]
    wrapper: Sequence[str] = ()
    if strong:
        if not bubblewrap.program():
            todo = "install the package bubblewrap, or leave --strong out"
            raise SandboxError("strong mode needs bubblewrap, and there is no program bwrap", todo=todo)
        layers.append("bubblewrap")
        wrapper = bubblewrap.command()
    try:
        found = _tried([name for name in layers if name != "bubblewrap"], wrapper)
    except Ended as error:
        todo = "look for the message above" + (
            "; leave --strong out where bubblewrap may not be used" if strong else ""
        )
        raise SandboxError(f"the sandbox does not start on this machine: {error}", todo=todo) from None
    if not found["compute"].passed:
        raise SandboxError(
            f"not even a harmless program runs in the sandbox ({found['compute'].cause}: {found['compute'].detail})",
            todo="look for the interpreter's own message above",
        )
    free = tuple(what for what in _TRIED if found[what].passed)
    refused = tuple(what for what in _TRIED if not found[what].passed)
    if free and not unsafe:
        raise SandboxError(
            f"candidates would be free to {', '.join(free)} on this machine",
            todo="use Linux 5.13 or later with Landlock and seccomp, or a throw-away machine and --unsafe",
        )
    return Protection(layers=tuple(layers), refused=refused, open=free, wrapper=tuple(wrapper))


def _tried(layers: Sequence[str], wrapper: Sequence[str]) -> dict[str, Verdict]:
    judge = Judge(lambda: Zygote(layers, _QUICK, wrapper))
    words = {"here": __file__, "folder": os.environ.get("TMPDIR", "/tmp"), "pid": os.getpid()}
    try:
        harmless = judge.verdict(_CHECK, "def f(x):\n    return 'done'")
        tried = {what: judge.verdict(_CHECK, text.format(**words)) for what, text in _TRIED.items()}
    finally:
        judge.close()
        written = f"{words['folder']}/gnomon-probe-{words['pid']}"
        if os.path.exists(written):
            os.unlink(written)
    return {"compute": harmless, **tried}
