"""What a policy is asked while it learns: Brook's questions, or prompts of a file; and what an answer is worth."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from gnomon.core.errors import DataError, UsageError, closest
from gnomon.core.seeds import Seed
from gnomon.data.hub import find_file
from gnomon.data.mixtures import divided_by, shares, sources
from gnomon.data.prompts_of import prompt_of
from gnomon.data.records import Record, divided, read
from gnomon.data.worlds.brook.answers import draw_request
from gnomon.data.worlds.brook.judged import DANGERS, REQUESTS
from gnomon.data.worlds.brook.oracle import RATERS, Request, request
from gnomon.data.worlds.brook.rated import SHARES, ask
from gnomon.data.worlds.brook.tables import world
from gnomon.learn.batches import Epochs
from gnomon.models.base import Ability, Message, Model, Prompt
from gnomon.models.load import load
from gnomon.models.local import LocalModel

__all__ = ["KINDS", "Question", "Questions", "Reward", "gold", "open_reward"]


KINDS = {"brook": SHARES, "brook:requests": REQUESTS, "brook:red-team": DANGERS}
"""Questions of Brook by name, with the shares of what they are about: all, harmless requests, dangerous ones."""


class Question(NamedTuple):
    """What is asked of a policy.

    Attributes:
        prompt: what is answered.
        cluster: what it shares with others like it.
        group: what kind of question it is; "" where nobody says.
        asked: what Brook knows of it; None of a question that is not Brook's.
        source: which of several sources it is from; "" where there is one.
    """

    prompt: Prompt
    cluster: str
    group: str = ""
    asked: Request | None = None
    source: str = ""


class Questions:
    """The questions of every step, a function of the step alone, and those that are kept for measuring."""

    def __init__(self, data: str, held_out: int, seed: Seed, *, drop_bad: bool = False) -> None:
        """Questions of `data`: one of `KINDS`, a file of rows that have a prompt (`prompt_of`), or several with shares.

        Several without shares count alike. Those of a file are Brook's where they are worded as Brook's are.

        Raises:
            DataError: a file cannot be used.
            UsageError: Brook has no questions of that kind, or shares do not add up to 1.
        """
        names = sources(data)
        self._shares = shares(data) or [1 / len(names)] * len(names)
        sizes = divided_by(self._shares, held_out)
        seeds = [seed.child("questions")]
        if len(names) > 1:
            seeds = [seeds[0].child(name) for name in names]
        self._parts = [
            (_Brook if name in KINDS else _File)(name, size, of, drop_bad=drop_bad)
            for name, size, of in zip(names, sizes, seeds, strict=True)
        ]
        self.held_out = self._named([part.held_out for part in self._parts])

    def batch(self, step: int, n: int) -> list[Question]:
        """The `n` questions of step `step`; those of a file come once an epoch, in fresh order.

        Raises:
            UsageError: so few questions cannot have these shares.
        """
        # What is a whole number in all steps together need not be one in each; the largest share takes the rest.
        before, after = ([math.floor(s * n * share) for share in self._shares] for s in (step, step + 1))
        largest = self._shares.index(max(self._shares))
        for ends, at in ((before, step), (after, step + 1)):
            ends[largest] += at * n - sum(ends)
        counts = [end - begin for begin, end in zip(before, after, strict=True)]
        if min(counts) < 0:
            raise UsageError(f"{n} questions a round of {len(counts)} sources", todo="raise --answers")
        drawn = [part.drawn(step, begin, count) for part, begin, count in zip(self._parts, before, counts, strict=True)]
        return self._named(drawn)

    def _named(self, parts: Sequence[Sequence[Question]]) -> list[Question]:
        if len(parts) == 1:
            return list(parts[0])
        named = zip(self._parts, parts, strict=True)
        return [each._replace(source=part.name) for part, questions in named for each in questions]


class _Brook:
    """Questions of Brook, drawn anew for every step."""

    def __init__(self, name: str, held_out: int, seed: Seed, *, drop_bad: bool) -> None:
        self.name, self._seed, self._kinds = name, seed, KINDS[name]
        self.held_out = self._of("held out", held_out)

    def drawn(self, step: int, before: int, n: int) -> list[Question]:
        """The `n` questions of `step`."""
        return self._of(step, n)

    def _of(self, name: str | int, n: int) -> list[Question]:
        of = world()
        drawn = [draw_request(of, self._seed.child(name, i).random(), self._kinds) for i in range(n)]
        return [Question(ask(each), ask(each), each.kind, each) for each in drawn]


class _File:
    """Questions of a file, each once an epoch."""

    def __init__(self, name: str, held_out: int, seed: Seed, *, drop_bad: bool) -> None:
        if name.partition(":")[0] == "brook":
            kind = name.partition(":")[2]
            raise UsageError(f"Brook has no questions of kind {kind!r}", todo=f"write {', '.join(KINDS)}")
        self.name = name
        found = read(find_file(name), _made, drop_bad=drop_bad).things
        learnt, measured = divided([each.cluster for each in found], held_out, seed, train=0, where=name)
        self._learnt, self.held_out = [found[i] for i in learnt], [found[i] for i in measured]
        self._order = Epochs(len(self._learnt), 1, seed.child("order"))

    def drawn(self, step: int, before: int, n: int) -> list[Question]:
        """`n` questions after the first `before` ones."""
        return [self._learnt[self._order(before + i)[0]] for i in range(n)]


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
    prompt = prompt_of(record, name)
    asked = _of_brook(prompt)
    cluster = prompt if isinstance(prompt, str) else name
    yield Question(prompt, cluster, asked.kind if asked else "", asked)


def _of_brook(prompt: Prompt) -> Request | None:
    """What Brook is asked by a prompt in the very words of its own questions; None of any other."""
    if not isinstance(prompt, str) or not prompt.startswith("Chat: Human:"):
        return None
    try:
        asked = request(world(), prompt)
    except DataError:
        return None
    return asked if ask(asked) == prompt else None
