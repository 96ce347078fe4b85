"""Texts that must not change by accident: `check` compares with tests/snapshots/NAME.txt.

UPDATE_SNAPSHOTS=1 writes them instead; look at the difference before committing it.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "snapshots"


def check(name: str, text: str) -> None:
    file = FOLDER / f"{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS") == "1":
        FOLDER.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert file.is_file(), f"no snapshot {name}; UPDATE_SNAPSHOTS=1 writes it"
    assert text == file.read_text(encoding="utf-8")
