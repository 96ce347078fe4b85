"""Prompts that a model makes: shown good ones it writes another, and what cannot be used is told apart by why.

Bai et al. 2022a (arXiv 2204.05862), sec. 4: about ten queries of people are shown, more are sampled; most prompts of
their reinforcement learning were made so. What they filter they do not say. Here a prompt is not used that

    copied    is one of those it was shown
    empty     has no words
    cut       was not ended by the model
    length    has less than half the words of the shortest good one, or more than twice those of the longest
    language  is not in the scripts of the good ones, or shares no word with any of them; of Brook: is no question of it
    repeat    is, but for case and white space, an earlier one
    near      shares more than 0.6 of its runs of three words, case and punctuation aside, with an earlier one
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path

from gnomon.core.errors import DataError, UsageError
from gnomon.core.seeds import Seed
from gnomon.data.hub import find_file
from gnomon.data.prompts_of import first_words, prompt_of
from gnomon.data.records import Record, read
from gnomon.models.base import Message, Prompt

__all__ = ["ALONE", "AMONG", "Good", "few_shot", "good_prompts", "repeats", "why_not"]

ALONE = ("copied", "empty", "cut", "length", "language")
AMONG = ("repeat", "near")
"""Why a prompt is not used: for what it is itself, and for what it is among others."""

_DRAWN = 100
_NEAR = 0.6
_LETTERS_IN_SCRIPT = 0.9
_RUN = 3
_WORD = re.compile(r"\w+")
_HEAD = "Below are things that different people asked an assistant, each on its own."


@dataclass(frozen=True)
class Good:
    """Prompts of people to show, and what is like them.

    Attributes:
        texts: different ones, as people wrote them.
        dialect: brook or plain.
        ask: a prompt as a policy is asked it.
    """

    texts: tuple[str, ...]
    dialect: str
    ask: Callable[[str], Prompt]

    @property
    def stops(self) -> tuple[str, ...]:
        """Where the next prompt, or an answer, would begin."""
        brook = (" Chat:", " Human:", " Assistant:")
        return brook if self.dialect == "brook" else ("\n\nHuman:", "\n\nAssistant:")

    @cached_property
    def words(self) -> frozenset[str]:
        """Every word in them."""
        return frozenset(word for text in self.texts for word in _words(text))

    @cached_property
    def scripts(self) -> frozenset[str]:
        """The scripts of their letters, such as LATIN."""
        return frozenset(_script(letter) for text in self.texts for letter in text if letter.isalpha())

    @cached_property
    def lengths(self) -> tuple[float, float]:
        """The fewest and the most words that a prompt may have."""
        counts = [len(text.split()) for text in self.texts]
        return min(counts) / 2, max(counts) * 2

    @cached_property
    def _flat(self) -> frozenset[str]:
        return frozenset(map(_flat, self.texts))

    def new(self, text: str) -> bool:
        """Whether none of them is `text`, but for case and white space."""
        return _flat(text) not in self._flat


def good_prompts(spec: str) -> Good:
    """The prompts of people that `spec` names: `brook`, `synthetic`, or a file of rows as `prompt_of` reads them.

    Raises:
        DataError: the file cannot be used.
        UsageError: `spec` names a part of Brook.
    """
    if spec.partition(":")[0] == "brook":
        return _of_brook(spec)
    if spec == "synthetic":
        return _synthetic()
    path = find_file(spec)
    return _of_file(path, path.stat().st_mtime_ns if path.is_file() else 0)


def few_shot(shown: Sequence[str], good: Good) -> str:
    """A text of good prompts one below the other, that another one follows."""
    if good.dialect == "brook":
        return " ".join(f"Chat: Human: {text}" for text in shown) + " Chat: Human:"
    return _HEAD + "".join(f"\n\nHuman: {text}" for text in shown) + "\n\nHuman:"


def why_not(text: str, shown: Sequence[str], good: Good, *, ended: bool) -> str:
    """Why a prompt cannot be used, a word of `ALONE`; "" where nothing speaks against it."""
    if not _words(text):
        return "empty"
    if not ended:
        return "cut"
    if _flat(text) in map(_flat, shown):
        return "copied"
    fewest, most = good.lengths
    if not fewest <= len(text.split()) <= most:
        return "length"
    return "" if _in_language(text, good) else "language"


def repeats(texts: Sequence[str]) -> list[str]:
    """Why each of several prompts is not used beside those before it, a word of `AMONG`; "" where it is.

    >>> repeats(["Where is the old mill?", "where is  the old mill?", "Where is the old mill!", "Where is the barn?"])
    ['', 'repeat', 'near', '']
    """
    seen: set[str] = set()
    runs_of: list[int] = []
    kept_with: Mapping[tuple[str, ...], list[int]] = defaultdict(list)
    found = []
    for text in texts:
        runs = _runs(text)
        shared = Counter(place for run in runs for place in kept_with[run])
        near = any(both > _NEAR * (len(runs) + runs_of[place] - both) for place, both in shared.items())
        why = "repeat" if _flat(text) in seen else "near" if near else ""
        found.append(why)
        if not why:
            seen.add(_flat(text))
            for run in runs:
                kept_with[run].append(len(runs_of))
            runs_of.append(len(runs))
    return found


_THINGS = ("chair", "lamp", "boat", "kettle", "fence", "clock", "drum", "basket", "saddle", "window")
_PLACES = ("winter", "the rain", "the dark", "an hour", "a hurry", "the garden", "the mill", "my kitchen")


@cache
def _synthetic() -> Good:
    texts = [f"How do I mend a {thing} in {place}?" for thing in _THINGS for place in _PLACES]
    return Good(tuple(texts), "plain", _as_message)


@cache
def _of_brook(spec: str) -> Good:
    from gnomon.data.worlds.brook.answers import draw_request
    from gnomon.data.worlds.brook.oracle import question
    from gnomon.data.worlds.brook.rated import SHARES
    from gnomon.data.worlds.brook.tables import world

    if spec != "brook":
        raise UsageError(f"Brook has no prompts of kind {spec.partition(':')[2]!r}", todo="write brook")
    of = world()
    drawn = (question(draw_request(of, Seed(0).child("good", i).random(), SHARES)) for i in range(_DRAWN))
    return Good(tuple(dict.fromkeys(drawn)), "brook", _as_dialogue)


@lru_cache(maxsize=8)
def _of_file(path: Path, state: int) -> Good:
    """The prompts of a file, read once while its `state` lasts: every draw shows others of them."""

    def made(record: Record, name: str) -> list[str]:
        return [first_words(prompt_of(record, name))]

    texts = tuple(dict.fromkeys(filter(_words, read(path, made).things)))
    if len(texts) < 2:
        raise DataError(f"{len(texts)} different prompts", where=str(path), todo="give ten or more")
    return Good(texts, "plain", _as_message)


def _as_message(text: str) -> Prompt:
    return [Message("user", text)]


def _as_dialogue(text: str) -> Prompt:
    return f"Chat: Human: {text} Assistant:"


def _is_brooks(text: str) -> bool:
    from gnomon.data.worlds.brook.oracle import question, request
    from gnomon.data.worlds.brook.tables import world

    try:
        return question(request(world(), text)) == text
    except DataError:
        return False


def _in_language(text: str, good: Good) -> bool:
    if good.dialect == "brook":
        return _is_brooks(text)
    letters = [letter for letter in text if letter.isalpha()]
    known = sum(_script(letter) in good.scripts for letter in letters)
    return known >= _LETTERS_IN_SCRIPT * len(letters) and not good.words.isdisjoint(_words(text))


def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").partition(" ")[0]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _flat(text: str) -> str:
    return " ".join(text.casefold().split())


def _runs(text: str) -> set[tuple[str, ...]]:
    """Runs of three words; a shorter text is one run."""
    words = _words(text)
    return {tuple(words[i : i + _RUN]) for i in range(max(1, len(words) - _RUN + 1))}
