"""What a policy is asked while it learns: Brook's questions, or prompts of a file; and what an answer is worth."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from gnomon.core.errors import UsageError, closest
from gnomon.core.seeds import Seed
from gnomon.data.hub import find_file
from gnomon.data.records import BadRow, Record, divided, read, text_of, turns
from gnomon.data.worlds.brook.answers import draw_request
from gnomon.data.worlds.brook.oracle import RATERS, Request
from gnomon.data.worlds.brook.rated import SHARES, ask
from gnomon.data.worlds.brook.tables import world
from gnomon.learn.batches import Epochs
from gnomon.models.base import Ability, Message, Model, Prompt
from gnomon.models.load import load
from gnomon.models.local import LocalModel

__all__ = ["Question", "Questions", "Reward", "gold", "open_reward"]


class Question(NamedTuple):
    """A prompt, what it shares with others like it, and what Brook knows of it; None of a file's."""

    prompt: Prompt
    cluster: str
    group: str = ""
    asked: Request | None = None


class Questions:
    """The questions of every step, a function of the step alone, and those that are kept for measuring."""

    def __init__(self, data: str, held_out: int, seed: Seed, *, drop_bad: bool = False) -> None:
        """Questions of `data`: `brook`, or a file whose rows have `prompt`, or `messages` up to a human turn.

        Raises:
            DataError: the file cannot be used.
            UsageError: `data` names a part of Brook.
        """
        self._seed = seed.child("questions")
        self._file: list[Question] = []
        if data == "brook":
            self.held_out = self._drawn("held out", held_out)
            return
        if data.partition(":")[0] == "brook":
            raise UsageError(f"Brook has no questions of kind {data.partition(':')[2]!r}", todo="write brook")
        found = read(find_file(data), _made, drop_bad=drop_bad).things
        learnt, measured = divided([each.cluster for each in found], held_out, self._seed, train=0, where=data)
        self._file, self.held_out = [found[i] for i in learnt], [found[i] for i in measured]

    def batch(self, step: int, n: int) -> list[Question]:
        """The `n` questions of step `step`; those of a file come once an epoch, in fresh order."""
        if not self._file:
            return self._drawn(step, n)
        order = Epochs(len(self._file), 1, self._seed.child("order"))
        return [self._file[order(step * n + i)[0]] for i in range(n)]

    def _drawn(self, name: str | int, n: int) -> list[Question]:
        of = world()
        drawn = [draw_request(of, self._seed.child(name, i).random(), SHARES) for i in range(n)]
        return [Question(ask(each), ask(each), each.kind, each) for each in drawn]


class Reward(Protocol):
    """Gives answers their values."""

    name: str

    def __call__(self, questions: Sequence[Question], answers: Sequence[tuple[str, bool]]) -> list[float]:
        """The value of each answer to its question; answers come with whether they ended by themselves."""
        ...


def open_reward(name: str) -> Reward:
    """The reward called `name`: a model with a scalar, or `brook:RATER`, what a planted rater thinks itself.

    Raises:
        UsageError: there is no such rater.
        ModelError: there is no such model.
        AbilityError: the model has no scalar.
    """
    scheme, _, rater = name.partition(":")
    if scheme == "brook" and rater:
        if rater not in RATERS:
            raise UsageError(f"Brook has no rater {rater!r}", todo=closest(rater, RATERS))
        return _Rated(name, rater)
    model = load(name)
    if Ability.REWARD not in model.can:
        todo = "give --reward run:ID, what `gnomon train preference` left, or brook:gold"
        raise UsageError(f"{name} has no scalar to reward answers with", todo=todo)
    return _Modelled(name, model)


def gold(questions: Sequence[Question], answers: Sequence[tuple[str, bool]]) -> list[float | None]:
    """Brook's gold utility of each answer; None where the question is not Brook's."""
    of = world()
    return [
        None if q.asked is None else RATERS["gold"].utility(of, q.asked, text, ended=ended)
        for q, (text, ended) in zip(questions, answers, strict=True)
    ]


class _Rated:
    def __init__(self, name: str, rater: str) -> None:
        self.name, self._rater = name, RATERS[rater]

    def __call__(self, questions: Sequence[Question], answers: Sequence[tuple[str, bool]]) -> list[float]:
        found = []
        for question, (text, ended) in zip(questions, answers, strict=True):
            if question.asked is None:
                raise UsageError(f"{self.name} can rate answers to Brook's questions alone", todo="leave --data out")
            found.append(self._rater.utility(world(), question.asked, text, ended=ended))
        return found


class _Modelled:
    def __init__(self, name: str, model: Model) -> None:
        self.name, self._model = name, model

    def __call__(self, questions: Sequence[Question], answers: Sequence[tuple[str, bool]]) -> list[float]:
        if isinstance(self._model, LocalModel):
            # Beginnings held from earlier calls would make the last bits depend on what was asked before.
            self._model.weights_changed()
        wholes = [_whole(q.prompt, text) for q, (text, _) in zip(questions, answers, strict=True)]

        async def all_of() -> list[float]:
            return list(await asyncio.gather(*map(self._model.reward, wholes)))

        return asyncio.run(all_of())


def _whole(prompt: Prompt, answer: str) -> Prompt:
    return prompt + answer if isinstance(prompt, str) else [*prompt, Message("assistant", answer.strip())]


def _made(record: Record, name: str) -> Iterator[Question]:
    if "messages" not in record:
        prompt = text_of(record, "prompt")
        yield Question(prompt, prompt)
        return
    messages = turns(record["messages"], "messages")
    if messages[-1].role != "user":
        raise BadRow("its last message is not the user's")
    yield Question(messages, name)
