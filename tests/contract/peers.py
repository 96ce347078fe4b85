"""Finds a Python that has a peer's packages: this one, or that of the environment which `make bench` fills.

GNOMON_PEERS names another environment: the folder of a virtual environment. Without one the test is skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

__all__ = ["peer_python"]

_ENVIRONMENT = Path(os.environ.get("GNOMON_PEERS") or Path(__file__).parents[2] / ".bench-peers")


@cache
def peer_python(*modules: str) -> str:
    """A Python that can import `modules`."""
    for python in (sys.executable, str(_ENVIRONMENT / "bin" / "python")):
        words = [python, "-c", f"import {', '.join(modules)}"]
        if Path(python).exists() and not subprocess.run(words, capture_output=True).returncode:
            return python
    pytest.skip(f"neither {sys.executable} nor {_ENVIRONMENT} has {', '.join(modules)}; GNOMON_PEERS names another")
