"""`gnomon fuzz SCHEMA`: requests that make a web API crash, break its contract, or lose what it promises."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gnomon.cli.assay import keep, kept_rows
from gnomon.cli.output import command_line, console, emit, origin_of, say
from gnomon.core.errors import UsageError
from gnomon.fuzz.config import Fuzzing, Technique
from gnomon.fuzz.identities import Identity, identity

if TYPE_CHECKING:
    from gnomon.fuzz.targets import Target

__all__ = ["EXAMPLES", "fuzz_command"]

EXAMPLES = """Examples:
  gnomon fuzz http://127.0.0.1:8000/openapi.json
  gnomon fuzz openapi.yaml --url http://127.0.0.1:8000 --max-time 300
  gnomon fuzz shop:app                                an ASGI or WSGI application in this process, no socket
  gnomon fuzz openapi.json --url URL --bearer TOKEN --other-bearer TOKEN2    may one user see another's?
  gnomon fuzz --replay runs/fuzz-NAME-ID/replay.json --url URL               what of it is fixed?
  gnomon fuzz openapi.json --url URL --include 'POST *' --exclude '*/admin/*'

What comes out:
  stdout             distinct defects, each with the curl line that shows it
  runs/fuzz-NAME-ID  rows (run.db), report.html, report.json, test_defects.py (needs pytest alone), replay.json
  exit code 1        a defect that no reading of the document allows; advice alone is 0
Only this machine and private networks are sent to, unless you say --i-own-this-host.
Credentials are read from the flags or GNOMON_BEARER and GNOMON_OTHER_BEARER, and kept nowhere.
"""

_Patterns = tuple[str, ...]


def fuzz_command(
    schema: Annotated[
        str, Parameter(help="OpenAPI document or GraphQL schema: file, URL, or module:name of an app.")
    ] = "",
    /,
    *,
    url: Annotated[str, Parameter(help="Base URL of the server. [default: the document's]")] = "",
    app: Annotated[str, Parameter(help="Application in this process, as module:name; no socket is opened.")] = "",
    max_time: Annotated[float, Parameter(help="Seconds to search.")] = 60.0,
    max_requests: Annotated[int, Parameter(help="Requests at most; 0 for no limit.")] = 0,
    connections: Annotated[int, Parameter(help="Requests under way at most.")] = 16,
    include: Annotated[
        _Patterns, Parameter(help="Operations to test: method and path, path, name or tag, with *.")
    ] = (),
    exclude: Annotated[_Patterns, Parameter(help="Operations to leave alone.")] = (),
    checks: Annotated[_Patterns, Parameter(help="Checks to make; -NAME leaves one out. [default: all]")] = (),
    header: Annotated[_Patterns, Parameter(help="Header of every request, 'Name: value'.")] = (),
    auth: Annotated[str, Parameter(help="NAME:PASSWORD for HTTP basic.")] = "",
    bearer: Annotated[str, Parameter(help="Bearer token.")] = "",
    api_key: Annotated[str, Parameter(help="Key; the document says where it goes.")] = "",
    other_header: Annotated[_Patterns, Parameter(help="Header of a second user.")] = (),
    other_bearer: Annotated[str, Parameter(help="Bearer token of a second user.")] = "",
    timeout: Annotated[float, Parameter(help="Seconds to wait for one reply.")] = 10.0,
    rate: Annotated[float, Parameter(help="Requests a second at most; 0 for no limit.")] = 0.0,
    expected: Annotated[
        _Patterns, Parameter(help="GraphQL errors that are no defects: patterns over message and code.")
    ] = (),
    slow: Annotated[float, Parameter(help="Seconds after which a reply is a defect; 0 for no limit.")] = 0.0,
    without: Annotated[tuple[Technique, ...], Parameter(help="Leave a part out, to see what it finds.")] = (),
    i_own_this_host: Annotated[bool, Parameter(help="Send to a host that is not this machine.", negative="")] = False,
    seed: Annotated[int, Parameter(help="Root of every random draw.")] = 0,
    report: Annotated[
        _Patterns, Parameter(help="Formats to write: junit, har, vcr, ndjson, sarif; or FORMAT=PATH.")
    ] = (),
    replay: Annotated[Path | None, Parameter(help="Play the defects of this replay.json again.")] = None,
    json: Annotated[str | None, Parameter(help="Write the numbers to this file; - is stdout.")] = None,
    page: Annotated[str | None, Parameter(help="Write the page to this file too.")] = None,
    out: Annotated[Path | None, Parameter(help="Folder of runs. [default: runs]")] = None,
) -> int:
    """Fuzz a web API: find requests that make it crash, break its contract, or lose what it promises."""
    from gnomon.fuzz.searching import fuzz
    from gnomon.fuzz.targets import opened

    config = Fuzzing(
        schema=schema or _schema_of(replay),
        url=url,
        app=app,
        max_time=max_time,
        max_requests=max_requests,
        connections=connections,
        include=include,
        exclude=exclude,
        checks=checks,
        timeout=timeout,
        rate=rate,
        slow=slow,
        expected=expected,
        without=without,
        own_host=i_own_this_host,
        seed=seed,
    )
    target = opened(config)
    api = target.api
    say(
        f"{api.title} {api.version}".strip()
        + f": {len(api.operations)} operations, {len(api.repairs)} repairs ({api.dialect})"
    )
    bearer = bearer or os.environ.get("GNOMON_BEARER", "")
    other_bearer = other_bearer or os.environ.get("GNOMON_OTHER_BEARER", "")
    callers: dict[str, Identity] = {}
    if header or auth or bearer or api_key:
        callers["first"] = identity(api, "first", headers=header, user=auth, bearer=bearer, api_key=api_key)
    if other_header or other_bearer:
        callers["other"] = identity(api, "other", headers=other_header, bearer=other_bearer)
    if replay:
        return _replayed(replay, target, config, callers)
    done = fuzz(target, config, callers, reports=report, root=out)
    for name, path in done.files.items():
        say(f"{name}: {path}")
    words = {name: value for name, value in asdict(config).items() if name not in ("schema", "own_host")}
    timing = {"wall_seconds": round(done.seconds, 3)}
    origin = origin_of(done.manifest, {}, timing, command_line("fuzz", schema, words))
    rows = kept_rows(done.manifest.folder)
    keep(done.manifest.folder, done.report, origin, rows)
    emit([(done.report, origin)], json=json, page=page, rows=rows)
    return 130 if done.stopped else done.report.exit_code


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
