"""`gnomon demo`: the main job on the model that ships, in about a minute: ask it, and one page that says what it is."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from gnomon.cli.assay import assay_once, kept_rows
from gnomon.cli.flags import Settings
from gnomon.cli.output import emit
from gnomon.core.registry import method

__all__ = ["ASSAYS", "EXAMPLES", "demo_command"]

EXAMPLES = """Examples:
  gnomon demo
  gnomon demo --page brook.html

What comes out:
  stdout            what was found, and the main estimates with their intervals
  gnomon-demo.html  every estimate, table and figure; open it in a browser, it needs no network
"""

ASSAYS = ("self-knowledge", "brook")


def demo_command(
    *,
    page: Annotated[str, Parameter(help="Where to write the page.")] = "gnomon-demo.html",
    json: Annotated[str | None, Parameter(help="Write the numbers to this file; - is stdout.")] = None,
) -> int:
    """Ask the model that ships with Gnomon what it knows about what it knows; nothing is downloaded."""
    settings = Settings.of({"model": "brook", "seed": 0}, None)
    results, rows = [], []
    for name in ASSAYS:
        finished, origin = assay_once(method("assay", name)(), name, settings)
        results.append((finished.report, origin))
        rows += kept_rows(finished.run.folder)
    emit(results, json=json, page=page, rows=rows, brief=True)
    return 0
