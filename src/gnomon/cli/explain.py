"""`gnomon explain NAME`: looks inside a model whose weights are here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from gnomon.cli.assay import changed, keep
from gnomon.cli.flags import Fresh, Json, Out, Page, Settings, Toml, configs, with_fields
from gnomon.cli.output import command_line, emit, origin_of
from gnomon.core.errors import UsageError
from gnomon.core.registry import method

if TYPE_CHECKING:
    from gnomon.report.base import Report
    from gnomon.report.provenance import Provenance

__all__ = ["EXAMPLES", "explain_command", "explained_once"]

EXAMPLES = """Examples:
  gnomon explain induction                      which heads find what came before, and say it again?
  gnomon explain induction --model hf:FOLDER    of a checkpoint in Hugging Face layout
  gnomon explain attention --text "…"           where does every head look, and what does it add to the next token?
  gnomon explain patching --help                what carries the difference between two texts?
  gnomon explain superposition                  how toy models pack more features than they have dimensions
  gnomon explain induction --help               its settings

What comes out:
  stdout                   the verdict, and the parts that stand out with their numbers
  runs/explain-NAME-ID     every part (run.db), report.html with all tables and figures, report.json
"""


def explain_command(chosen: Sequence[str]) -> Callable[..., int]:
    """The command as a function whose flags include those of the method in `chosen`."""
    kinds = {name: method("explain", name) for name in chosen}

    def explain(
        *name: Annotated[str, Parameter(help="What to look for, first on the line; `gnomon list` names it.")],
        model: Annotated[
            str | None, Parameter(help="Weights that are here: brook, run:ID, hf:FOLDER, hf:ORG/NAME. [default: brook]")
        ] = None,
        config: Toml = None,
        fresh: Fresh = False,
        json: Json = None,
        page: Page = None,
        out: Out = None,
        **given: Any,
    ) -> int:
        """Look inside a model: which of its parts do what, and what it loses without them."""
        if len(kinds) != 1:
            found = f"{len(kinds)} methods are named" if kinds else "no method is named"
            raise UsageError(found, todo="put one first; `gnomon list` names them")
        settings = Settings.of({"model": model, **given}, config)
        ((each, made),) = configs(kinds, settings, ("model",)).items()
        report, origin = explained_once(each, made, settings.take("model", str, None), fresh=fresh, out=out)
        emit([(report, origin)], json=json, page=page)
        return report.exit_code

    return with_fields(explain, kinds)


def explained_once(
    name: str, config: Any, model: str | None, *, fresh: bool = False, out: Path | None = None
) -> tuple[Report, Provenance]:
    """Runs one explanation, or resumes it, and keeps report and page in its folder.

    Returns:
        The report, and where it comes from.
    """
    from gnomon.explain._running import run_explanation

    done = run_explanation(config, name, model, fresh=fresh, root=out)
    again = command_line("explain", name, {"model": done.model, **changed(config)})
    origin = origin_of(done.manifest, {}, {"wall_seconds": round(done.seconds, 3)}, again, done.model)
    keep(done.manifest.folder, done.report, origin)
    return done.report, origin
