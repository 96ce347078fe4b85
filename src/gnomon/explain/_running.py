"""One explanation as a run: what was read of a model is kept, and the same call reads it again."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from gnomon.core.config import to_json
from gnomon.core.errors import UsageError
from gnomon.data.hub import files_hash
from gnomon.data.worlds.fingerprint import in_identity
from gnomon.models.base import Ability
from gnomon.models.load import checkpoint_folder, content_hash, load
from gnomon.store.run import Run, readable
from gnomon.trial.cast import roles_of

if TYPE_CHECKING:
    from gnomon.report.base import Report
    from gnomon.store.run import Manifest

__all__ = ["DEFAULT_MODEL", "Explained", "run_explanation"]

DEFAULT_MODEL = "brook"
"Explained where no model is named."


class Explained(NamedTuple):
    """What an explanation left: its manifest and report, seconds it took now, and the model ("" for none)."""

    manifest: Manifest
    report: Report
    seconds: float
    model: str


def run_explanation(
    config: Any, name: str, model: str | None = None, *, fresh: bool = False, root: Path | None = None
) -> Explained:
    """Explains `model` by the method that `config` configures; what an earlier call finished is read.

    Args:
        config: an instance of a class registered under "explain"; its module's `explain(config, model, run)` leaves
            rows, and its `summarise(config, rows)` makes the report of them. A class whose `own_models` is true trains
            what it explains, and its module has `explain(config, run)`.
        name: its registered name.
        model: a model whose weights are here; None is `DEFAULT_MODEL`, or no model where the method needs none.
        fresh: forget an earlier run of the same call.
        root: folder of the runs; None is GNOMON_RUNS or ./runs.

    Raises:
        UsageError: the model's activations cannot be read, or the method trains its own and one is named.
    """
    began, module = monotonic(), sys.modules[type(config).__module__]
    identity = {"config": to_json(config), **_data(config)}
    if getattr(config, "own_models", False):
        if model is not None:
            raise UsageError(f"{name} trains what it explains", where="--model", todo="leave --model out")
        done = _run(module, config, name, identity, lambda run: module.explain(config, run), fresh, root)
        return Explained(*done, monotonic() - began, "")
    model = model or DEFAULT_MODEL
    loaded: Any = load(model)
    try:
        if Ability.ACTIVATIONS not in loaded.can:
            todo = "use a model whose weights are here, of the families GPT-2, GPT-NeoX, Llama, Mistral or Qwen"
            raise UsageError(f"{model} cannot be looked into", where="--model", todo=todo)
        identity = {"model": loaded.revision, **identity}
        done = _run(module, config, name, identity, lambda run: module.explain(config, loaded, run), fresh, root)
        return Explained(*done, monotonic() - began, model)
    finally:
        # A notebook's thread runs an event loop already.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, loaded.close()).result()


def _run(
    module: Any,
    config: Any,
    name: str,
    identity: dict[str, Any],
    explain: Callable[[Run], Report],
    fresh: bool,
    root: Path | None,
) -> tuple[Manifest, Report]:
    """The finished run of this identity, read, or else made by `explain`."""
    place = Run.place("explain", name, identity, root=root)
    if not fresh and place.is_dir():
        with closing(Run.find(str(place))) as run:
            if run.status == "done":
                with readable(run.folder):
                    return run.manifest, module.summarise(config, run.rows())
    with Run.open("explain", name, identity, root=root, fresh=fresh) as run:
        report = explain(run)
        run.finish("done")
        return run.manifest, report


def _data(config: Any) -> dict[str, str]:
    """What decides the numbers beside config and model: the contents of files and of further models' folders, and which
    Brook it is."""
    named = getattr(config, "data", ())
    files = [spec for spec in named if spec.partition(":")[0] != "brook"]
    further = {role: content_hash(checkpoint_folder(name)) for role, name in roles_of(config).items()}
    return {**in_identity(named), **({"data": files_hash(files)} if files else {}), **further}
