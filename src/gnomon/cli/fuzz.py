"""`gnomon fuzz SCHEMA`: requests that make a web API crash, break its contract, or lose what it promises."""

from __future__ import annotations

import platform
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from gnomon.cli.assay import changed, keep, kept_rows
from gnomon.cli.flags import Json, Out, Page, Settings, Toml, configs, with_fields
from gnomon.cli.output import command_line, console, emit, origin_of, say
from gnomon.core.errors import GnomonError, InternalError, UsageError
from gnomon.fuzz.config import Fuzzing
from gnomon.fuzz.identities import Credentials, Identity
from gnomon.store.manifest import runs_root

if TYPE_CHECKING:
    from gnomon.fuzz.base import Api
    from gnomon.fuzz.searching import Finished
    from gnomon.fuzz.targets import Target

__all__ = ["EXAMPLES", "fuzz_command"]

EXAMPLES = """Examples:
  gnomon fuzz http://127.0.0.1:8000/openapi.json
  gnomon fuzz openapi.yaml --url http://127.0.0.1:8000 --max-time 300
  gnomon fuzz shop:app              an application in this process, no socket
  gnomon fuzz openapi.json --url URL --include 'POST *' --exclude '*/admin/*'
  gnomon fuzz openapi.json --url URL --bearer TOKEN --other-bearer TOKEN2
                                    may one user see what is another's?
  gnomon fuzz --replay runs/fuzz-NAME-ID/replay.json --url URL
                                    what of it is fixed?

What comes out:
  stdout             distinct defects, each with the curl line that shows it
  runs/fuzz-NAME-ID  rows (run.db), report.html, report.json, replay.json,
                     test_defects.py (needs pytest alone)
  exit code          0 nothing certain (advice alone), 1 a defect that no
                     reading of the document allows, 2 flags, a document or
                     an address that will not do, 3 a mistake of ours, of
                     which a file is left, 130 stopped: what was found is kept
Credentials are kept nowhere.
"""

_Schema = Annotated[str, Parameter(help="OpenAPI document or GraphQL schema: file, URL, or module:name of an app.")]
_Formats = Annotated[
    tuple[str, ...], Parameter(help="Formats to write: junit, har, vcr, ndjson, sarif; or FORMAT=PATH.", negative="")
]


def _fuzz(
    schema: _Schema = "",
    /,
    *,
    report: _Formats = (),
    replay: Annotated[Path | None, Parameter(help="Play the defects of this replay.json again.")] = None,
    config: Toml = None,
    json: Json = None,
    page: Page = None,
    out: Out = None,
    **given: Any,
) -> int:
    """Fuzz a web API: find requests that make it crash, break its contract, or lose what it promises."""
    made = configs(_KINDS, Settings.of(given, config), ())
    fuzzing, document = made["search"], schema or _schema_of(replay)
    try:
        from gnomon.fuzz.searching import fuzz
        from gnomon.fuzz.targets import opened

        target = opened(document, fuzzing)
        callers = made["callers"].callers(target.api)
        say(_told(target.api))
        if replay:
            return _replayed(replay, target, fuzzing, callers)
        done = fuzz(target, fuzzing, callers, reports=report, root=out)
        for name, path in done.files.items():
            say(f"{name}: {path}")
        _show(done, fuzzing, json, page)
        if done.mistakes:
            raise done.mistakes[0]
        return 130 if done.stopped else done.report.exit_code
    except (GnomonError, OSError, ModuleNotFoundError):
        raise
    except Exception as error:
        raise _mistake(error, document, fuzzing, out) from error


_KINDS: Mapping[str, type] = {"search": Fuzzing, "callers": Credentials}
fuzz_command = with_fields(_fuzz, _KINDS)


def _mistake(error: Exception, document: str, config: Fuzzing, root: Path | None) -> InternalError:
    """What nobody foresaw, with a file that says where it happened and how the command was called."""
    again = command_line("fuzz", document, changed(config))
    told = [f"gnomon {version('gnomon')}, Python {platform.python_version()}, {platform.platform()}", again, ""]
    file = runs_root(root) / f"bug-{time.strftime('%Y%m%d-%H%M%S')}.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([*told, *traceback.format_exception(error)]), encoding="utf-8")
    return InternalError(f"{type(error).__name__}: {error}", todo=f"this is our mistake; please report it with {file}")


def _show(done: Finished, config: Fuzzing, json: str | None, page: str | None) -> None:
    timing = {"wall_seconds": round(done.seconds, 3)}
    again = command_line("fuzz", done.target.schema, changed(config))
    origin = origin_of(done.manifest, {}, timing, again)
    rows = kept_rows(done.manifest.folder)
    keep(done.manifest.folder, done.report, origin, rows)
    emit([(done.report, origin)], json=json, page=page, rows=rows)


def _told(api: Api) -> str:
    name = f"{api.title} {api.version}".strip()
    return f"{name}: {len(api.operations)} operations, {len(api.repairs)} repairs ({api.dialect})"


def _schema_of(replay: Path | None) -> str:
    if replay is None:
        raise UsageError("no document is named", where="SCHEMA", todo="give a file, a URL or module:name")
    from gnomon.fuzz.replaying import schema_of

    return schema_of(replay)


def _replayed(file: Path, target: Target, config: Fuzzing, callers: Mapping[str, Identity]) -> int:
    """Plays a file again and says of each defect what has become of it; 1 where a certain one, or another, is there."""
    from gnomon.fuzz.replaying import play
    from gnomon.report.base import Report, Table
    from gnomon.report.terminal import show

    played = play(file, target, config, callers)
    counts = Counter(each.verdict for each in played)
    summary = ", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items())) or "the file holds no defect"
    rows = [[each.verdict, each.title if each.certain else f"{each.title} (advice)", each.detail] for each in played]
    table = Table(title="Defects", columns=["now", "defect", "what came"], rows=rows)
    show(Report(title=f"{file} again", summary=summary, tables=[table]), console())
    return int(any(each.certain and each.verdict in ("still failing", "other failure") for each in played))
