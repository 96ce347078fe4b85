"""Defects as other tools read them: `FORMATS` by name, each a pure function of what was found to a text.

What a service says is never written raw: control characters are escaped, bytes that are no text are base64, credentials
are marks (`${TOKEN}`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gnomon.core.errors import UsageError, closest
from gnomon.fuzz.outputs.found import Found
from gnomon.fuzz.outputs.har import har
from gnomon.fuzz.outputs.junit import junit
from gnomon.fuzz.outputs.ndjson import ndjson
from gnomon.fuzz.outputs.pytest_file import pytest_file
from gnomon.fuzz.outputs.replay import replay
from gnomon.fuzz.outputs.sarif import sarif
from gnomon.fuzz.outputs.vcr import vcr
from gnomon.store.files import replace_file

__all__ = ["ALWAYS", "FORMATS", "Format", "Found", "paths_of", "write"]


class Format(NamedTuple):
    """A format: its file in a run's folder, and what writes it."""

    file: str
    text: Callable[[Found], str]


FORMATS: Mapping[str, Format] = {
    "replay": Format("replay.json", replay),
    "pytest": Format("test_defects.py", pytest_file),
    "junit": Format("junit.xml", junit),
    "har": Format("defects.har", har),
    "vcr": Format("cassette.yaml", vcr),
    "ndjson": Format("defects.ndjson", ndjson),
    "sarif": Format("defects.sarif", sarif),
}
ALWAYS = ("replay", "pytest")
"What every run gets."


def paths_of(reports: Sequence[str], folder: Path) -> dict[str, Path]:
    """Where each format goes, `ALWAYS` included.

    Args:
        reports: names, or NAME=PATH; several may stand in one text with commas.
        folder: of what has no path.

    Raises:
        UsageError: a name that is no format.
    """
    found = {name: folder / FORMATS[name].file for name in ALWAYS}
    for each in (part.strip() for text in reports for part in text.split(",") if part.strip()):
        name, _, path = each.partition("=")
        if name not in FORMATS:
            raise UsageError(f"{name!r} is no format", where="--report", todo=closest(name, FORMATS))
        found[name] = Path(path) if path else folder / FORMATS[name].file
    return found


def write(found: Found, paths: Mapping[str, Path]) -> None:
    """Writes each format to its path.

    Raises:
        UsageError: a file cannot be written.
    """
    for name, path in paths.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, FORMATS[name].text(found))
        except OSError as error:
            todo = "give another path"
            raise UsageError(f"cannot write it: {error.strerror}", where=str(path), todo=todo) from None
