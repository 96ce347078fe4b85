"""How documents fill rows: whole documents, never cut, and the arrays that a training step takes."""

from __future__ import annotations

import random
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gnomon.data.worlds.brook.kinds import Text
from gnomon.data.worlds.brook.words import BOS, EOS, PAD, Vocabulary

__all__ = ["Batch", "Document", "pack", "to_batch"]

# Weight of what cannot be predicted: the randomly drawn words of a question.
PROMPT_WEIGHT = 0.1


class Document(NamedTuple):
    """A written document and where it came from.

    Attributes:
        id: unique within the corpus.
        kind: name of its kind.
        records: what it says.
        text: how it says it.
        running: whether all its tokens weigh 1.
    """

    id: int
    kind: str
    records: tuple[tuple[object, ...], ...]
    text: Text
    running: bool

    @property
    def num_tokens(self) -> int:
        """Tokens in a row, `<bos>` and `<eos>` included."""
        return len(self.text.words) + 2


@dataclass(frozen=True)
class Batch:
    """Rows of whole documents, each `<bos> words <eos>`, then `<pad>`; R rows of T positions.

    A position's weight and planted distribution belong to the token AT the position: logits at `t - 1` predict
    `tokens[:, t]`, so their loss is weighed by `weights[:, t]`.

    Attributes:
        tokens: token ids, int32 [R, T].
        weights: loss weights, float32 [R, T]; 0 at `<bos>` and `<pad>`.
        soft_at: flat places `r * T + t` with a planted distribution, int64 [S], one entry an option, ascending.
        soft_tokens: the option's token id, int32 [S].
        soft_p: the option's planted probability, float32 [S]; sums to 1 over the entries of one place.
    """

    tokens: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    soft_at: npt.NDArray[np.int64]
    soft_tokens: npt.NDArray[np.int32]
    soft_p: npt.NDArray[np.float32]

    def rows(self, first: int, last: int) -> Batch:
        """The rows from `first` up to but not including `last`."""
        width = self.tokens.shape[1]
        low, high = np.searchsorted(self.soft_at, [first * width, last * width])
        return Batch(
            self.tokens[first:last],
            self.weights[first:last],
            self.soft_at[low:high] - first * width,
            self.soft_tokens[low:high],
            self.soft_p[low:high],
        )


def pack(
    spread: Sequence[Document], rest: Sequence[Document], num_rows: int, width: int, rng: random.Random
) -> tuple[list[list[Document]], list[Document]]:
    """Rows of whole documents, and the documents of `rest` that found no room.

    `spread` is placed first, each document in a random row, and always finds room. `rest` goes where it leaves
    the least space: in its own order, so that rows are mixed, and the last part by length, so that they are full.
    """
    rows: list[list[Document]] = [[] for _ in range(num_rows)]
    room = [width] * num_rows
    for document in spread:
        row = next(r for r in _from(int(rng.random() * num_rows), num_rows) if room[r] >= document.num_tokens)
        rows[row].append(document)
        room[row] -= document.num_tokens
    order = sorted((space, row) for row, space in enumerate(room))
    head = int(len(rest) * 0.8)
    left: list[Document] = []
    for document in (*rest[:head], *sorted(rest[head:], key=lambda d: -d.num_tokens)):
        place = bisect_left(order, (document.num_tokens, -1))
        if place == len(order):
            left.append(document)
            continue
        space, row = order.pop(place)
        rows[row].append(document)
        insort(order, (space - document.num_tokens, row))
    for row_documents in rows:
        rng.shuffle(row_documents)
    rng.shuffle(rows)
    return rows, left


def _from(start: int, count: int) -> list[int]:
    return [(start + i) % count for i in range(count)]


def to_batch(rows: Sequence[Sequence[Document]], width: int, vocabulary: Vocabulary) -> Batch:
    """The arrays of `rows`."""
    ids = vocabulary.ids
    tokens = np.full((len(rows), width), ids[PAD], dtype=np.int32)
    weights = np.zeros((len(rows), width), dtype=np.float32)
    at: list[int] = []
    options: list[int] = []
    p: list[float] = []
    for r, documents in enumerate(rows):
        line: list[int] = []
        for document in documents:
            start, text = len(line) + 1, document.text
            line.append(ids[BOS])
            line += vocabulary.encode_words(text.words, f"document of kind {document.kind!r}")
            line.append(ids[EOS])
            weights[r, start : len(line)] = 1.0 if document.running else PROMPT_WEIGHT
            weights[r, [start + key for key in text.keys]] = 1.0
            for place, words, probabilities in text.soft:
                at += [r * width + start + place] * len(words)
                options += vocabulary.encode_words(words)
                p += probabilities
        tokens[r, : len(line)] = line
    return Batch(tokens, weights, np.array(at, np.int64), np.array(options, np.int32), np.array(p, dtype=np.float32))
