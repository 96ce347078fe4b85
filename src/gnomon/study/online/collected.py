"""Comparisons of what served models say, made by a rater: a planted one, or a preference model in a person's place.

A collection is a run of its own, `study-collected-ID`, with two files of rows that `train preference --data` reads:
`run:ID/comparisons.jsonl` to learn and `run:ID/test.jsonl` to measure on.
Bai et al. 2022a (arXiv 2204.05862), sec. 2.3: answers of one model, the best of several by a preference model, or those
of policies of different ages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gnomon.core.config import plain, to_json
from gnomon.core.errors import RunError
from gnomon.core.seeds import Seed
from gnomon.data.worlds.fingerprint import in_identity
from gnomon.store.files import replace_file
from gnomon.store.run import Run
from gnomon.study._answers import Said, draw, in_order, revisions, valued
from gnomon.study._players import by_rater
from gnomon.train._questions import Question, Questions

__all__ = ["Collect", "Collected", "collect_all"]

_LEARNT, _TEST = "comparisons.jsonl", "test.jsonl"
_SPARE, _BLOCKS = 1.25, 8
# Far from the rounds of a training, so that raters ask other questions than those that it asks.
_FIRST = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Collect:
    """What is served, and who compares.

    Attributes:
        models: those served; each of the two answers is of one drawn among them.
        rater: as `--reward` of `train rlhf` names it; it chooses by Bradley and Terry.
        n, test: comparisons to learn, and others to measure on.
        data: what raters ask, as `--data` of `train rlhf`.
        held_out: questions that are left to measure policies on.
        best_of: answers drawn for each that is shown.
        by: the preference model whose favourite of them is shown; none where `best_of` is 1.
        number: of the collection, so that each of a study has its own questions.
        max_tokens: longest answer.
        seed: of questions, answers and choices.
    """

    models: tuple[str, ...]
    rater: str
    n: int
    test: int
    data: str = "brook"
    held_out: int = 100
    best_of: int = 1
    by: str = ""
    number: int = 0
    max_tokens: int = 40
    seed: int = 0


class Collected(NamedTuple):
    """The two sources of comparisons that a collection left: to learn, and to measure on."""

    learnt: str
    test: str


def collect_all(wanted: Sequence[Collect], *, root: Path | None, workers: int = 1) -> list[Collected]:
    """Each collection, made or found again; `root` and `workers` are as in `train_all`.

    Raises:
        RunError: models say the same so often that there is not enough to compare.
    """
    runs = in_order(_collected, wanted, "collections", root=root, workers=workers)
    return [Collected(f"run:{run}/{_LEARNT}", f"run:{run}/{_TEST}") for run in runs]


def _collected(wanted: Collect) -> str:
    decided = {"collect": to_json(wanted), "revisions": revisions([*wanted.models, wanted.rater, wanted.by])}
    identity = {**decided, **in_identity([wanted.data, wanted.rater, wanted.by])}
    with Run.open("study", "collected", identity) as run:
        if not (run.folder / _TEST).exists():
            found = _compared(wanted)
            replace_file(run.folder / _LEARNT, _lines(found[: wanted.n]))
            # The last to be written says that both are there.
            replace_file(run.folder / _TEST, _lines(found[wanted.n :]))
        return run.id


def _compared(wanted: Collect) -> list[dict[str, Any]]:
    """As many comparisons as are wanted: what says nothing, or the same twice, is no comparison."""
    total, found = wanted.n + wanted.test, []
    for block in range(_BLOCKS):
        found += list(_of_block(wanted, block, round(_SPARE * total)))
        if len(found) >= total:
            return found[:total]
    what = f"{_BLOCKS * round(_SPARE * total)} questions gave {len(found)} pairs of different answers"
    raise RunError(what, where=", ".join(wanted.models), todo="serve policies that were trained for fewer rounds")


def _of_block(wanted: Collect, block: int, n: int) -> Iterator[dict[str, Any]]:
    step = _FIRST + wanted.number * _BLOCKS + block
    questions = Questions(wanted.data, wanted.held_out, Seed(wanted.seed)).batch(step, n)
    seed = Seed(wanted.seed).child("collected", wanted.number, block)
    served = [_served(wanted, model, questions, seed.child("answers", i)) for i, model in enumerate(wanted.models)]
    draws = [seed.child("pair", place).random() for place in range(n)]
    sides = [[rng.choice(served)[place][side] for side in (0, 1)] for place, rng in enumerate(draws)]
    utility_Q2 = valued(wanted.rater, questions, sides)
    chance = by_rater(wanted.rater)
    for question, two, utility_2, rng in zip(questions, sides, utility_Q2, draws, strict=True):
        texts = [text for text, _ in two]
        p = float(chance(utility_2[:1], utility_2[1:])[0])
        first = rng.random() < p
        if all(text.strip() for text in texts) and texts[0].split() != texts[1].split():
            yield _row(question, texts if first else texts[::-1], p if first else 1 - p)


def _served(wanted: Collect, model: str, questions: Sequence[Question], seed: Seed) -> list[list[Said]]:
    """Two answers of a model to each question, each the best of as many as are wanted."""
    k = wanted.best_of
    said = draw(model, questions, 2 * k, max_tokens=wanted.max_tokens, seed=seed)
    if k == 1:
        return said
    value_QM = valued(wanted.by, questions, said)
    return [
        [of[max(range(first, first + k), key=value_M.__getitem__)] for first in (0, k)]
        for of, value_M in zip(said, value_QM, strict=True)
    ]


def _row(question: Question, texts: Sequence[str], p: float) -> dict[str, Any]:
    """A comparison as a row of `data.layouts`."""
    prompt = question.prompt if isinstance(question.prompt, str) else [plain(m._asdict()) for m in question.prompt]
    found = {"prompt": prompt, "chosen": texts[0], "rejected": texts[1], "p": p}
    return {**found, "group": question.group} if question.group else found


def _lines(rows: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
