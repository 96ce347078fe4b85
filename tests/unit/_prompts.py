"""Prompts that tests of detectors write to files."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["flagged", "written"]


def written(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    """A file of these rows, zipped where its name says so."""
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return str(path)


def flagged(count: int = 80) -> list[dict[str, Any]]:
    """As many harmless prompts of four topics as harmful ones of three."""
    rows = [{"prompt": f"bake cake {i}", "harmful": False, "topic": f"cake {i % 4}"} for i in range(count)]
    return [*rows, *({"prompt": f"brew poison {i}", "harmful": 1, "topic": f"drug {i % 3}"} for i in range(count))]
