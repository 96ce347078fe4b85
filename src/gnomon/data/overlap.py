"""Does what is measured on stand in what was trained on? Same prompts, same answers, and runs of words in common.

The rule of Brown et al. 2020 (arXiv 2005.14165), app. C: words without case and punctuation, and runs of as many words
as the shortest twentieth of the measured items has, at least 8 and at most 13.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gnomon.core.errors import UsageError
from gnomon.models.base import Prompt

__all__ = ["FEWEST_WORDS", "MOST_WORDS", "Overlap", "Text", "flat", "hashes_of_runs", "overlap"]

FEWEST_WORDS, MOST_WORDS = 8, 13
_SHORTEST_SHARE = 0.05
_WORD = re.compile(r"\w+")
Words = NDArray[np.uint32]
Hashes = NDArray[np.uint64]


class Text(NamedTuple):
    """A prompt with the answers that stand behind it."""

    prompt: Prompt
    answers: Sequence[str]


class Overlap(NamedTuple):
    """How many measured items were met in training.

    Attributes:
        items: measured in all.
        prompts, answers: items whose prompt, or one of whose answers, is the same there, but for white space.
        runs: items that share a run of `words` words, within their prompt or within one answer.
        words: length of the runs.
        short: items with no text of so many words, for which runs cannot tell.
        met: indices of the items that share an answer or a run.
    """

    items: int
    prompts: int
    answers: int
    runs: int
    words: int
    short: int
    met: tuple[int, ...]

    @property
    def told(self) -> str:
        """The counts in one line."""
        short = f" ({self.short} have no text so long)" if self.short else ""
        return (
            f"of {self.items} items, {self.prompts} have a prompt, {self.answers} an answer and {self.runs} "
            f"a run of {self.words} words{short} of the training data"
        )


def overlap(trained: Iterable[Text], measured: Sequence[Text], *, words: int | None = None) -> Overlap:
    """What `measured` shares with `trained`.

    Args:
        trained: what was learnt.
        measured: what is held out.
        words: length of runs in words, 1 or more; None for the rule of Brown et al.

    Raises:
        UsageError: `words` is below 1.
    """
    if words is not None and words < 1:
        raise UsageError(f"runs of {words} words", todo="give 1 or more")
    ids: dict[str, int] = {}
    learnt = _Learnt(ids)
    for text in trained:
        learnt.add(text)
    shown = [_pieces(text, ids) for text in measured]
    length = words or _rule([sum(map(len, pieces)) for pieces in shown])
    known = np.unique(hashes_of_runs(learnt.pieces, length))
    prompts = [_bare(flat(text.prompt)) in learnt.prompts for text in measured]
    answers = [any(_bare(answer) in learnt.answers for answer in text.answers) for text in measured]
    runs = [_meet(hashes_of_runs(pieces, length), known) for pieces in shown]
    return Overlap(
        items=len(measured),
        prompts=sum(prompts),
        answers=sum(answers),
        runs=sum(runs),
        words=length,
        short=sum(max(map(len, pieces), default=0) < length for pieces in shown),
        met=tuple(i for i, (same, run) in enumerate(zip(answers, runs, strict=True)) if same or run),
    )


def flat(prompt: Prompt) -> str:
    """A prompt as one text; of messages, what was said."""
    return prompt if isinstance(prompt, str) else "\n\n".join(message.content for message in prompt)


def hashes_of_runs(pieces: Sequence[Words], length: int) -> Hashes:
    """A 64-bit hash of every run of `length` words or tokens within a piece, in order; shorter pieces have none.

    Two of a billion runs are confused once in 20.
    """
    long = [piece for piece in pieces if len(piece) >= length]
    if not long:
        return np.zeros(0, dtype=np.uint64)
    words = _scrambled(np.concatenate(long).astype(np.uint64))
    total = np.zeros(len(words) - length + 1, dtype=np.uint64)
    for place in range(length):
        # wraps around at 2^64, as a hash may
        total = total * np.uint64(0x100000001B3) + words[place : place + len(total)]
    starts = np.ones(len(total), dtype=bool)
    for end in np.cumsum([len(piece) for piece in long])[:-1]:
        starts[max(0, end - length + 1) : end] = False
    return _scrambled(total[starts])


class _Learnt:
    """What training saw: its prompts, its answers, and their words as numbers."""

    def __init__(self, ids: dict[str, int]) -> None:
        self.prompts: set[str] = set()
        self.answers: set[str] = set()
        self.pieces: list[Words] = []
        self._ids = ids

    def add(self, text: Text) -> None:
        self.prompts.add(_bare(flat(text.prompt)))
        self.answers.update(_bare(answer) for answer in text.answers)
        self.pieces += _pieces(text, self._ids)


def _bare(text: str) -> str:
    return " ".join(text.split())


def _pieces(text: Text, ids: dict[str, int]) -> list[Words]:
    """The words of prompt and answers, as numbers."""
    return [
        np.array([ids.setdefault(word, len(ids)) for word in _WORD.findall(part.lower())], dtype=np.uint32)
        for part in (flat(text.prompt), *text.answers)
    ]


def _rule(lengths: Sequence[int]) -> int:
    """As many words as the shortest twentieth of the items has, within bounds."""
    if not lengths:
        return MOST_WORDS
    return int(np.clip(np.quantile(lengths, _SHORTEST_SHARE), FEWEST_WORDS, MOST_WORDS))


def _meet(runs: Hashes, known: Hashes) -> bool:
    """Whether one of `runs` is in `known`, which is sorted."""
    if not len(known):
        return False
    places = np.minimum(np.searchsorted(known, runs), len(known) - 1)
    return bool((known[places] == runs).any())


def _scrambled(values: Hashes) -> Hashes:
    """Each number mixed into 64 bits (the finaliser of SplitMix64), so that small numbers do not cancel in a sum."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
