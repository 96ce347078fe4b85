"""The worker behind a local model: takes calls as texts, answers them from one network.

Runs in the worker thread of `gnomon.models.batcher`. Each distinct text is tokenised once a batch; what is to be scored
goes through the prefix tree, what is to be sampled into the decoder. Scoring goes before the next decoding step,
since a trial often waits for it in order to go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np

from gnomon.core.errors import DataError, GnomonError, ModelError
from gnomon.models.base import Sampling, Score
from gnomon.models.batcher import Call
from gnomon.models.decode import Decoder
from gnomon.models.prefix import Tokens
from gnomon.models.scoring import Answer, Query, Scorer
from gnomon.models.spans import Fork, chosen, continuation, fork
from gnomon.models.streams import Job
from gnomon.models.tokenizer import Tokenizer

__all__ = ["Asked", "Choosing", "Engine", "Listed", "Place", "Rewarding", "Sampled", "Scored"]


class Place(NamedTuple):
    """One token of a text, its log-probability in nats, and the most probable (id, log-probability) at its place."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """Asks for the log-probabilities of `text` behind `prompt`; `special` as in `Tokenizer.encode`."""

    prompt: str
    special: bool
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Choosing:
    """Asks for the probabilities of `options` behind `prompt`."""

    prompt: str
    special: bool
    options: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewarding:
    """Asks for the scalar head's value behind `prompt`."""

    prompt: str
    special: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampled:
    """Asks for `n` completions of `prompt`, a text or token ids."""

    prompt: str | tuple[int, ...]
    special: bool
    how: Sampling
    n: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """Asks for the places of `prompt`, token ids, from `start`, 1 or more, with `top` tokens listed at each."""

    prompt: tuple[int, ...]
    start: int
    top: int


Asked: TypeAlias = Scored | Choosing | Rewarding | Sampled | Listed
_Finish: TypeAlias = Callable[[Answer], object]
_Encoded: TypeAlias = dict[tuple[str, bool], Tokens | DataError]


