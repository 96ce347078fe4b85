"""What a kind of document is: one registered object; corpus, parser test, ledger and check rows follow from it.

A document holds a few items of one kind, independent given the world. A kind says how an item is drawn, written
and read back. Reading what was written gives the record again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from gnomon.core.errors import DataError
from gnomon.data.worlds.brook.tables import World

__all__ = ["Kind", "Mention", "Reader", "Soft", "Text", "Writer", "drawn", "pick"]

R = TypeVar("R", bound=tuple[Any, ...])
T = TypeVar("T")


class Soft(NamedTuple):
    """A planted distribution at one place: `p[i]` is the probability of `words[i]`, summing to 1."""

    place: int
    words: tuple[str, ...]
    p: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """A written document.

    Attributes:
        words: one token each, without `<bos>` and `<eos>`.
        keys: places of the answer-bearing words, ascending.
        soft: planted distributions of some keys; the word in the text is a draw from them.
    """

    words: list[str]
    keys: list[int]
    soft: list[Soft]

    def __str__(self) -> str:
        return " ".join(self.words)


class Mention(NamedTuple):
    """A fact that a document states or asks about.

    `use` is "statement", "note", "question" or "opinion" (a user's, true or not); `wording` is the sentence's or
    question's wording; `direction` is "forward" where the name stands before the value, and "reverse" where it
    stands after it.
    """

    name: str
    relation: str
    value: str
    use: str
    wording: int = 0
    direction: str = "forward"


class Writer:
    """Collects a document's words and marks its key tokens."""

    __slots__ = ("keys", "soft", "words")

    def __init__(self) -> None:
        self.words: list[str] = []
        self.keys: list[int] = []
        self.soft: list[Soft] = []

    def say(self, text: str) -> None:
        """Adds the words of `text`."""
        self.words += text.split()

    def key(self, word: str) -> None:
        """Adds one answer-bearing word whose truth is certain."""
        self.keys.append(len(self.words))
        self.words.append(word)

    def key_soft(self, word: str, words: tuple[str, ...], p: tuple[float, ...]) -> None:
        """Adds one answer-bearing word drawn from the planted distribution `p` over `words`."""
        self.soft.append(Soft(len(self.words), words, p))
        self.key(word)


class Reader:
    """Reads a document's words from left to right.

    Every method raises `DataError` when the words are not what the grammar allows; the message shows the place.
    """

    __slots__ = ("at", "kind", "words")

    def __init__(self, words: Sequence[str], kind: str = "") -> None:
        self.words, self.at, self.kind = words, 0, kind

    @property
    def done(self) -> bool:
        """Whether no word is left."""
        return self.at >= len(self.words)

    def next_is(self, *marks: str) -> bool:
        """Whether the next word is one of `marks`."""
        return not self.done and self.words[self.at] in marks

    def take(self, allowed: Sequence[str] | frozenset[str] | None = None) -> str:
        """The next word, which must be in `allowed` when that is given."""
        if self.done or (allowed is not None and self.words[self.at] not in allowed):
            raise self.error("a word of the grammar" if allowed is None else f"one of {', '.join(sorted(allowed)[:8])}")
        self.at += 1
        return self.words[self.at - 1]

    def skip(self, text: str) -> None:
        """Passes over the words of `text`."""
        for word in text.split():
            self.take((word,))

    def until(self, *marks: str) -> list[str]:
        """The words before the next of `marks`, or all that are left."""
        start = self.at
        while not self.done and self.words[self.at] not in marks:
            self.at += 1
        return list(self.words[start : self.at])

    def error(self, wanted: str) -> DataError:
        """What to raise when the words at this place are not `wanted`."""
        found = "the end" if self.done else repr(self.words[self.at])
        before = " ".join(self.words[max(0, self.at - 6) : self.at])
        return DataError(f"expected {wanted} after '{before}', found {found}", where=f"document of kind {self.kind!r}")


@dataclass(frozen=True, kw_only=True)
class Kind(Generic[R]):
    """One kind of document.

    Attributes:
        name: its name in shares, ledger and tables.
        draw: a fresh item's record.
        write: adds an item's words to a writer; gets the world for planted distributions.
        read: reads an item back; the inverse of `write`.
        mentions: the facts an item states or asks about, for the ledger.
        key_tokens: which words bear the answer, in words.
        share: percent of pretraining tokens; 0 where a phase or a plan says how many.
        items: fewest and most items a document holds.
        running: running text, every token of weight 1; other kinds weigh what is not a key .1.
        instruments: short names of the instruments that use it.
        expect: metrics of `assay brook` that read it.
        grammar: an example.
        plan: for a kind whose documents are exact in number: all of them, in the order of the run.
    """

    name: str
    draw: Callable[[World, random.Random], R]
    write: Callable[[World, R, Writer], None]
    read: Callable[[World, Reader], R]
    key_tokens: str
    share: float
    items: tuple[int, int]
    grammar: str
    mentions: Callable[[R], list[Mention]] = field(default=lambda record: [])
    running: bool = False
    instruments: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()
    plan: Callable[[World, random.Random], list[tuple[R, ...]]] | None = None

    def document(self, world: World, rng: random.Random) -> tuple[R, ...]:
        """The records of a fresh document, none of which repeats another's fresh fact."""
        low, high = self.items
        while True:
            records = tuple(self.draw(world, rng) for _ in range(low + int(rng.random() * (high - low + 1))))
            if len(records) == 1 or not self._repeats(world, records):
                return records

    def render(self, world: World, records: Sequence[R]) -> Text:
        """The document that says `records`."""
        writer = Writer()
        for record in records:
            self.write(world, record, writer)
        return Text(writer.words, writer.keys, writer.soft)

    def parse(self, world: World, words: Sequence[str]) -> tuple[R, ...]:
        """The records that `words` say; the inverse of `render`.

        Raises:
            DataError: the words do not follow the kind's grammar.
        """
        reader, records = Reader(words, self.name), []
        while not reader.done:
            records.append(self.read(world, reader))
        return tuple(records)

    def _repeats(self, world: World, records: Sequence[R]) -> bool:
        fresh = world.fresh_names
        seen: set[tuple[str, str]] = set()
        for record in records:
            here = {(m.name, m.relation) for m in self.mentions(record) if m.name in fresh}
            if seen & here:
                return True
            seen |= here
        return False


def pick(rng: random.Random, options: Sequence[T]) -> T:
    """One of `options`, uniformly; several times faster than `Random.choice`, which generation speed rests on."""
    return options[int(rng.random() * len(options))]


def drawn(rng: random.Random, p: Sequence[float]) -> int:
    """A place, drawn with probabilities `p`."""
    u = rng.random()
    for place, q in enumerate(p):
        u -= q
        if u < 0:
            return place
    # Rounding can leave a little of the last possible place.
    return max(place for place, q in enumerate(p) if q > 0)
