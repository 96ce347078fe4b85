"""What importing costs: `import gnomon` is free of everything heavy, and plain Gnomon runs without torch."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.house.tree import modules
from tests.pace import slowdown

LAZY = ("numpy", "scipy", "torch", "rich", "cyclopts", "aiohttp", "altair", "pyarrow", "jinja2", "transformers")
MAX_CPU_SECONDS = 0.2
TIMED = """
import time
before = time.process_time()
import gnomon
print(time.process_time() - before)
"""
LOADED = """
import importlib, json, sys
for name in {names!r}:
    importlib.import_module(name)
print(json.dumps(sorted({{m.split(".")[0] for m in sys.modules}})))
"""
WITHOUT_TORCH = """
import importlib, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {{"torch", "transformers", "tokenizers", "safetensors"}}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
for name in {names!r}:
    importlib.import_module(name)
"""


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(names: list[str]) -> set[str]:
    """Top-level packages that a fresh interpreter holds after importing `names`."""
    return set(json.loads(python(LOADED.format(names=names))))


@pytest.mark.alone
def test_importing_gnomon_is_quick() -> None:
    assert min(float(python(TIMED)) for _ in range(5)) < MAX_CPU_SECONDS * slowdown()


def test_importing_gnomon_loads_nothing_heavy() -> None:
    assert loaded(["gnomon"]).isdisjoint(LAZY)


def test_core_loads_nothing_heavy() -> None:
    names = [m.name for m in modules() if m.name.startswith("gnomon.core")]
    assert len(names) > 5
    assert loaded(names).isdisjoint({*LAZY} - {"rich"})


def test_commands_need_no_torch() -> None:
    """Assays of endpoints, reports and runs work where only plain `gnomon` is installed."""
    parts = ("gnomon.core", "gnomon.store", "gnomon.stats", "gnomon.report", "gnomon.trial", "gnomon.cli", "gnomon.api")
    others = ["gnomon.models.endpoint", "gnomon.models.anthropic", "gnomon.models.load", "gnomon.assay.self_knowledge"]
    names = [m.name for m in modules() if m.name.startswith(parts)]
    python(WITHOUT_TORCH.format(names=names + others))
