"""What the routes need to know of a model, and how models of each kind tell it."""

from __future__ import annotations

import asyncio
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeGuard, cast

import numpy as np

from gnomon.core.seeds import Seed
from gnomon.models.base import Choice, Completion, Message, Model, Prompt, Sampling
from gnomon.serve.asked import Given
from gnomon.serve.refusal import Refusal

if TYPE_CHECKING:
    from gnomon.models.engine import Place
    from gnomon.models.local import LocalModel

__all__ = ["Formulas", "Piece", "Said", "Speaker", "Weights"]

# Tokens of the prompt that the first new one is decoded behind, so that it keeps its space.
_SEAM_TOKENS = 4
_WORD = re.compile(r"\w+|[^\w\s]")


class Piece(NamedTuple):
    """One token of a text: its stretch of it, its log-probability in nats (None for a text's first), and the most
    probable tokens at its place.
    """

    text: str
    logprob: float | None
    top: tuple[tuple[str, float], ...] = ()


class Said(NamedTuple):
    """One completion; `pieces` are its tokens where they were asked for, and `tokens` their ids."""

    text: str
    finish: str
    num_tokens: int
    pieces: Sequence[Piece] | None = None
    tokens: Sequence[int] | None = None


class Speaker(Protocol):
    """A model as the routes see it.

    Attributes:
        revision: names its weights.
        limit: its context in tokens; None where it has none.
        chats: it has a chat template of its own, so a question in words is put as a user's message.
    """

    revision: str
    limit: int | None
    chats: bool

    def count(self, prompt: Given) -> int:
        """Tokens of `prompt`."""
        ...

    async def draw(
        self, prompt: Given, how: Sampling, n: int, num_top: int | None, *, whole: bool = False
    ) -> list[Said]:
        """`n` completions, with their tokens and `num_top` others at each place unless that is None.

        Args:
            whole: with ids, and with the token that ends a text among the tokens.
        """
        ...

    async def read(self, prompt: Given, num_top: int) -> list[Piece]:
        """The prompt's own tokens."""
        ...

    async def text(self, prompt: Given) -> str:
        """The prompt as one text."""
        ...

    async def choose(self, prompt: Prompt, options: Sequence[str]) -> Choice:
        """Probabilities of whole continuations, as `Model.choose` gives them."""
        ...


class Weights:
    """A model whose weights are here."""

    def __init__(self, model: LocalModel) -> None:
        self._model, self._tokenizer = model, model.tokenizer
        self.revision = model.revision
        self.limit: int | None = model.engine.limit
        self.chats = model.tokenizer.chat_template is not None
        self._name = lru_cache(maxsize=1 << 16)(model.tokenizer.token_text)

    def count(self, prompt: Given) -> int:
        """As in `Speaker`; an empty prompt is read as the token that begins a text."""
        return max(1, len(self._ids(prompt)))

    async def draw(
        self, prompt: Given, how: Sampling, n: int, num_top: int | None, *, whole: bool = False
    ) -> list[Said]:
        """As in `Speaker`."""
        drawn = await self._model.sample(prompt, how, n)
        ids = [c.tokens if whole else None for c in drawn]
        if num_top is None:
            return [Said(c.text, c.finish, c.num_tokens, tokens=tokens) for c, tokens in zip(drawn, ids, strict=True)]
        context = self._model.engine.begun(np.array(self._ids(prompt), dtype=np.int64)).tolist()
        found = await asyncio.gather(*(self._places(c, context, num_top) for c in drawn))
        return [
            Said(c.text, c.finish, c.num_tokens, self._pieces(c, context, places, whole), tokens)
            for c, places, tokens in zip(drawn, found, ids, strict=True)
        ]

    async def read(self, prompt: Given, num_top: int) -> list[Piece]:
        """As in `Speaker`; the first token stands behind nothing and has no log-probability."""
        spelled = self._spelled(prompt)
        if not spelled:
            return []
        ids = [i for i, _ in spelled]
        places = await self._model.listed(ids, 1, num_top) if len(ids) > 1 else []
        rest = [self._piece(text, place) for (_, text), place in zip(spelled[1:], places, strict=True)]
        return [Piece(spelled[0][1], None), *rest]

    async def text(self, prompt: Given) -> str:
        """As in `Speaker`."""
        return prompt if isinstance(prompt, str) else "".join(text for _, text in self._spelled(prompt))

    async def choose(self, prompt: Prompt, options: Sequence[str]) -> Choice:
        """As in `Speaker`."""
        return await self._model.choose(prompt, options)

    def _ids(self, prompt: Given) -> list[int]:
        if _is_ids(prompt):
            known = self._tokenizer.vocab_size
            if max(prompt) >= known:
                raise Refusal(f"token {max(prompt)} is not among the model's {known}", param="prompt")
            return list(prompt)
        return self._tokenizer.encode_prompt(cast(Prompt, prompt))

    def _spelled(self, prompt: Given) -> list[tuple[int, str]]:
        if isinstance(prompt, str):
            return self._tokenizer.spelled(prompt)
        if _is_ids(prompt):
            stream, ids = self._tokenizer.stream(), self._ids(prompt)
            return [(i, stream.push(i)) for i in ids]
        text = self._tokenizer.chat(cast(Sequence[Message], prompt))
        return self._tokenizer.spelled(text, special=self._tokenizer.chat_template is None)

    async def _places(self, drawn: Completion, context: Sequence[int], num_top: int) -> list[Place]:
        """Its tokens with their log-probabilities; read again where others at each place are wanted."""
        from gnomon.models.engine import Place

        if not num_top:
            return [Place(token, logp, ()) for token, logp in zip(drawn.tokens, drawn.logprobs, strict=True)]
        return await self._model.listed([*context, *drawn.tokens], len(context), num_top)

    def _pieces(self, drawn: Completion, context: Sequence[int], places: Sequence[Place], whole: bool) -> list[Piece]:
        """The tokens that begin inside the text: neither the end of the text nor what a stop string cut off, but where
        they are wanted whole."""
        stream = self._tokenizer.stream(after=context[-_SEAM_TOKENS:])
        texts = [stream.push(place.token) for place in places]
        starts = itertools.accumulate((len(t) for t in texts), initial=0)
        found = zip(texts, places, starts, strict=False)
        return [self._piece(text, place) for text, place, start in found if whole or start < len(drawn.text)]

    def _piece(self, text: str, place: Place) -> Piece:
        return Piece(text, place.logprob, tuple((self._name(i), lp) for i, lp in place.top))


