"""`gnomon runs`, `compare` and `export`: what earlier commands left behind, and what it says side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from gnomon.cli.flags import Json
from gnomon.cli.output import console, emit, say
from gnomon.core.errors import GnomonError, RunError, UsageError
from gnomon.report.base import Report, Table

if TYPE_CHECKING:
    from gnomon.core.record import Item
    from gnomon.report.provenance import Provenance
    from gnomon.store.run import Manifest, Run

__all__ = ["EXAMPLES", "compare_command", "compared", "export_command", "runs_command"]

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
  gnomon export 7f3a --format inspect               a log for `inspect view`
  gnomon export feedback.jsonl --format hh-rlhf     people's judgements, as pairs

What comes out:
  stdout  the path of the file: every row of a run, errors included; for hh-rlhf
          every comparison of a file, the better answer as `chosen`
""",
}

_Out = Annotated[Path | None, Parameter(help="Folder of runs. [default: runs]")]
_NAMED = "A run's id, its first digits, or its folder."
_RunName = Annotated[str, Parameter(help=_NAMED)]


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
    json: Json = None,
    page: Annotated[str | None, Parameter(help="Write the page to this file.")] = None,
    out: _Out = None,
) -> int:
    """Compare two runs of one evaluation, paired by item."""
    from gnomon.store.run import Run

    with closing(Run.find(first, root=out)) as a, closing(Run.find(second, root=out)) as b:
        report, origin = compared(a, b)
    emit([(report, origin)], json=json, page=page)
    return report.exit_code


def compared(first: Run, second: Run) -> tuple[Report, Provenance]:
    """Two open runs of one evaluation, paired by item, and where that came from."""
    from gnomon.report.provenance import Provenance
    from gnomon.trial.compare import compare

    ids = [first.id, second.id]
    cast = {"first": _model(first.manifest), "second": _model(second.manifest)}
    origin = Provenance(
        run=" ".join(ids),
        verb="compare",
        name=second.manifest.name,
        model=cast["second"],
        cast=cast,
        versions=second.manifest.versions,
        command=f"gnomon compare {' '.join(ids)}",
    )
    return compare(first, second), origin


def export_command(
    run: Annotated[
        str, Parameter(help=f"{_NAMED} For hh-rlhf a file of comparisons, as of `gnomon train preference`.")
    ],
    /,
    *,
    to: Annotated[
        Literal["parquet", "jsonl", "inspect", "hh-rlhf"], Parameter(name=("--to", "--format"), help="Format.")
    ] = "parquet",
    file: Annotated[
        Path | None, Parameter(help="Where to. [default: rows.FORMAT in the run's folder, or beside the file]")
    ] = None,
    out: _Out = None,
) -> int:
    """Write a run's rows, or a file's comparisons, for other tools."""
    from gnomon.store.export import to_jsonl, to_parquet
    from gnomon.store.run import Run

    if to == "hh-rlhf":
        _to_transcripts(run, file)
        return 0
    with closing(Run.find(run, root=out)) as found:
        path = file or found.folder / ("log.eval" if to == "inspect" else f"rows.{to}")
        with _written(path):
            if to == "inspect":
                _to_inspect(found, path)
            else:
                (to_parquet if to == "parquet" else to_jsonl)(found.rows(), path)
    return 0


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """Prints the path of the file that is written inside."""
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write it: {error.strerror}", where=str(path), todo="give --file another path") from None
    print(path)


def _to_transcripts(spec: str, file: Path | None) -> None:
    """Writes comparisons as transcripts; what is no comparison, or cannot be written so, is counted on stderr."""
    from gnomon.core.seeds import Seed
    from gnomon.data.comparisons import open_comparisons
    from gnomon.data.hub import find_file
    from gnomon.data.transcripts import write_transcripts

    source = find_file(spec)
    path = file or source.with_name(f"{source.name.split('.')[0]}.hh-rlhf.jsonl.gz")
    found = open_comparisons(str(source), 0, Seed(0))
    with _written(path):
        left_out = write_transcripts(found.comparisons, path)
    for why, count in found.unused.items():
        say(f"left out: {count} ({why})")
    for name, why in left_out.items():
        say(f"left out: {name} ({why})")
    if found.num_bad:
        say(f"left out: {found.num_bad} (cannot be used; the first: {found.bad[0]})")


def _to_inspect(run: Run, path: Path) -> None:
    """Writes an Inspect log; what it cannot hold, because it is not here any more, is said on stderr."""
    from gnomon.store.inspect_log import to_inspect
    from gnomon.trial.again import items_of

    if path.suffix != ".eval":
        raise UsageError(f"an Inspect log is called *.eval, not {path.name!r}", todo="give --file such a name")
    items: dict[str, Item] = {}
    if run.manifest.verb == "assay":
        try:
            items = {item.id: item for item in items_of(run.manifest)}
        except GnomonError as error:
            say(f"samples go without question, options and target: {error}")
    to_inspect(run.manifest, run.each_row(), path, items=items, estimates=_estimates(run))


def _estimates(run: Run) -> list[dict[str, Any]]:
    """The estimates that the run's command left beside it."""
    try:
        found: list[dict[str, Any]] = json.loads((run.folder / "report.json").read_text("utf-8"))["estimates"]
    except FileNotFoundError:
        say("the run has no report.json, so the log holds no metrics; its command makes one without asking again")
        return []
    except (ValueError, LookupError, TypeError) as error:
        where, todo = str(run.folder / "report.json"), "give the run's command again: it writes it anew"
        raise RunError(f"damaged ({error})", where=where, todo=todo) from None
    return found


def _model(manifest: Manifest) -> str:
    cast = manifest.identity.get("cast", {})
    return str(cast.get("subject", "")) if isinstance(cast, dict) else ""
