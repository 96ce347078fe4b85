"""Whether a free answer is right, and how long one may be; by the kind of question.

Kinds (`meta["kind"]`): words (trivia: normalised match with any accepted answer), number (the last number, after
"####" where there is one), cloze (the first word), exact (the text itself). After Kadavath et al. 2022, appendix.
"""

from __future__ import annotations

import re
import string
from functools import lru_cache
from typing import NamedTuple

from gnomon.core.errors import DataError
from gnomon.core.record import Item

__all__ = ["Limits", "answer_text", "is_right", "kind_of", "limits", "normalised"]

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation, " "))


class Limits(NamedTuple):
    """How far a sampled answer goes: most tokens, and the strings that end it."""

    max_tokens: int
    stop: tuple[str, ...]


_LIMITS = {
    "words": Limits(24, ("\n",)),
    "cloze": Limits(4, ("\n",)),
    "number": Limits(300, ("\nQuestion:", "\n\n")),
    "exact": Limits(8, ()),
}


def kind_of(item: Item) -> str:
    """The item's kind; DataError when it is none of the four."""
    kind = str(item.meta.get("kind", "exact"))
    if kind not in _LIMITS:
        raise DataError(f"answers of kind {kind!r} cannot be judged", where=item.id, todo=f"use {', '.join(_LIMITS)}")
    return kind


def limits(item: Item) -> Limits:
    """How far an answer to `item` may go."""
    return _LIMITS[kind_of(item)]


def is_right(item: Item, text: str) -> bool:
    """Whether `text` answers `item`.

    >>> is_right(Item(id="q", answers=("mill",), meta={"kind": "words"}), " The Mill. ")
    True
    >>> is_right(Item(id="q", answers=("1,080",), meta={"kind": "number"}), "so 12 * 90 = 1080 #### 1080.0")
    True
    """
    answer, kind = answer_text(item, text), kind_of(item)
    if kind == "words":
        return bool(answer) and answer in {normalised(a) for a in item.answers}
    if kind == "number":
        return answer != "" and any(float(answer) == float(a.replace(",", "")) for a in item.answers)
    if kind == "cloze":
        return answer.casefold() in {a.casefold() for a in item.answers}
    return answer in item.answers


def answer_text(item: Item, text: str) -> str:
    """What counts of a sampled text, in the form in which answers are compared; "" when there is nothing."""
    kind = kind_of(item)
    if kind == "words":
        return normalised(text)
    if kind == "number":
        numbers = _NUMBER.findall(text.rpartition("####")[2])
        return f"{float(numbers[-1].replace(',', '')):g}" if numbers else ""
    if kind == "cloze":
        return next(iter(text.split()), "").strip(string.punctuation)
    return " ".join(text.split())


@lru_cache(maxsize=10_000)
def normalised(text: str) -> str:
    """Lower case, without articles and punctuation, single spaces (the TriviaQA evaluation's rule).

    >>> normalised("The  Beatles!")
    'beatles'
    """
    bare = _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION))
    return " ".join(bare.split())