class Formulas:
    """A model without tokens, such as a planted one: it answers, and says how probable a question's letters are."""

    def __init__(self, model: Model, letters: Sequence[str] = tuple("ABCDEFGHIJ")) -> None:
        """A model around which letters stand for tokens.

        Args:
            model: answers.
            letters: what may follow an open bracket.
        """
        self._model, self._letters, self.revision = model, letters, model.revision
        self.limit: int | None = None
        self.chats = False

    def count(self, prompt: Given) -> int:
        """Words and marks."""
        return len(_WORD.findall(prompt if isinstance(prompt, str) else " ".join(map(str, prompt))))

    async def draw(
        self, prompt: Given, how: Sampling, n: int, num_top: int | None, *, whole: bool = False
    ) -> list[Said]:
        """As in `Speaker`; with tokens, each completion is one letter.

        Raises:
            Refusal: token ids are given or wanted.
        """
        if whole or _is_ids(prompt):
            raise _no_tokens("return_token_ids" if whole else "prompt")
        if num_top is None:
            drawn = await self._model.sample(cast(Prompt, prompt), replace(how, on_token=None), n)
            return [Said(c.text, c.finish, c.num_tokens) for c in drawn]
        top = await self._top(cast(Prompt, prompt))
        pieces = [_drawn(top, how.temperature, Seed(how.seed).child("letter", i)) for i in range(n)]
        return [Said(p.text, "length", 1, [p._replace(top=tuple(top[:num_top]))]) for p in pieces]

    async def read(self, prompt: Given, num_top: int) -> list[Piece]:
        """Refused: formulas know no tokens."""
        raise _no_tokens("echo")

    async def text(self, prompt: Given) -> str:
        """As in `Speaker`."""
        return prompt if isinstance(prompt, str) else " ".join(map(str, prompt))

    async def choose(self, prompt: Prompt, options: Sequence[str]) -> Choice:
        """As in `Speaker`."""
        return await self._model.choose(prompt, options)

    async def _top(self, prompt: Prompt) -> list[tuple[str, float]]:
        """The letters with their log-probabilities, the most probable first."""
        from gnomon.models.planted import read

        offered = [x for x in read(prompt).options if x in self._letters]
        if len(offered) < 2:
            raise Refusal("this model gives log-probabilities of the letters of a question only", param="logprobs")
        choice = await self._model.choose(prompt, offered)
        logprobs = [math.log(p * choice.mass) if p else -9999.0 for p in choice.p]
        return sorted(zip(offered, logprobs, strict=True), key=lambda entry: -entry[1])


def _drawn(top: Sequence[tuple[str, float]], temperature: float, seed: Seed) -> Piece:
    if temperature == 0:
        return Piece(*top[0])
    weights = [math.exp(lp / temperature) for _, lp in top]
    return Piece(*seed.random().choices(top, weights)[0])


def _no_tokens(param: str) -> Refusal:
    return Refusal("this model has no tokens of its own; leave it out", param=param)


def _is_ids(prompt: Given) -> TypeGuard[tuple[int, ...]]:
    return isinstance(prompt, tuple) and bool(prompt) and isinstance(prompt[0], int)
