"""`gnomon validate NAME`: holds an evaluation against models whose truth is known by construction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from gnomon.cli.flags import Json, Seed, Settings, Toml, configs, with_fields
from gnomon.cli.output import command_line, emit
from gnomon.core.errors import UsageError
from gnomon.core.registry import method

__all__ = ["EXAMPLES", "validate_command"]

EXAMPLES = """Examples:
  gnomon validate self-knowledge
  gnomon validate self-knowledge --settings null --replications 50

What comes out:
  stdout       setting by setting: truth, mean estimate, bias, coverage
  exit code 1  a truth is not recovered
"""

_OWN = ("seed", "workers", "replications", "settings")


def validate_command(chosen: Sequence[str]) -> Callable[..., int]:
    """The command as a function whose flags include those of the evaluation in `chosen`."""
    kinds = {name: method("assay", name) for name in chosen}

    def validate(
        *name: Annotated[str, Parameter(help="The evaluation, first on the line; `gnomon list` names them.")],
        replications: Annotated[
            int | None, Parameter(help="Runs of each setting on fresh items. [default: 200]")
        ] = None,
        settings: Annotated[
            str | None, Parameter(help="Names of planted settings, with commas; all by default.")
        ] = None,
        seed: Seed = None,
        workers: Annotated[int | None, Parameter(help="Processes. [default: 1]")] = None,
        config: Toml = None,
        json: Json = None,
        page: Annotated[str | None, Parameter(help="Write the page to this file.")] = None,
        **given: Any,
    ) -> int:
        """Measure an instrument: does it recover what was planted, and do its intervals cover?"""
        if len(kinds) != 1:
            found = f"{len(kinds)} evaluations are named" if kinds else "no evaluation is named"
            raise UsageError(found, todo="put one first; `gnomon list` names them")
        own = {"replications": replications, "settings": settings, "seed": seed, "workers": workers}
        chosen_settings = Settings.of({**own, **given}, config)
        ((each, made),) = configs(kinds, chosen_settings, _OWN).items()
        return _validated(each, made, chosen_settings, json, page)

    return with_fields(validate, kinds)


def _validated(name: str, config: Any, settings: Settings, json: str | None, page: str | None) -> int:
    from gnomon.core.progress import progress
    from gnomon.report.provenance import Provenance
    from gnomon.trial.validate import SECOND_LOOK, as_report, validate

    replications, seed = settings.take("replications", int, 200), settings.take("seed", int, 0)
    wanted = [w.strip() for w in settings.take("settings", str, "").split(",") if w.strip()]
    if replications < 2:
        raise UsageError(f"--replications is {replications}", todo="give at least 2")
    planned = [p for p in config.planted() if not wanted or p.name in wanted]
    with progress(len(planned) * replications, f"validate {name}") as bar:
        before = [0]

        def on_progress(done: int, _total: int) -> None:
            bar.advance(done - before[0])
            before[0] = done

        found = validate(
            config,
            replications=replications,
            seed=seed,
            workers=settings.take("workers", int, 1),
            settings=wanted,
            # A second look at 2,000 replications answers the question that 200 ask; fewer are a trial run.
            second_look=SECOND_LOOK if replications >= 200 else 0,
            on_progress=on_progress,
        )
    report = as_report(name, found)
    words = {"settings": wanted, "replications": replications, "seed": seed}
    command = command_line("validate", name, {k: v for k, v in words.items() if v != []})
    emit([(report, Provenance(verb="validate", name=name, seed=seed, command=command))], json=json, page=page)
    return report.exit_code
