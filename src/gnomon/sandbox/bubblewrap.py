"""Strong mode: the zygote in namespaces of its own, where bubblewrap is installed.

Landlock, seccomp and the limits hold inside as they do outside; what is added is a file system that has nothing else
in it, no network device, and process numbers of its own.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

__all__ = ["command", "program"]


def program() -> str:
    """Where bubblewrap is; "" where it is not installed."""
    return shutil.which("bwrap") or ""


def command() -> list[str]:
    """bubblewrap with the arguments that let the interpreter start and nothing else be seen."""
    found = [program(), "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    found += ["--tmpfs", "/tmp"]  # first, for an interpreter may lie below it
    shown = {"/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", sys.base_prefix, sys.prefix, *_interpreter()}
    shown.add(str(Path(__file__).resolve().parent))
    for path in sorted(shown):
        found += ["--ro-bind-try", path, path]
    return [*found, "--proc", "/proc", "--dev", "/dev", "--chdir", "/"]


def _interpreter() -> set[str]:
    return {str(Path(sys.executable).parent), str(Path(os.path.realpath(sys.executable)).parent)}
