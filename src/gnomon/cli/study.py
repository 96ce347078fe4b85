"""`gnomon study NAME EVALUATION --model A,B`: one evaluation on several models, read together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from gnomon.cli.assay import assay_once, changed, keep
from gnomon.cli.flags import Settings, configs, with_fields
from gnomon.cli.output import command_line, emit, origin_of
from gnomon.core.errors import UsageError
from gnomon.core.registry import method

if TYPE_CHECKING:
    from gnomon.trial.runner import Finished

__all__ = ["EXAMPLES", "study_command"]

EXAMPLES = """Examples:
  gnomon study sizes self-knowledge --model run:7f3a,brook --only calibration
  gnomon study judges self-knowledge --model run:7f3a,brook --n 100

What comes out:
  stdout             what changes with size, and every number of every model
  runs/study-NAME-ID the runs it was read from (run.db), report.html, report.json
  runs/assay-...     a run for each model; those that exist are used again
"""

_OWN = ("seed", "workers", "max_errors")


def study_command(chosen: Sequence[str]) -> Callable[..., int]:
    """The command as a function whose flags are those of the study named first and of the evaluation after it."""
    kinds = {name: method("assay" if i else "study", name) for i, name in enumerate(chosen)}

    def study(
        *name: Annotated[str, Parameter(help="A study and an evaluation; `gnomon list` names them.")],
        seed: Annotated[int | None, Parameter(help="Root of every random draw. [default: 0]")] = None,
        workers: Annotated[
            int | None, Parameter(help="Processes; the rows are the same for any number. [default: 1]")
        ] = None,
        max_errors: Annotated[float | None, Parameter(help="Largest share of items in error. [default: 0.01]")] = None,
        config: Annotated[str | None, Parameter(help="TOML file with these flags' names as keys.")] = None,
        fresh: Annotated[
            bool, Parameter(help="Ask again what earlier runs asked.", negative="", show_default=False)
        ] = False,
        json: Annotated[str | None, Parameter(help="Write the numbers to this file; - is stdout.")] = None,
        page: Annotated[str | None, Parameter(help="Write the page to this file too.")] = None,
        out: Annotated[Path | None, Parameter(help="Folder of runs. [default: runs]")] = None,
        **given: Any,
    ) -> int:
        """Run an evaluation on several models and read the runs together."""
        if len(chosen) != 2:
            said = " ".join(chosen) or "nothing"
            raise UsageError(f"a study takes a study's and an evaluation's name, and {said!r} is given", todo=_TODO)
        settings = Settings.of({"seed": seed, "workers": workers, "max_errors": max_errors, **given}, config)
        return _studied(chosen, kinds, settings, fresh=fresh, json=json, page=page, out=out)

    return with_fields(study, kinds)


_TODO = "write gnomon study sizes self-knowledge --model A,B"


def _studied(
    chosen: Sequence[str],
    kinds: dict[str, type],
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
