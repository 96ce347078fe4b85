"""A model that says what a function does: it learns the docstring behind signature and body.

    gnomon train docstring                               the embedded world's programs, from the model that ships
    gnomon train docstring --model hf:FOLDER --data FILE functions with docstrings, such as `gnomon trace` writes
    gnomon assay docstrings --model run:ID               are its docstrings right?
    gnomon assay code --describer run:ID                 do they help to choose among programs?

The same problems as for `train code`, filtered alike, turned round: the loss is on docstrings alone. Chen et al. 2021,
"Evaluating Large Language Models Trained on Code", arXiv 2107.03374, sec. 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnomon.core.record import Row
from gnomon.core.registry import registered
from gnomon.data.code_docstrings import described
from gnomon.data.code_sets import Problem
from gnomon.report.base import Report
from gnomon.sandbox import Judges, protect
from gnomon.train import sft
from gnomon.train._fitting import identity, keep, start_from
from gnomon.train._problems import OnProblems, sides, texts_of, told
from gnomon.train._programs import Drawing, filter_estimates, filtered
from gnomon.train._until import fit_until_flat

if TYPE_CHECKING:
    from gnomon.store.run import Run

__all__ = ["TrainDocstring", "docstrings", "identity", "preview", "summarise", "train"]

_HELD_OUT = "docstring"


@registered
@dataclass(frozen=True, kw_only=True)
class TrainDocstring(OnProblems):
    """Teach a model to say what a function does; the loss is on the docstrings only."""

    problems: int = 600
    "Most problems to learn from, before those that no sample passes are left out; 0 takes all of a file."
    peak_rate: float = 3e-4
    "Highest learning rate: the order of the text is new to the model, so it is that of other fine-tuning."


def train(cfg: TrainDocstring, run: Run) -> Path:
    """Trains and returns the folder of the checkpoint; the run's rows are held-out docstrings with their losses.

    Raises:
        Stopped: Ctrl-C; the same call goes on.
        DataError: the problems cannot be used, have no docstrings, or none is fit to learn from.
        ModelError: the model cannot.
        SandboxError: this machine cannot hold the programs.
    """
    start = start_from(cfg.model, cfg.data)
    parts = sides(cfg)
    how = Drawing(samples=cfg.samples, temperature=cfg.temperature, seed=cfg.seed)
    with Judges(1, protection=protect(unsafe=cfg.unsafe)) as judges:
        fit = filtered(start, (parts.learnt, parts.aside), how, run, judges)
    taught, aside = (texts_of(cfg, start, docstrings(problems)) for problems in fit)
    held = texts_of(cfg, start, docstrings(parts.measured))
    before = sft.mean_losses(start.net, held, batch=cfg.batch)
    steps = fit_until_flat(cfg, run, start, taught, aside, label="docstring")
    after = sft.mean_losses(start.net, held, batch=cfg.batch)
    run.add(
        Row(key=f"{_HELD_OUT} {place}", cluster=str(place), evidence={"part": _HELD_OUT, "before": b, "after": a})
        for place, (b, a) in enumerate(zip(before, after, strict=True))
    )
    return keep(cfg, run, start, {"steps": steps, "docstrings": len(taught)})


def summarise(rows: Sequence[Row]) -> Report:
    """The loss of held-out docstrings before and after, and what the filter left."""
    losses = [row for row in rows if row.evidence["part"] == _HELD_OUT]
    report = sft.summarise(losses)
    return replace(report, title="docstrings held out", estimates=[*report.estimates, *filter_estimates(rows)])


def preview(cfg: TrainDocstring) -> dict[str, Any]:
    """What `train` would train on, were all problems fit; `--dry-run`."""
    start, parts = start_from(cfg.model, cfg.data), sides(cfg)
    return told(cfg, start, parts, texts_of(cfg, start, docstrings(parts.learnt)))


def docstrings(problems: Sequence[Problem]) -> list[tuple[str, str]]:
    """Each problem's signature and body, and its docstring, up to the quotes that end it."""
    found = [described(problem, problem.reference) for problem in problems]
    return [(each.prompt, each.docstring + each.end) for each in found]
