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
from typing import TYPE_CHECKING, Any, NamedTuple

from gnomon.core.errors import DataError, UsageError
from gnomon.core.record import Row
from gnomon.core.registry import registered
from gnomon.core.seeds import Seed
from gnomon.data.code_brook import open_problems
from gnomon.data.code_sets import Problem
from gnomon.data.records import divided
from gnomon.learn.texts import Encoded, encode, fitted
from gnomon.report.base import Report
from gnomon.sandbox import Judges, protect
from gnomon.train._fitting import Start, Thrifty, at_least, context_of, end_of, identity, keep, start_from
from gnomon.train._programs import Drawing, fit_to_learn, part_of, try_programs
from gnomon.train._tuned import AFTER, BEFORE, FILTER, tuned_report
from gnomon.train._until import fit_until_flat

if TYPE_CHECKING:
    from gnomon.store.run import Run

__all__ = ["Sides", "TrainCode", "identity", "preview", "sides", "solutions", "summarise", "train"]


@registered
@dataclass(frozen=True, kw_only=True)
class TrainCode(Thrifty):
    """Fine-tune a model on right programs for problems; the loss is on the programs only."""

    data: str = "brook"
    "Problems: brook, or a file in HumanEval's form or another that `gnomon grade` reads, with solutions."
    model: str = "brook"
    "Where to start: brook, hf:FOLDER or run:ID."
    problems: int = 300
    "Most problems to learn from, before those that no sample passes are left out; 0 takes all of a file."
    held_out: int = 60
    "Problems to measure on."
    samples: int = 10
    "Programs drawn a problem: to see which are fit to learn from (100 in the paper), and to measure pass@k."
    temperature: float = 1.0
    "Temperature of these draws."
    shuffled: bool = False
    "Give every problem the solution of another: a control, which teaches nothing that helps."
    epochs: int = 10
    "Most passes over the solutions; fewer where the loss on problems kept aside stops falling."
    batch: int = 16
    "Solutions a step."
    peak_rate: float = 6e-5
    "Highest learning rate: a tenth of the rate that the model learnt its programs with."
    context: int = 0
    "Longest text in tokens; prompts of longer ones lose their beginning. 0 takes the model's."
    unsafe: bool = False
    "Go on where this machine can hold too little of what programs try."
    seed: int = 0
    "Seed of the draws and the order."
    bf16: bool = False
    "Bfloat16 arithmetic, for processors that have it; not the same numbers."

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, held_out=self.held_out, samples=self.samples, epochs=self.epochs, batch=self.batch)
        at_least(10 * int(self.data == "brook"), problems=self.problems)
        at_least(0, context=self.context)
        if self.temperature < 0:
            raise UsageError(f"--temperature is {self.temperature:g}", todo="give 0 or more")


def train(cfg: TrainCode, run: Run) -> Path:
    """Trains and returns the folder of the checkpoint; the run's rows are problems with the programs drawn for them.

    Raises:
        Stopped: Ctrl-C; the same call goes on.
        DataError: the problems cannot be used, or none is fit to learn from.
        ModelError: the model cannot.
        SandboxError: this machine cannot hold the programs.
    """
    start = start_from(cfg.model, cfg.data)
    learnt, aside, measured = sides(cfg)
    how = Drawing(samples=cfg.samples, temperature=cfg.temperature, seed=cfg.seed)
    with Judges(1, protection=protect(unsafe=cfg.unsafe)) as judges:
        try_programs(FILTER, start, [*learnt, *aside], how, run, judges, again=True)
        try_programs(BEFORE, start, measured, how, run, judges)
        rows = part_of(run.rows(), FILTER)
        taught, kept = (solutions(cfg, start, fit_to_learn(rows, side)) for side in (learnt, aside))
        steps = fit_until_flat(cfg, run, start, taught, kept, label="code")
        try_programs(AFTER, start, measured, how, run, judges)
    return keep(cfg, run, start, {"steps": steps, "solutions": len(taught)})


def summarise(rows: Sequence[Row]) -> Report:
    """Before against after on problems held out, and what the filter left."""
    return tuned_report(rows)


def preview(cfg: TrainCode) -> dict[str, Any]:
    """What `train` would train on, were all problems fit; `--dry-run`."""
    start = start_from(cfg.model, cfg.data)
    learnt, aside, measured = sides(cfg)
    texts = solutions(cfg, start, learnt)
    first = texts[0]
    return {
        "model": f"{cfg.model}@{start.revision}",
        "problems": f"{len(learnt)} to learn from, {len(aside)} to stop by, {len(measured)} held out",
        "tokens": f"{sum(len(t.tokens) for t in texts)}, of solutions {sum(len(t.tokens) - t.start for t in texts)}",
        "first prompt": start.tokenizer.decode(first.tokens[: first.start].tolist(), special=True),
        "first solution": start.tokenizer.decode(first.tokens[first.start :].tolist(), special=True),
    }


class Sides(NamedTuple):
    """Problems to learn from, those whose loss says when to stop, and those to measure on."""

    learnt: list[Problem]
    aside: list[Problem]
    measured: list[Problem]


def sides(cfg: TrainCode) -> Sides:
    """The problems of each side; no problem is on two, and those without a solution are on none.

    Raises:
        DataError: the file cannot be used.
        UsageError: a side is empty.
    """
    seed = Seed(cfg.seed)
    found = open_problems(cfg.data, cfg.problems + cfg.held_out if cfg.data == "brook" else None, seed)
    usable = [problem for problem in found if problem.reference]
    if not usable:
        raise DataError("no problem has a solution", where=cfg.data, todo="give problems with canonical solutions")
    left, measured = divided([p.id for p in usable], cfg.held_out, seed, train=cfg.problems, where=cfg.data)
    tenth = max(1, len(left) // 10)
    learnt, aside = divided([usable[i].id for i in left], tenth, seed.child("aside"), where=cfg.data)
    return Sides([usable[left[i]] for i in learnt], [usable[left[i]] for i in aside], [usable[i] for i in measured])


def solutions(cfg: TrainCode, start: Start, problems: Sequence[Problem]) -> list[Encoded]:
    """The problems' prompts with their solutions as tokens, those that fit the context.

    Raises:
        DataError: there is no problem, or none fits.
    """
    if not problems:
        todo = "give easier problems, more --samples, or a better model"
        raise DataError("the model's samples pass none of the problems to learn from", where=cfg.data, todo=todo)
    answers = [problem.reference.removeprefix(problem.opening) for problem in problems]
    if cfg.shuffled:
        answers = [*answers[1:], *answers[:1]]
    end, _ = end_of(start.tokenizer, context=False)
    texts = encode(start.tokenizer, list(zip([p.prompt for p in problems], answers, strict=True)), end=end)
    groups = fitted([(text,) for text in texts], context_of(start.net, cfg.context), tokenizer=start.tokenizer).groups
    return [text for (text,) in groups]
