"""Where results go: a table on stdout, a page and JSON in the run's folder, and wherever the user asks."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnomon.core.errors import UsageError
from gnomon.report.base import Report
from gnomon.report.provenance import Provenance

if TYPE_CHECKING:
    from rich.console import Console

    from gnomon.core.record import Row
    from gnomon.store.run import Manifest

__all__ = ["command_line", "console", "emit", "joined", "origin_of", "say", "write_text"]

_PIPE_WIDTH = 120


def console() -> Console:
    """A console on stdout: as wide as the terminal, or 120 columns for a pipe or a file."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH
    return Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)


def say(text: str) -> None:
    """One line on stderr."""
    print(text, file=sys.stderr, flush=True)


def write_text(path: str | Path, text: str) -> None:
    """Replaces the file at `path`; "-" writes to stdout; UsageError when it cannot be written."""
    from gnomon.store.files import replace_file

    if str(path) == "-":
        sys.stdout.write(text)
        return
    file = Path(path)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, text)
    except OSError as error:
        raise UsageError(f"cannot write it: {error.strerror}", where=str(path), todo="give another path") from None


def emit(
    results: Sequence[tuple[Report, Provenance]],
    *,
    json: str | None,
    page: str | None,
    rows: Sequence[Row] = (),
    brief: bool = False,
) -> None:
    """Prints reports, and writes `--json FILE` and `--page FILE`; several reports are a JSON list and one page.

    A `brief` print leaves out tables and all estimates but the headlines; files hold everything.
    """
    from gnomon.report.json import as_dict, dumps
    from gnomon.report.page import page as html
    from gnomon.report.terminal import show

    if json != "-":
        screen = console()
        for i, (report, _) in enumerate(results):
            if i:
                screen.print()
            show(_briefly(report) if brief else report, screen)
    if json:
        records = [as_dict(report, origin) for report, origin in results]
        write_text(json, dumps(records[0] if len(records) == 1 else records))
    if page:
        report, origin = results[0] if len(results) == 1 else joined(results)
        write_text(page, html(report, origin, rows))
        say(f"page: {page}")


def _briefly(report: Report) -> Report:
    from dataclasses import replace

    return replace(report, estimates=[e for e in report.estimates if e.headline], tables=[])


def joined(results: Sequence[tuple[Report, Provenance]]) -> tuple[Report, Provenance]:
    """Several reports as one: sections and groups are named after the report they come from."""
    from dataclasses import replace

    reports = {origin.name: report for report, origin in results}
    first = results[0][1]
    merged = Report(
        title=" · ".join(reports),
        summary=" ".join(f"{name}: {r.summary}" for name, r in reports.items() if r.summary),
        notes=[f"{name}: {note}" for name, r in reports.items() for note in r.notes],
        estimates=[
            replace(e, group=f"{name} · {e.group}" if e.group else name)
            for name, r in reports.items()
            for e in r.estimates
        ],
        findings=[f for r in reports.values() for f in r.findings],
        views=[replace(v, section=_section(name, v.section)) for name, r in reports.items() for v in r.views],
        figures=[replace(f, section=_section(name, f.section)) for name, r in reports.items() for f in r.figures],
        tables=[replace(t, section=_section(name, t.section)) for name, r in reports.items() for t in r.tables],
    )
    origin = replace(
        first,
        name=" ".join(reports),
        run=", ".join(o.run for _, o in results),
        config={o.name: dict(o.config) for _, o in results},
        command="\n".join(o.command for _, o in results),
        timing={},
    )
    return merged, origin


def origin_of(
    manifest: Manifest, cast: Mapping[str, str], timing: Mapping[str, Any], command: str, model: str = ""
) -> Provenance:
    """Where the report of a run comes from."""
    config = manifest.identity.get("config", {})
    return Provenance(
        run=manifest.folder.name,
        verb=manifest.verb,
        name=manifest.name,
        model=model,
        cast=cast,
        seed=manifest.identity.get("seed", config.get("seed")),
        config=config,
        versions=manifest.versions,
        command=command,
        timing=timing,
    )


def command_line(verb: str, name: str, words: Mapping[str, Any]) -> str:
    """The command that makes a report again, from flag to value; false and empty values are left out.

    Args:
        name: of the method, or several with spaces between.
    """
    parts = ["gnomon", verb, *name.split()]
    for flag, value in words.items():
        if value is None or value == "" or value == ():
            continue
        name_ = "--" + flag.replace("_", "-")
        if isinstance(value, bool):
            parts.append(name_ if value else name_.replace("--", "--no-", 1))
        else:
            parts += [name_, ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)]
    return shlex.join(parts)


def _section(name: str, section: str) -> str:
    return f"{name}: {section}" if section else name
