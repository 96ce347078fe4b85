"""`gnomon demo`: the main job on the models that ship, in under three minutes, and one page that says what they are."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from gnomon.cli.assay import assay_once, kept_rows
from gnomon.cli.explain import explained_once
from gnomon.cli.flags import Json, Settings
from gnomon.cli.output import emit
from gnomon.cli.runs import compared
from gnomon.core.registry import method
from gnomon.store.run import Run

__all__ = ["ASSAYS", "EXAMPLES", "demo_command"]

EXAMPLES = """Examples:
  gnomon demo
  gnomon demo --page brook.html

What comes out:
  stdout            what was found, and the main estimates with their intervals
  gnomon-demo.html  every estimate, table and figure; open it in a browser, it needs no network
"""

ASSAYS = (("self-knowledge", "brook"), ("brook", "brook"), ("hhh", "brook"), ("hhh", "brook-assistant"))


def demo_command(
    *,
    page: Annotated[str, Parameter(help="Where to write the page.")] = "gnomon-demo.html",
    json: Json = None,
) -> int:
    """Ask the models that ship what they know and prefer, and look inside; nothing is downloaded."""
    results, rows, folders = [], [], []
    for name, model in ASSAYS:
        finished, origin = assay_once(method("assay", name)(), name, Settings.of({"model": model, "seed": 0}, None))
        report = replace(finished.report, title=f"{model}: {finished.report.title}")
        results.append((report, replace(origin, name=f"{name} of {model}")))
        folders.append(str(finished.run.folder))
        rows += kept_rows(finished.run.folder)
    with closing(Run.find(folders[-2])) as base, closing(Run.find(folders[-1])) as assistant:
        report, origin = compared(base, assistant)
    results.append((report, replace(origin, name="what training gained")))
    report, origin = explained_once("attention", method("explain", "attention")(), "brook")
    results.append((report, replace(origin, name="inside brook")))
    emit(results, json=json, page=page, rows=rows, brief=True)
    return 0
