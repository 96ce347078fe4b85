"""`gnomon doctor`: is everything here that the commands need, and if not, what to do."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata, util
from pathlib import Path
from typing import NamedTuple

from gnomon.cli.output import console
from gnomon.core.errors import GnomonError
from gnomon.report.base import Table

__all__ = ["EXAMPLES", "Check", "doctor_command"]

EXAMPLES = """Examples:
  gnomon doctor

What comes out:
  stdout  one line a check; exit code 1 when one fails
"""

_REQUIRED = ("numpy", "scipy", "pyarrow", "aiohttp", "altair", "vl-convert-python", "jinja2")
_LOCAL = ("torch", "transformers", "tokenizers", "safetensors")
_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "HF_TOKEN")
_LEAST_DISK_GB = 1.0


class Check(NamedTuple):
    """One thing looked at: ok, missing (needed by some commands only) or broken."""

    name: str
    state: str
    found: str


def doctor_command() -> int:
    """Check the installation: packages, the model that ships, the sandbox, folders, disk and keys."""
    from gnomon.report.terminal import table

    checks = [_python(), *map(_required, _REQUIRED), *map(_local, _LOCAL), _brook()]
    checks += [_sandbox(), _runs(), _disk(), _processors()]
    checks += [
        Check(key, "ok" if os.environ.get(key) else "absent", "set" if os.environ.get(key) else "not set")
        for key in _KEYS
    ]
    console().print(table(Table(title="", columns=["check", "state", "found"], rows=[list(c) for c in checks])))
    return int(any(c.state == "broken" for c in checks))


def _python() -> Check:
    good = sys.version_info >= (3, 11)
    return Check("python", "ok" if good else "broken", platform.python_version() + ("" if good else "; needs 3.11"))


def _required(package: str) -> Check:
    return _package(package, "broken", f"pip install {package}")


def _local(package: str) -> Check:
    return _package(package, "absent", "local models need it: pip install 'gnomon[torch]'")


def _package(package: str, state: str, todo: str) -> Check:
    try:
        return Check(package, "ok", metadata.version(package))
    except metadata.PackageNotFoundError:
        return Check(package, state, todo)


def _brook() -> Check:
    if not util.find_spec("torch"):
        return Check("model brook", "absent", "needs torch")

    def load() -> str:
        from gnomon.models.load import load

        model = load("brook")
        return f"revision {model.revision}, can {', '.join(sorted(model.can))}"

    return _tried("model brook", load)


def _sandbox() -> Check:
    """What would hold a program that a model wrote; where too little does, grading refuses, and all else works."""
    from gnomon.sandbox import protect

    said = ""
    for strong in ([True] if shutil.which("bwrap") else []) + [False]:
        try:
            return Check("sandbox", "ok", str(protect(strong=strong)) + said)
        except GnomonError as error:
            said = f"; {error}"
    return Check("sandbox", "absent", said.removeprefix("; "))


def _runs() -> Check:
    from gnomon.store.manifest import runs_root

    def write() -> str:
        root = runs_root()
        with tempfile.TemporaryFile(dir=_nearest(root)):
            return f"{root} can be written"

    return _tried("folder of runs", write)


def _disk() -> Check:
    from gnomon.store.manifest import runs_root

    free = shutil.disk_usage(_nearest(runs_root())).free / 1e9
    return Check("disk", "ok" if free >= _LEAST_DISK_GB else "broken", f"{free:.1f} GB free")


def _processors() -> Check:
    return Check("processors", "ok", str(os.cpu_count()))


def _nearest(path: Path) -> Path:
    """`path`, or the folder above it that is there already."""
    return next(p for p in (path.absolute(), *path.absolute().parents) if p.is_dir())


def _tried(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, "ok", check())
    except (GnomonError, OSError) as error:
        return Check(name, "broken", str(error))
