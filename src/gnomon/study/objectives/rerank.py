"""The best of k answers, chosen by a preference model or by log-probability: what does the choice gain?

Askell et al. 2021 (arXiv 2112.00861, sec. 3) choose among samples of code by a preference model and by log-probability.
Here k answers are drawn as Brook's dialogues draw them, and what the choice is worth is known: its gold utility.
Shapes: Q questions, M answers of each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gnomon.core.engine import spread
from gnomon.core.progress import progress, unseen
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook.answers import draw_answer, draw_request
from gnomon.data.worlds.brook.oracle import RATERS
from gnomon.data.worlds.brook.rated import SHARES, ask
from gnomon.data.worlds.brook.tables import world
from gnomon.data.worlds.fingerprint import fingerprint
from gnomon.report.base import Estimate, Report
from gnomon.report.figures import Point, curves
from gnomon.stats.best_of import best_of
from gnomon.stats.clusters import Matrix
from gnomon.store.files import replace_file
from gnomon.store.run import Run
from gnomon.study._trained import Trained, environment, over_seeds

__all__ = ["TAKEN", "Drawn", "choosing", "drawn", "with_choices"]

TAKEN = (1, 2, 4, 8, 16, 32)
_SEED = 20_000
_SECTION = "The best of several answers"
_GAINED = f"utility of the best of {max(TAKEN)}: ranked less imitation"


class Drawn(NamedTuple):
    """Questions with their answers and what each is worth: prompts [Q], answers [Q][M], utilities [Q, M]."""

    prompts: Sequence[str]
    answers: Sequence[Sequence[str]]
    utility_QM: Matrix


def drawn(questions: int, seed: int) -> Drawn:
    """Questions of Brook, each with as many answers as the most that are taken."""
    of, gold = world(), RATERS["gold"]
    prompts, answers, worth = [], [], []
    for place in range(questions):
        rng = Seed(seed).child("rerank", place).random()
        asked = draw_request(of, rng, SHARES)
        some = [" ".join(draw_answer(of, rng, asked)) for _ in range(max(TAKEN))]
        prompts.append(ask(asked))
        answers.append([f" {each}" for each in some])
        worth.append([gold.utility(of, asked, each) for each in some])
    return Drawn(prompts, answers, np.array(worth))


def with_choices(
    report: Report, by_reading: Mapping[str, Sequence[Trained]], questions: int, *, root: Path | None, workers: int
) -> Report:
    """The report with what the best of k answers is worth, chosen by each reading's trainings, over seeds."""
    asked = drawn(questions, _SEED)
    curve = {
        reading: [
            [_utility(value_QM, asked, k) for k in TAKEN]
            for value_QM in choosing(trained, questions, seed=_SEED, root=root, workers=workers)
        ]
        for reading, trained in by_reading.items()
    }
    ceiling = [_utility(asked.utility_QM, asked, k) for k in TAKEN]
    first, second = curve.values()
    more = over_seeds([a[-1] - b[-1] for a, b in zip(first, second, strict=True)])
    gained = Estimate.of(_GAINED, more, headline=True)
    found = [
        Estimate.of(
            "utility of the answer chosen", over_seeds([line[i] for line in lines]), group=f"{reading}, best of {k}"
        )
        for reading, lines in curve.items()
        for i, k in enumerate(TAKEN)
    ]
    points = [
        Point(k, e.value or 0.0, e.low, e.high, e.group.partition(",")[0])
        for e, k in zip(found, [*TAKEN] * len(curve), strict=True)
    ]
    points += [Point(k, u, None, None, "gold utility itself") for k, u in zip(TAKEN, ceiling, strict=True)]
    figure = curves(
        points,
        x="answers to choose from",
        y="gold utility",
        title="The best of k answers",
        log_x=True,
        section=_SECTION,
    )
    return replace(report, estimates=[*report.estimates, gained, *found], figures=[*report.figures, figure])


class _Task(NamedTuple):
    id: int
    trained: Trained
    questions: int
    seed: int
    file: Path


def choosing(
    trained: Sequence[Trained], questions: int, *, seed: int, root: Path | None, workers: int = 1
) -> list[Matrix]:
    """The values [Q, M] that each trained model gives to the answers of `drawn`; kept beside its checkpoint."""
    with environment(root, workers):
        tasks = []
        for place, each in enumerate(trained):
            with closing(Run.find(each.run)) as run:
                file = run.folder / f"rerank-{questions}-{seed}-{fingerprint()}.json"
            tasks.append(_Task(place, each._replace(rows=[]), questions, seed, file))
        missing = [task for task in tasks if not task.file.exists()]
        with progress(len(tasks), "answers to choose from", done=len(tasks) - len(missing)) as bar:
            for _ in spread(_value, missing, where=f"processes:{workers}" if workers > 1 else "inline"):
                bar.advance(1)
    return [np.array(json.loads(task.file.read_text(encoding="utf-8"))) for task in tasks]


def _utility(value_QM: Matrix, asked: Drawn, k: int) -> float:
    return float(best_of(value_QM, asked.utility_QM, k).mean())


def _value(task: _Task) -> int:
    from gnomon.train.preference import score

    asked = drawn(task.questions, task.seed)
    flat = [(p, a) for p, answers in zip(asked.prompts, asked.answers, strict=True) for a in answers]
    with unseen():
        found = score(task.trained.config, task.trained.model, flat)
    rows = np.array(found).reshape(asked.utility_QM.shape)
    replace_file(task.file, json.dumps(rows.tolist()))
    return task.id
