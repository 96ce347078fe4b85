"""Imports point down: the layers of ARCHITECTURE.md, read off the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.house.tree import Module, imports, modules

# From the top; what stands in one row is joined by the rule beside it.
ROWS = [
    ({"": 0, "api": 0, "__main__": 0, "cli": 0, "web": 0, "serve": 0}, "freely"),
    ({"study": 0}, "never"),
    (dict.fromkeys(("train", "assay", "explain", "fuzz", "hunt", "grade"), 0), "never"),
    (dict.fromkeys(("learn", "trial"), 0), "never"),
    ({"models": 0, "sandbox": 1, "data": 1, "report": 2}, "leftwards"),
    ({"core": 0, "store": 1, "stats": 2}, "leftwards"),
]
# What the lowest row does without: it runs anywhere, and opens no connection.
HEAVY = {"torch", "transformers", "tokenizers", "safetensors", "aiohttp", "socket", "urllib.request", "http.client"}


def allowed(importer: str, imported: str) -> bool:
    """Whether one part of the package may import another; parts are names below `gnomon`."""
    (row, place), (other_row, other_place) = _place(importer), _place(imported)
    if importer == imported or other_row > row:
        return True
    if other_row < row:
        return False
    rule = ROWS[row][1]
    return rule == "freely" or (rule == "leftwards" and other_place < place)


def _place(part: str) -> tuple[int, int]:
    for number, (row, _) in enumerate(ROWS):
        if part in row:
            return number, row[part]
    raise AssertionError(f"gnomon.{part} stands in no layer; add it to ARCHITECTURE.md and to ROWS")


def part_of(dotted: str) -> str:
    """The part of the package that a dotted name lies in: "gnomon.cli.app" is "cli", "gnomon.load_model" is ""."""
    below = dotted.split(".")[1:2]
    known = {name for row, _ in ROWS for name in row}
    return below[0] if below and below[0] in known else ""


def breaches(module: Module) -> list[str]:
    """Imports of a module that the layers forbid."""
    found = []
    importer = module.name.split(".")[1] if "." in module.name else ""
    for dotted, line in imports(module):
        if dotted.split(".")[0] == "gnomon":
            imported = part_of(dotted)
            if not allowed(importer, imported):
                found.append(f"{module.path}:{line}: {importer} imports {imported or 'gnomon'} ({dotted})")
        elif importer in ROWS[-1][0] and any(dotted == h or dotted.startswith(f"{h}.") for h in HEAVY):
            found.append(f"{module.path}:{line}: {importer} imports {dotted}")
    return found


def test_imports_point_down() -> None:
    found = [b for module in modules() for b in breaches(module)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("gnomon.core.x", "from gnomon.store.run import Run"),
        ("gnomon.store.x", "from gnomon.stats import intervals"),
        ("gnomon.store.x", "def f():\n    import torch"),
        ("gnomon.models.x", "from gnomon.data import base"),
        ("gnomon.data.x", "import gnomon.report.base"),
        ("gnomon.trial.x", "def f():\n    from gnomon.learn import loop"),
        ("gnomon.assay.x", "from gnomon.train import pretrain"),
        ("gnomon.assay.x", "from gnomon import api"),
        ("gnomon.assay.x.y", "from ...cli import app"),
        ("gnomon.train.x", "if TYPE_CHECKING:\n    pass\nelse:\n    import gnomon.cli"),
    ],
)
def test_a_breach_is_seen(name: str, source: str) -> None:
    assert len(breaches(Module(name, Path("x.py"), ast.parse(source)))) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("gnomon.core.x", "if TYPE_CHECKING:\n    from gnomon.cli import app"),
        ("gnomon.data.x", "from gnomon.models.base import Model"),
        ("gnomon.report.x", "from gnomon.data.base import Source"),
        ("gnomon.stats.x", "from gnomon.store import run"),
        ("gnomon.assay.x", "from gnomon.learn import heads\nimport torch"),
        ("gnomon.cli.x", "from gnomon import api"),
    ],
)
def test_what_is_allowed_is_no_breach(name: str, source: str) -> None:
    assert breaches(Module(name, Path("x.py"), ast.parse(source))) == []
