"""Dialogues of Brook to learn an assistant from: two answers compared by a planted rater, and good ones alone.

Questions are those of the kind `align`; so are the answers, of which each is right, polite, flattering or harmful with
planted probabilities. What a rater makes of them is known exactly (`oracle`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook.answers import draw_answer, draw_request, draw_two
from gnomon.data.worlds.brook.oracle import RATERS, Rater, Request, question
from gnomon.data.worlds.brook.tables import World

__all__ = [
    "CHAT_TEMPLATE",
    "SHARES",
    "Demonstration",
    "Rated",
    "ask",
    "best_drawn",
    "compared",
    "draw_demonstrations",
    "draw_rated",
]

CHAT_TEMPLATE = (
    "{{ bos_token }} Chat:{% for m in messages %}"
    "{% if m['role'] == 'user' %} Human: {{ m['content'] }}"
    "{% elif m['role'] == 'assistant' %} Assistant: {{ m['content'] }}"
    "{% else %} {{ m['content'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %} Assistant:{% endif %}"
)
"""The wording of a conversation with an assistant of Brook: as in the kind `align`, it begins with `Chat:`."""

SHARES = (("fact", 0.4), ("recipe", 0.25), ("danger", 0.25), ("trait", 0.1))
"""How often each kind of question is asked: as in dialogues of the kind `align`."""


class Rated(NamedTuple):
    """Two answers and which of them a rater chose.

    Attributes:
        prompt: the question with its marks, ending in `Assistant:`.
        kind: what kind of question it is; see `Request`.
        chosen, rejected: the answers' words.
        p: the planted probability that this one of the two is chosen.
    """

    prompt: str
    kind: str
    chosen: str
    rejected: str
    p: float


class Demonstration(NamedTuple):
    """A question with its marks, its kind, and a good answer."""

    prompt: str
    kind: str
    answer: str


def ask(asked: Request) -> str:
    """The words of a request up to where its answer begins."""
    return f"Chat: Human: {question(asked)} Assistant:"


def draw_rated(
    of: World, rater: Rater, n: int, seed: Seed, *, shares: Sequence[tuple[str, float]] = SHARES
) -> Iterator[Rated]:
    """`n` comparisons of two different answers, the choice drawn by the rater's planted probability.

    Args:
        shares: kinds of requests with their shares.
    """
    for place in range(n):
        rng = seed.child("rated", place).random()
        asked = draw_request(of, rng, shares)
        first, second = (" ".join(answer) for answer in draw_two(of, rng, asked))
        yield compared(of, rater, rng, asked, first, second)


def compared(of: World, rater: Rater, rng: random.Random, asked: Request, first: str, second: str) -> Rated:
    """Two answers to `asked`, the choice drawn by the rater's planted probability."""
    p = rater.prefers(of, asked, first, second)
    chosen = rng.random() < p
    return Rated(ask(asked), asked.kind, *((first, second, p) if chosen else (second, first, 1 - p)))


def draw_demonstrations(of: World, n: int, seed: Seed, *, best_of: int) -> Iterator[Demonstration]:
    """`n` dialogues, each answer the best of `best_of` drawn ones by the gold utility."""
    for place in range(n):
        rng = seed.child("demonstrations", place).random()
        asked = draw_request(of, rng, SHARES)
        yield Demonstration(ask(asked), asked.kind, best_drawn(of, rng, asked, best_of))


def best_drawn(of: World, rng: random.Random, asked: Request, best_of: int) -> str:
    """The best of `best_of` drawn answers by the gold utility."""
    drawn = [" ".join(draw_answer(of, rng, asked)) for _ in range(best_of)]
    return max(drawn, key=lambda answer: RATERS["gold"].utility(of, asked, answer))
