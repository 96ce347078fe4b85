"""`gnomon train NAME`: trains a model by a named method; the run's checkpoint is itself a model, `run:ID`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from gnomon.cli.assay import changed, keep
from gnomon.cli.flags import Fresh, Json, Out, Page, Settings, Toml, configs, with_fields
from gnomon.cli.output import command_line, emit, origin_of, say
from gnomon.core.errors import UsageError
from gnomon.core.registry import method
from gnomon.report.base import Report
from gnomon.train._running import run_training

if TYPE_CHECKING:
    from gnomon.report.provenance import Provenance

__all__ = ["EXAMPLES", "train_command"]

EXAMPLES = """Examples:
  gnomon train pretrain --help           the settings of one method
  gnomon train pretrain --dry-run        what it would train on
  gnomon train pretrain --model-size s   a small model of the embedded world
  gnomon train sft                       make the model that ships answer as an assistant
  gnomon train code                      learn right programs for problems it can just solve
  gnomon train docstring                 learn to say what a function does
  gnomon train distill                   make a prompt of good dialogues part of it
  gnomon train preference                learn which of two answers is preferred
  gnomon train rlhf --reward run:ID      make answers likelier that such a model values

What comes out:
  stdout  the last losses and readouts, and the new model's name
  runs/train-NAME-ID/checkpoint   in Hugging Face layout; or `--model run:ID`
"""


def train_command(chosen: Sequence[str]) -> Callable[..., int]:
    """The command as a function whose flags include those of the method in `chosen`."""
    kinds = {name: method("train", name) for name in chosen}

    def train(
        *name: Annotated[str, Parameter(help="The method, first on the line; `gnomon list` names them.")],
        config: Toml = None,
        dry_run: Annotated[
            bool, Parameter(help="Show what it would train on; train nothing.", negative="", show_default=False)
        ] = False,
        fresh: Fresh = False,
        json: Json = None,
        page: Page = None,
        out: Out = None,
        **given: Any,
    ) -> int:
        """Train a model; what comes out is a checkpoint that every other command takes."""
        if len(kinds) != 1:
            found = f"{len(kinds)} methods are named" if kinds else "no method is named"
            raise UsageError(found, todo="put one first; `gnomon list` names them")
        ((each, made),) = configs(kinds, Settings.of(given, config), ()).items()
        if dry_run:
            return _preview(each, made)
        report, origin = _trained(made, each, fresh=fresh, root=out)
        emit([(report, origin)], json=json, page=page)
        return report.exit_code

    return with_fields(train, kinds)


def _trained(config: Any, name: str, *, fresh: bool, root: Path | None) -> tuple[Report, Provenance]:
    done = run_training(config, name, fresh=fresh, root=root)
    again = command_line("train", name, changed(config))
    origin = origin_of(done.manifest, {}, {"wall_seconds": round(done.seconds, 3)}, again, done.model)
    keep(done.manifest.folder, done.report, origin)
    say(f"model: {done.model}")
    return done.report, origin


def _preview(name: str, config: Any) -> int:
    preview = getattr(sys.modules[type(config).__module__], "preview", None)
    if preview is None:
        raise UsageError(f"train {name} cannot show a dry run", todo="leave --dry-run out")
    told = preview(config)
    print("\n".join(f"{k}: {v}" for k, v in told.items()) if isinstance(told, Mapping) else told)
    return 0