class Engine:
    """One network at work."""

    def __init__(self, scorer: Scorer, decoder: Decoder, tokenizer: Tokenizer, *, limit: int, name: str) -> None:
        """An engine.

        Args:
            scorer: answers what is to be scored.
            decoder: answers what is to be sampled.
            tokenizer: the network's.
            limit: longest context in tokens.
            name: the model's, for errors.
        """
        self.scorer, self.decoder, self.tokenizer, self.limit, self.name = scorer, decoder, tokenizer, limit, name

    def turn(self, new: list[Call[Asked]]) -> bool:
        """Answers what is to be scored among `new`, then decodes one step; whether streams are left.

        Raises:
            Exception: whatever the network raises; every stream is forgotten then.
        """
        try:
            if new:
                self._take([call for call in new if call.waiting])
            return self.decoder.step()
        except Exception:
            self.decoder.clear()
            raise

    def _take(self, calls: Sequence[Call[Asked]]) -> None:
        encoded = self._encode(text for call in calls for text in _texts(call.asked))
        queries: list[Query] = []
        asking: list[tuple[Call[Asked], _Finish]] = []
        for call in calls:
            try:
                if isinstance(call.asked, Sampled):
                    self.decoder.add(self._job(call, call.asked, encoded))
                    continue
                query, finish = self._query(call.asked, encoded)
            except GnomonError as e:
                call.fail(e)
                continue
            queries.append(query)
            asking.append((call, finish))
        for number, answer in self.scorer.run(queries, alive=lambda number: asking[number][0].waiting):
            call, finish = asking[number]
            call.answer(finish(answer))

    def _encode(self, texts: Iterable[tuple[str, bool]]) -> _Encoded:
        """Tokens of each distinct text, or why it has none."""
        encoded: _Encoded = dict.fromkeys(texts, np.zeros(0, dtype=np.int64))
        for special in (True, False):
            batch = [text for text, with_special in encoded if with_special == special]
            for text, tokens in zip(batch, self._encode_batch(batch, special), strict=True):
                encoded[text, special] = tokens
        return encoded

    def _encode_batch(self, texts: list[str], special: bool) -> list[Tokens | DataError]:
        if not texts:
            return []
        try:
            return [np.array(ids, dtype=np.int64) for ids in self.tokenizer.encode_batch(texts, special=special)]
        except DataError as e:
            if len(texts) == 1:
                return [e]
        return [found for text in texts for found in self._encode_batch([text], special)]

    def _query(self, asked: Scored | Choosing | Rewarding | Listed, encoded: _Encoded) -> tuple[Query, _Finish]:
        """What to ask the scorer, and what to make of its answer."""
        if isinstance(asked, Listed):
            self._check_room(len(asked.prompt) - 1, "the text")
            ids = np.array(asked.prompt, dtype=np.int64)
            return Query(ids[: asked.start], [ids[asked.start :]], asked.top), partial(_places, asked)
        prompt, special = asked.prompt, asked.special
        if isinstance(asked, Rewarding):
            context = self.begun(_found(encoded, prompt, special))
            self._check_room(len(context), "the prompt")
            return Query(context, []), _value
        if isinstance(asked, Scored):
            whole = _found(encoded, prompt + asked.text, special)
            context, branches = continuation(whole, _found(encoded, prompt, special))
        else:
            wholes = [_found(encoded, prompt + option, special) for option in asked.options]
            context, branches = self._forked(wholes, asked.options)
        context = self.begun(context)
        self._check_room(len(context) + max(len(b) for b in branches) - 1, "the prompt with its continuation")
        return Query(context, branches), _score if isinstance(asked, Scored) else partial(chosen, branches)

    def _forked(self, wholes: Sequence[Tokens], options: Sequence[str]) -> Fork:
        """As `fork`; an option that is partly the unknown token has no probability of its own and is refused."""
        unknown = self.tokenizer.unk_id
        try:
            found = fork(wholes, options)
            if unknown is None or not any(unknown in branch for branch in found.branches):
                return found
        except DataError:
            if not any(self.tokenizer.unknown(option) for option in options):
                raise
        words = list(dict.fromkeys(word for option in options for word in self.tokenizer.unknown(option)))
        raise DataError(
            f"the tokenizer has no token for {', '.join(map(repr, words[:5])) or list(options)}",
            where=self.name,
            todo="use a model whose vocabulary holds every option",
        )

    def _job(self, call: Call[Asked], asked: Sampled, encoded: _Encoded) -> Job:
        given = asked.prompt
        prompt = self.begun(
            _found(encoded, given, asked.special) if isinstance(given, str) else np.array(given, dtype=np.int64)
        )
        self._check_room(len(prompt), "the prompt", new=1)
        say = asked.how.on_token
        return Job(
            prompt=prompt,
            how=asked.how,
            n=asked.n,
            room=self.limit - len(prompt),
            deliver=call.answer,
            say=None if say is None else partial(call.tell, say),
            waiting=lambda: call.waiting,
        )

    def begun(self, tokens: Tokens) -> Tokens:
        """`tokens`, or the token that begins a text where there are none.

        Raises:
            ModelError: there are none, and the tokenizer has no such token.
        """
        if len(tokens):
            return tokens
        start = self.tokenizer.bos_id if self.tokenizer.bos_id is not None else self.tokenizer.eos_id
        if start is None:
            raise ModelError(
                "the prompt is empty, and the tokenizer has no token to begin a text with",
                where=self.name,
                todo="give a prompt of one token or more",
            )
        return np.array([start], dtype=np.int64)

    def _check_room(self, count: int, what: str, *, new: int = 0) -> None:
        if count + new > self.limit:
            full = f"{what} has {count} tokens, and the model's context holds {self.limit}"
            raise ModelError(full, where=self.name, todo="shorten the prompt")


def _texts(asked: Asked) -> list[tuple[str, bool]]:
    """The texts to tokenise, each with whether special tokens are added."""
    if isinstance(asked, Listed) or not isinstance(asked.prompt, str):
        return []
    prompt, special = asked.prompt, asked.special
    if isinstance(asked, Choosing):
        return [(prompt + option, special) for option in asked.options]
    return [(prompt, special)] + ([(prompt + asked.text, special)] if isinstance(asked, Scored) else [])


def _found(encoded: _Encoded, text: str, special: bool) -> Tokens:
    tokens = encoded[text, special]
    if isinstance(tokens, DataError):
        raise tokens
    return tokens


def _value(answer: Answer) -> float:
    return float(answer[0][0])


def _places(asked: Listed, answer: Answer) -> list[Place]:
    rows = answer[0].reshape(len(asked.prompt) - asked.start, -1)
    given = rows.shape[1] // 2
    return [
        Place(
            token,
            float(row[0]),
            tuple(zip(map(int, row[1 + given :]), map(float, row[1 : 1 + given]), strict=True))[: asked.top],
        )
        for token, row in zip(asked.prompt[asked.start :], rows, strict=True)
    ]


def _score(answer: Answer) -> Score:
    return Score(logprobs=tuple(answer[0].tolist()))
