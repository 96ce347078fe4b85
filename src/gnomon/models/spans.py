"""Where a continuation begins, in tokens.

A tokenizer may merge the end of a prompt with what follows ("(" and "A" into "(A"), so tokens of a prompt and tokens of
its continuation cannot be laid end to end. Whole strings are tokenised instead. The continuation then begins at the
first token in which the whole string differs from the prompt alone; where nothing merges, that is right after the
prompt. A merged token belongs to the continuation, and so is the part of the prompt that it swallowed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gnomon.core.errors import DataError
from gnomon.models.base import Choice
from gnomon.models.prefix import Tokens, shared_length

__all__ = ["Fork", "chosen", "continuation", "fork", "letters_trouble"]


class Fork(NamedTuple):
    """Options in tokens: each goes on from `context` with its branch, which has one token or more."""

    context: Tokens
    branches: list[Tokens]


def continuation(whole: Tokens, prompt: Tokens) -> Fork:
    """`whole` cut where it stops agreeing with `prompt`; at its last token where it never does."""
    at = min(shared_length(whole, prompt), len(whole) - 1)
    return Fork(whole[:at], [whole[at:]])


def fork(wholes: Sequence[Tokens], options: Sequence[str]) -> Fork:
    """Options cut down to where they differ.

    Tokens that all begin with become the context. Tokens that all end with are dropped, unless two options could not
    be told apart without them. Each option keeps at least one token.

    Args:
        wholes: prompt and option, tokenised together; one for each option.
        options: the option texts, for messages.

    Raises:
        DataError: fewer than two options, or two that are the same tokens.
    """
    if len(options) < 2:
        raise DataError(f"a choice needs two options or more, and got {list(options)!r}")
    shortest = min(len(w) for w in wholes)
    same = min(shared_length(wholes[0], w) for w in wholes[1:])
    at = min(same, shortest - 1)
    branches = [w[at:] for w in wholes]
    backwards = [b[::-1] for b in branches]
    closing = min(shared_length(backwards[0], b) for b in backwards[1:])
    for drop in range(min(closing, shortest - at - 1), -1, -1):
        bare = [b[: len(b) - drop] for b in branches]
        if drop == 0 or not any(_extends(a, b) for i, a in enumerate(bare) for b in bare[:i] + bare[i + 1 :]):
            break
    _check_different(bare, options)
    return Fork(wholes[0][:at], bare)


def chosen(branches: Sequence[Tokens], logprobs: Sequence[NDArray[np.float64]]) -> Choice:
    """The choice behind the branches' token log-probabilities in nats.

    `mass` is the probability that the text goes on with one of the options: an option that continues another adds
    nothing to it.
    """
    totals = [float(lp.sum()) for lp in logprobs]
    top = max(totals)
    weights = [math.exp(t - top) for t in totals]
    whole = math.fsum(weights)
    mass = math.fsum(
        math.exp(t)
        for i, t in enumerate(totals)
        if not any(_extends(branches[i], b) for j, b in enumerate(branches) if j != i)
    )
    p = tuple(w / whole for w in weights)
    return Choice(p=p, mass=min(1.0, mass), readout="exact", low=p, high=p)


def letters_trouble(encode: Callable[[str], Sequence[int]], prompt: str, letters: str = "ABCDEFGHIJ") -> str:
    """Says which letter is not one token of its own after `prompt`, with the ids; "" when all are.

    `choose` is right all the same, since it tokenises whole strings; methods that read a letter off the next-token
    distribution are not.
    """
    before = list(encode(prompt))
    for letter in letters:
        whole = list(encode(prompt + letter))
        if len(whole) != len(before) + 1 or whole[: len(before)] != before:
            return (
                f"the tokenizer has no token of its own for {letter!r} after {prompt[-8:]!r}: "
                f"{before[-3:]} becomes {whole[-4:]}"
            )
    return ""


def _extends(longer: Tokens, shorter: Tokens) -> bool:
    """Whether `longer` is `shorter`, or begins with it."""
    return len(longer) >= len(shorter) and longer[0] == shorter[0] and shared_length(longer, shorter) == len(shorter)


def _check_different(branches: Sequence[Tokens], options: Sequence[str]) -> None:
    seen: dict[bytes, str] = {}
    for branch, option in zip(branches, options, strict=True):
        other = seen.setdefault(branch.tobytes(), option)
        if other is not option:
            raise DataError(f"options {other!r} and {option!r} are the same tokens", todo="make the options different")
