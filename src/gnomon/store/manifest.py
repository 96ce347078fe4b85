"""`run.json`: what a run was asked, with what, and how it stands; and finding runs by their id.

runs/assay-calibration-7f3a91c2/run.json
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from gnomon.core.config import plain
from gnomon.core.errors import RunError, UsageError, closest
from gnomon.store.files import replace_file
from gnomon.store.lock import held

__all__ = ["Manifest", "Status", "find_folder", "list_runs", "read_manifest", "runs_root", "write_manifest"]

Status: TypeAlias = Literal["running", "stopped", "failed", "done", "unreadable"]

_FILE, _LOCK = "run.json", "run.lock"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The contents of `run.json`.

    Attributes:
        id: eight hexadecimal digits, the hash of verb, name and identity.
        verb: assay, train, explain, ...
        name: the method.
        identity: what decides the numbers: config, data hashes, model revisions, seed.
        status: running, stopped, failed or done; `list_runs` says "stopped" of a run that was killed, and
            "unreadable" of a folder whose run.json cannot be read.
        started, finished: UTC, ISO 8601; `finished` is "" until then.
        versions: of Python, gnomon and the libraries that matter to numbers.
        error: why it failed, one line.
        notes: facts that do not decide the numbers (workers, the command line).
        folder: where it is; not part of the file.
    """

    id: str
    verb: str
    name: str
    identity: Mapping[str, Any]
    status: Status
    started: str
    finished: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = Path()


def runs_root(root: str | Path | None = None) -> Path:
    """The folder of runs: `root`, else the environment's GNOMON_RUNS, else `./runs`."""
    return Path(root or os.environ.get("GNOMON_RUNS") or "runs")


def read_manifest(folder: Path) -> Manifest:
    """The run of `folder`.

    Raises:
        RunError: run.json is missing or damaged.
    """
    path = folder / _FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        found = Manifest(**{k: v for k, v in found.items() if k != "schema"}, folder=folder)
        if found.status not in get_args(Status):
            raise ValueError(f"status {found.status!r}")
    except FileNotFoundError:
        raise RunError("no run is here", where=str(path)) from None
    except (ValueError, TypeError, AttributeError) as error:
        todo = "restore it, or start over with --fresh"
        raise RunError(f"damaged ({error})", where=str(path), todo=todo) from None
    return found


def write_manifest(manifest: Manifest) -> None:
    """Replaces the run's `run.json` atomically."""
    values = {k: v for k, v in plain(manifest).items() if k != "folder"}
    replace_file(manifest.folder / _FILE, json.dumps({"schema": 1, **values}, indent=1) + "\n")


def list_runs(root: str | Path | None = None) -> list[Manifest]:
    """Every run under `root` (default as `runs_root`), the latest started first."""
    found = []
    for path in runs_root(root).glob(f"*/{_FILE}"):
        try:
            manifest = read_manifest(path.parent)
        except RunError as error:
            verb, _, name = path.parent.name.partition("-")
            manifest = Manifest(
                id="", verb=verb, name=name, identity={}, status="unreadable", started="", error=error.what
            )
            manifest = replace(manifest, folder=path.parent)
        found.append(_as_it_stands(manifest))
    return sorted(found, key=lambda m: (m.started, m.id), reverse=True)


def find_folder(text: str, root: str | Path | None = None) -> Path:
    """The folder of the run that `text` names: an id, its first digits, a folder's name or a path.

    Raises:
        UsageError: no run is called that, or several are.
    """
    if (Path(text) / _FILE).is_file():
        return Path(text)
    folders = sorted(path.parent for path in runs_root(root).glob(f"*/{_FILE}"))
    by_id = {folder: folder.name.rpartition("-")[2] for folder in folders}
    fits = [f for f in folders if text and (by_id[f].startswith(text) or f.name == text)]
    if len(fits) == 1:
        return fits[0]
    where = str(runs_root(root))
    if fits:
        names = ", ".join(f.name for f in fits)
        raise UsageError(f"{len(fits)} runs begin with {text!r}: {names}", where=where, todo="give more digits")
    near = closest(text, [*by_id.values(), *(f.name for f in folders)])
    known = near if near.startswith("did you mean") else "`gnomon runs` lists them"
    todo = known if folders else "there are no runs yet"
    raise UsageError(f"no run is called {text!r}", where=where, todo=todo)


def _as_it_stands(manifest: Manifest) -> Manifest:
    """A killed process could not write that it stopped; its lock is free."""
    if manifest.status == "running" and not held(manifest.folder / _LOCK):
        return replace(manifest, status="stopped")
    return manifest
