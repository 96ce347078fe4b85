"""Supervised fine-tuning on stand-alone functions: a model learns right solutions of problems that it can just write.

    gnomon train code                                    the embedded world's programs, from the model that ships
    gnomon train code --model hf:FOLDER --data FILE      problems in HumanEval's form, such as `gnomon trace` writes
    gnomon train code --dry-run                          what it would train on, and nothing else

Problems that no sample of the model passes, or whose verdicts are unstable, are left out; the loss is on solutions
alone; training ends when the loss on problems kept aside stops falling; what is reported is the model before against
the model after, on the same held-out problems. Chen et al. 2021, "Evaluating Large Language Models Trained on Code",
arXiv 2107.03374, sec. 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnomon.core.record import Row
from gnomon.core.registry import registered
from gnomon.data.code_sets import Problem
from gnomon.report.base import Report
from gnomon.sandbox import Judges, protect
from gnomon.train._fitting import identity, keep, start_from
from gnomon.train._problems import OnProblems, sides, texts_of, told
from gnomon.train._programs import Drawing, filtered, try_programs
from gnomon.train._tuned import AFTER, BEFORE, tuned_report
from gnomon.train._until import fit_until_flat

if TYPE_CHECKING:
    from gnomon.store.run import Run

__all__ = ["TrainCode", "identity", "preview", "solutions", "summarise", "train"]


@registered
@dataclass(frozen=True, kw_only=True)
class TrainCode(OnProblems):
    """Fine-tune a model on right programs for problems; the loss is on the programs only."""

    samples: int = 10
    "Programs drawn a problem: to see which are fit to learn from (100 in the paper), and to measure pass@k."
    shuffled: bool = False
    "Give every problem the solution of another: a control, which teaches nothing that helps."


def train(cfg: TrainCode, run: Run) -> Path:
    """Trains and returns the folder of the checkpoint; the run's rows are problems with the programs drawn for them.

    Raises:
        Stopped: Ctrl-C; the same call goes on.
        DataError: the problems cannot be used, or none is fit to learn from.
        ModelError: the model cannot.
        SandboxError: this machine cannot hold the programs.
    """
    start = start_from(cfg.model, cfg.data)
    parts = sides(cfg)
    how = Drawing(samples=cfg.samples, temperature=cfg.temperature, seed=cfg.seed)
    with Judges(1, protection=protect(unsafe=cfg.unsafe)) as judges:
        fit = filtered(start, (parts.learnt, parts.aside), how, run, judges)
        try_programs(BEFORE, start, parts.measured, how, run, judges)
        taught, aside = (texts_of(cfg, start, solutions(cfg, problems)) for problems in fit)
        steps = fit_until_flat(cfg, run, start, taught, aside, label="code")
        try_programs(AFTER, start, parts.measured, how, run, judges)
    return keep(cfg, run, start, {"steps": steps, "solutions": len(taught)})


def summarise(rows: Sequence[Row]) -> Report:
    """Before against after on problems held out, and what the filter left."""
    return tuned_report(rows)


def preview(cfg: TrainCode) -> dict[str, Any]:
    """What `train` would train on, were all problems fit; `--dry-run`."""
    start, parts = start_from(cfg.model, cfg.data), sides(cfg)
    return told(cfg, start, parts, texts_of(cfg, start, solutions(cfg, parts.learnt)))


def solutions(cfg: TrainCode, problems: Sequence[Problem]) -> list[tuple[str, str]]:
    """Each problem's prompt, and its solution; with `shuffled` that of the next problem."""
    answers = [problem.reference.removeprefix(problem.opening) for problem in problems]
    if cfg.shuffled:
        answers = [*answers[1:], *answers[:1]]
    return list(zip([problem.prompt for problem in problems], answers, strict=True))
