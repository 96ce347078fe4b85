"""Several answers of each model to the same questions, and what preference models and raters make of them.

A set of answers is a run of its own, `study-answers-ID`, a row for each question, so that it is drawn and valued once.
Shapes: Q questions, M answers of each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from gnomon.core.config import to_json
from gnomon.core.engine import spread
from gnomon.core.errors import UsageError
from gnomon.core.progress import progress, unseen
from gnomon.core.record import Row
from gnomon.core.seeds import Seed
from gnomon.data.worlds.fingerprint import in_identity
from gnomon.models.base import Completion, Sampling
from gnomon.models.load import checkpoint_folder, content_hash, load
from gnomon.stats.clusters import Matrix
from gnomon.store.run import Run
from gnomon.study._trained import environment
from gnomon.train._questions import Question, Questions, open_reward

__all__ = ["Answers", "Ask", "Said", "answer_all", "asked", "draw", "in_order", "revisions", "valued"]

T = TypeVar("T")
R = TypeVar("R")

Said = tuple[str, bool]
"""An answer's text, and whether it ended by itself."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What a model is to answer, and who is to value it.

    Attributes:
        model: its name; its weights are on this machine.
        values: what gives answers values, as `--reward` of `train rlhf` names it.
        data: prompts, as `--data` of `train rlhf` names them.
        n: questions, of those that a training with the same data and seed holds out.
        held_out: how many it holds out; 0 is `n`.
        each: answers to each question.
        max_tokens: longest answer.
        seed: of questions and answers.
    """

    model: str
    values: tuple[str, ...]
    data: str = "brook"
    n: int = 100
    held_out: int = 0
    each: int = 1
    max_tokens: int = 40
    seed: int = 0


class Answers(NamedTuple):
    """Answers to Q questions, M of each, with their values.

    Attributes:
        groups, clusters: of each question [Q].
        texts: [Q][M].
        value: [Q, M] by the name of what gave them.
    """

    groups: Sequence[str]
    clusters: Sequence[str]
    texts: Sequence[Sequence[str]]
    value: Mapping[str, Matrix]


def answer_all(asks: Sequence[Ask], *, root: Path | None, workers: int = 1) -> list[Answers]:
    """What each of `asks` wants, drawn and valued or found again; `root` and `workers` are as in `train_all`."""
    return [_read(run, root) for run in in_order(_answered, asks, "answers", root=root, workers=workers)]


def asked(ask: Ask) -> list[Question]:
    """The questions of `ask`."""
    return Questions(ask.data, ask.held_out or ask.n, Seed(ask.seed)).held_out[: ask.n]


def draw(model: str, questions: Sequence[Question], each: int, *, max_tokens: int, seed: Seed) -> list[list[Said]]:
    """`each` answers to every question at temperature 1; a function of the seed and the model's weights."""
    speaker = load(model)

    async def all_of() -> list[list[Completion]]:
        calls = (
            speaker.sample(q.prompt, Sampling(max_tokens=max_tokens, seed=seed.child(place).value), each)
            for place, q in enumerate(questions)
        )
        try:
            return list(await asyncio.gather(*calls))
        finally:
            await speaker.close()

    return [[(a.text, a.finish == "stop") for a in of] for of in asyncio.run(all_of())]


def valued(name: str, questions: Sequence[Question], said: Sequence[Sequence[Said]]) -> Matrix:
    """What the reward called `name` makes of the answers [Q, M]; equal answers to a question are looked at once."""
    keys = [[(place, *each) for each in of] for place, of in enumerate(said)]
    different = list(dict.fromkeys(key for of in keys for key in of))
    of_each = [questions[place] for place, _, _ in different]
    found = open_reward(name)(of_each, [(text, ended) for _, text, ended in different])
    value = dict(zip(different, found, strict=True))
    return np.array([[value[key] for key in of] for of in keys])


def revisions(names: Sequence[str]) -> dict[str, str]:
    """The hash of the weights of each model among `names`; Brook's raters have none.

    Raises:
        UsageError: a model's weights are not on this machine.
    """
    models = [name for name in names if name and not name.startswith("brook:")]
    return {name: content_hash(checkpoint_folder(name.partition("#")[0])) for name in models}


def in_order(fn: Callable[[T], R], items: Sequence[T], label: str, *, root: Path | None, workers: int) -> list[R]:
    """`fn` of each of `items`, with a progress line; `run:ID` is looked for in `root`.

    Args:
        fn: a module's function.
        workers: processes; with more than one, torch has one thread in each.
    """
    found: dict[int, R] = {}
    with environment(root, workers), progress(len(items), label) as bar:
        where = f"processes:{workers}" if workers > 1 else "inline"
        for place, result in spread(_Numbered(fn), list(enumerate(items)), where=where):
            found[place] = result
            bar.advance(1)
    return [found[place] for place in range(len(items))]


@dataclass(frozen=True)
class _Numbered(Generic[T, R]):
    """A function whose results say which item they belong to, for they come in any order."""

    fn: Callable[[T], R]

    def __call__(self, item: tuple[int, T]) -> tuple[int, R]:
        place, thing = item
        with unseen():
            return place, self.fn(thing)


def _answered(ask: Ask) -> str:
    """The id of the run that holds what `ask` wants."""
    if ask.n < 1 or ask.each < 1:
        raise UsageError(f"{ask.each} answers to {ask.n} questions", todo="ask for 1 or more")
    decided = {"ask": to_json(ask), "revisions": revisions([ask.model, *ask.values])}
    identity = {**decided, **in_identity([ask.data, *ask.values])}
    with Run.open("study", "answers", identity) as run:
        if len(run.keys()) < ask.n:
            run.add(_rows(ask))
        return run.id


def _rows(ask: Ask) -> list[Row]:
    questions = asked(ask)
    seed = Seed(ask.seed).child("study answers")
    said = draw(ask.model, questions, ask.each, max_tokens=ask.max_tokens, seed=seed)
    value = {name: valued(name, questions, said) for name in ask.values}
    found = []
    for place, (question, of) in enumerate(zip(questions, said, strict=True)):
        evidence: dict[str, Any] = {
            "group": question.group,
            "answers": [text for text, _ in of],
            "ended": [ended for _, ended in of],
            "value": {name: value_QM[place].tolist() for name, value_QM in value.items()},
        }
        found.append(Row(key=f"{place:05d}", cluster=question.cluster, evidence=evidence))
    return found


def _read(run: str, root: Path | None) -> Answers:
    with closing(Run.find(run, root=root)) as found:
        rows = found.rows()
    evidence = [row.evidence for row in rows]
    return Answers(
        groups=[e["group"] for e in evidence],
        clusters=[row.cluster for row in rows],
        texts=[e["answers"] for e in evidence],
        value={name: np.array([e["value"][name] for e in evidence]) for name in evidence[0]["value"]},
    )
