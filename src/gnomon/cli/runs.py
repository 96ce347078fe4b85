"""`gnomon runs`, `compare` and `export`: what earlier commands left behind, and what it says side by side."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from gnomon.cli.output import console, emit, say
from gnomon.core.errors import RunError
from gnomon.report.base import Table

if TYPE_CHECKING:
    from gnomon.store.run import Manifest

__all__ = ["EXAMPLES", "compare_command", "export_command", "runs_command"]

EXAMPLES = {
    "runs": """Examples:
  gnomon runs

What comes out:
  stdout  one line a run; other commands take the id, or its first digits
""",
    "compare": """Examples:
  gnomon compare 7f3a91c2 19ab

What comes out:
  stdout  second minus first for every score that both hold, paired by item,
          with a clustered 95 % interval
""",
    "export": """Examples:
  gnomon export 7f3a --to parquet
  gnomon export 7f3a --to jsonl --file rows.jsonl

What comes out:
  stdout  the path of the file, which holds every row, errors included
""",
}

_Out = Annotated[Path | None, Parameter(help="Folder of runs. [default: runs]")]
_RunName = Annotated[str, Parameter(help="A run's id, its first digits, or its folder.")]


def runs_command(*, out: _Out = None) -> int:
    """List runs, the latest first."""
    from gnomon.report.terminal import table
    from gnomon.store.run import list_runs

    found = list_runs(out)
    if not found:
        say("there are no runs yet; `gnomon assay self-knowledge` makes one")
        return 0
    rows = [[m.id, m.status, m.verb, m.name, _model(m), m.started[:16].replace("T", " "), m.error] for m in found]
    columns = ["id", "status", "verb", "name", "model", "started (UTC)", "error"]
    console().print(table(Table(title="", columns=columns, rows=rows)))
    return 0


def compare_command(
    first: _RunName,
    second: _RunName,
    /,
    *,
    json: Annotated[str | None, Parameter(help="Write the numbers to this file; - is stdout.")] = None,
    page: Annotated[str | None, Parameter(help="Write the page to this file.")] = None,
    out: _Out = None,
) -> int:
    """Compare two runs of one evaluation, paired by item."""
    from gnomon.report.provenance import Provenance
    from gnomon.store.run import Run
    from gnomon.trial.compare import compare

    with closing(Run.find(first, root=out)) as a, closing(Run.find(second, root=out)) as b:
        report = compare(a, b)
        ids = [a.id, b.id]
        cast = {"first": _model(a.manifest), "second": _model(b.manifest)}
        versions = b.manifest.versions
    origin = Provenance(
        run=" ".join(ids),
        verb="compare",
        name=b.manifest.name,
        model=cast["second"],
        cast=cast,
        versions=versions,
        command=f"gnomon compare {' '.join(ids)}",
    )
    emit([(report, origin)], json=json, page=page)
    return report.exit_code


def export_command(
    run: _RunName,
    /,
    *,
    to: Annotated[Literal["parquet", "jsonl"], Parameter(help="Format.")] = "parquet",
    file: Annotated[Path | None, Parameter(help="Where to. [default: rows.FORMAT in the run's folder]")] = None,
    out: _Out = None,
) -> int:
    """Write a run's rows to a file that other tools read."""
    from gnomon.store.export import to_jsonl, to_parquet
    from gnomon.store.run import Run

    with closing(Run.find(run, root=out)) as found:
        rows = found.rows()
        path = file or found.folder / f"rows.{to}"
    try:
        (to_parquet if to == "parquet" else to_jsonl)(rows, path)
    except OSError as error:
        raise RunError(f"cannot write it: {error.strerror}", where=str(path), todo="give --file another path") from None
    print(path)
    return 0


def _model(manifest: Manifest) -> str:
    cast = manifest.identity.get("cast", {})
    return str(cast.get("subject", "")) if isinstance(cast, dict) else ""
