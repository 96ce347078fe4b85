"""`gnomon study NAME`: trainings that differ in one thing; `gnomon study NAME EVALUATION`: one evaluation of many."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from gnomon.cli.assay import assay_once, changed, keep
from gnomon.cli.flags import Json, MaxErrors, Out, Page, Seed, Settings, Toml, Workers, configs, with_fields
from gnomon.cli.output import command_line, emit, origin_of
from gnomon.core.errors import UsageError
from gnomon.core.registry import method

if TYPE_CHECKING:
    from gnomon.trial.runner import Finished

__all__ = ["EXAMPLES", "study_command"]

EXAMPLES = """Examples:
  gnomon study objectives --help
  gnomon study assistant
  gnomon study objectives --seeds 3 --workers 2
  gnomon study sizes self-knowledge --model run:7f3a,brook --only calibration
  gnomon study judges self-knowledge --model run:7f3a,brook --n 100

What comes out:
  stdout             the verdict, and every number of every model
  runs/study-NAME-ID the runs it was read from (run.db), report.html, report.json;
                     studies of trainings leave their tables as CSV too
  runs/train-..., runs/assay-...
                     a run for each model; those that exist are used again
The same command again goes on where it stopped.
"""

_OWN = ("seed", "workers", "max_errors")


def study_command(chosen: Sequence[str]) -> Callable[..., int]:
    """The command as a function whose flags are those of the study named first and of the evaluation after it."""
    kinds = {name: method("assay" if i else "study", name) for i, name in enumerate(chosen)}
    if chosen and not _asks(kinds[chosen[0]]):
        if len(chosen) > 1:
            raise UsageError(f"{chosen[0]} trains models and asks no {chosen[1]}", todo=f"leave {chosen[1]} out")
        return _of_trainings(chosen[0], kinds)
    return _of_evaluations(chosen, kinds)


def _asks(kind: type) -> bool:
    """Whether the study of this config class asks an evaluation; else it trains."""
    return "ask" in signature(sys.modules[kind.__module__].study).parameters  # type: ignore[attr-defined]  # a study's


def _of_trainings(chosen: str, kinds: Mapping[str, type]) -> Callable[..., int]:
    def study(
        *name: Annotated[str, Parameter(help="The study; `gnomon list` names them.")],
        workers: Annotated[
            int | None, Parameter(help="Trainings at a time, a process each; the rows are the same. [default: 1]")
        ] = None,
        config: Toml = None,
        json: Json = None,
        page: Page = None,
        out: Out = None,
        **given: Any,
    ) -> int:
        """Train or ask models that differ in one thing, and read the runs together."""
        settings = Settings.of({"workers": workers, **given}, config)
        return _trained(chosen, kinds, settings, json=json, page=page, out=out)

    return with_fields(study, kinds)


def _trained(
    name: str, kinds: Mapping[str, type], settings: Settings, *, json: str | None, page: str | None, out: Path | None
) -> int:
    from gnomon.study._trained import run_trainings

    cfg = configs(kinds, settings, ("workers",))[name]
    began = monotonic()
    studied, run = run_trainings(cfg, name, workers=settings.take("workers", int, 1), root=out)
    again = command_line("study", name, changed(cfg))
    origin = origin_of(run.manifest, {}, {"wall_seconds": round(monotonic() - began, 3)}, again)
    keep(run.folder, studied.report, origin)
    emit([(studied.report, origin)], json=json, page=page)
    return studied.report.exit_code


def _of_evaluations(chosen: Sequence[str], kinds: Mapping[str, type]) -> Callable[..., int]:
    def study(
        *name: Annotated[str, Parameter(help="A study and an evaluation; `gnomon list` names them.")],
        seed: Seed = None,
        workers: Workers = None,
        max_errors: MaxErrors = None,
        config: Toml = None,
        fresh: Annotated[
            bool, Parameter(help="Ask again what earlier runs asked.", negative="", show_default=False)
        ] = False,
        json: Json = None,
        page: Page = None,
        out: Out = None,
        **given: Any,
    ) -> int:
        """Train or ask models that differ in one thing, and read the runs together."""
        if not chosen:
            raise UsageError("no study is named", todo="put one first; `gnomon list` names them")
        if len(chosen) != 2:
            raise UsageError(f"{chosen[0]} asks one evaluation, and {len(chosen) - 1} are named", todo=_TODO)
        settings = Settings.of({"seed": seed, "workers": workers, "max_errors": max_errors, **given}, config)
        return _studied(chosen, kinds, settings, fresh=fresh, json=json, page=page, out=out)

    return with_fields(study, kinds)


_TODO = "write gnomon study sizes self-knowledge --model A,B"


def _studied(
    chosen: Sequence[str],
    kinds: Mapping[str, type],
    settings: Settings,
    *,
    fresh: bool,
    json: str | None,
    page: str | None,
    out: Path | None,
) -> int:
    from gnomon.study._family import run_study

    name, evaluation = chosen
    made = configs(kinds, settings, _OWN)
    own = {key: settings.take(key, kind, value) for key, kind, value in _DEFAULTS}

    def ask(config: Any, model: str) -> Finished:
        return assay_once(config, evaluation, Settings.of({"model": model, **own}, None), fresh=fresh, root=out)[0]

    studied, run = run_study(made[name], name, made[evaluation], evaluation, ask, seed=own["seed"], root=out)
    words = {**changed(made[name]), **changed(made[evaluation]), "seed": own["seed"]}
    again = command_line("study", f"{name} {evaluation}", words)
    cast = {r.name: r.run for r in studied.runs}
    origin = origin_of(run.manifest, cast, {}, again, ", ".join(made[name].model))
    keep(run.folder, studied.report, origin)
    emit([(studied.report, origin)], json=json, page=page)
    return studied.report.exit_code


_DEFAULTS: tuple[tuple[str, type, Any], ...] = (("seed", int, 0), ("workers", int, 1), ("max_errors", float, 0.01))
