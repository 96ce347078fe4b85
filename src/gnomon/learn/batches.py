"""Which texts make up the batch of a step, and how texts become the rows of a forward.

Texts of like length share a batch, so that little of it is padding; padding is on the right, where causal attention
never shows it to what counts. What texts begin with in common need not be read for each of them: the two sides of a
comparison share a row, and so do many answers to few prompts.

Shapes: B rows, T columns, N places, U different ones among them, P pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gnomon.core.seeds import Seed
from gnomon.learn.texts import Encoded, Pair
from gnomon.models.prefix import Path, Row, Tokens, forked, packed, shared_length
from gnomon.models.rows import filled, sight

__all__ = ["AnswerBatch", "Epochs", "PairBatch", "SharedBatch", "answer_batch", "padded", "pair_batch", "shared_batch"]

# Batches that are sorted together: more of them waste less on padding, fewer of them mix lengths better.
_WINDOW = 16


class Epochs:
    """The texts of every step: each epoch is a fresh shuffle of all, a function of the step alone.

    Attributes:
        per_epoch: steps in an epoch; the last batch may be short.
    """

    def __init__(self, count: int, batch: int, order: Seed, *, lengths: Sequence[int] | None = None) -> None:
        """An order of `count` texts.

        Args:
            count: texts.
            batch: texts a step.
            order: what the shuffles are drawn from.
            lengths: tokens of each text; texts of like length then share a batch, and batches stay in random order.
        """
        self.per_epoch = -(-count // batch)
        self._count, self._batch, self._order, self._lengths = count, batch, order, lengths
        self._kept: tuple[int, list[list[int]]] = (-1, [])

    def __call__(self, index: int) -> list[int]:
        """Places of the texts of step `index`."""
        epoch, place = divmod(index, self.per_epoch)
        if self._kept[0] != epoch:
            self._kept = (epoch, self._batches(epoch))
        return self._kept[1][place]

    def _batches(self, epoch: int) -> list[list[int]]:
        shuffled = self._order.child(epoch).random().sample(range(self._count), self._count)
        lengths = self._lengths
        if lengths is None:
            return _cut(shuffled, self._batch)
        windows = _cut(shuffled, self._batch * _WINDOW)
        batches = [b for w in windows for b in _cut(sorted(w, key=lambda i: lengths[i]), self._batch)]
        self._order.child(epoch, "batches").random().shuffle(batches)
        return batches


class AnswerBatch(NamedTuple):
    """Texts whose answers are to be predicted.

    Attributes:
        tokens_BT: a text a row.
        at_N2: row and column from which each token of an answer, its end included, is predicted.
        targets_N: those tokens.
        row_N: the row each belongs to.
        share: how much of the answers' tokens of its step it has, in [0, 1]; 1 where it is the whole step.
    """

    tokens_BT: Tensor
    at_N2: Tensor
    targets_N: Tensor
    row_N: Tensor
    share: float = 1.0


class SharedBatch(NamedTuple):
    """Texts whose answers are to be predicted, what they begin with in common standing once.

    Attributes:
        tokens_BT: token ids.
        positions_BT: each token's position in its texts.
        mask_B1TT: who sees whom: what stands before it in its texts, and itself.
        at_U2: the rows and columns from which tokens of answers are predicted.
        place_N: from which of these each token of an answer, its end included, is predicted, one text after another.
        targets_N: those tokens.
        text_N: the text each belongs to.
    """

    tokens_BT: Tensor
    positions_BT: Tensor
    mask_B1TT: Tensor
    at_U2: Tensor
    place_N: Tensor
    targets_N: Tensor
    text_N: Tensor


class PairBatch(NamedTuple):
    """Comparisons, one a row: what both texts begin with, the rest of the chosen one, the rest of the other.

    Attributes:
        tokens_BT: token ids.
        positions_BT: each token's position in its own text.
        mask_B1TT: who sees whom: what stands before it in its own text, and itself.
        ends_P2: row and column of the last token of each text; all chosen ones, then all rejected ones.
        at_N2, targets_N: as in `AnswerBatch`, for the answers of the chosen texts without the token that ends them.
        share, target_share: how much of the pairs and of the targets of its step it has, in [0, 1].
        weight_P: how much each pair's comparison counts; None where all count 1.
    """

    tokens_BT: Tensor
    positions_BT: Tensor
    mask_B1TT: Tensor
    ends_P2: Tensor
    at_N2: Tensor
    targets_N: Tensor
    share: float = 1.0
    target_share: float = 1.0
    weight_P: Tensor | None = None


def padded(sequences: Sequence[Sequence[int] | np.ndarray]) -> tuple[Tensor, Tensor]:
    """Tokens [B, T], filled on the right with token 0, and lengths [B]."""
    return filled(sequences), torch.tensor([len(s) for s in sequences])


def answer_batch(texts: Sequence[Encoded], *, of: Sequence[Encoded] = ()) -> AnswerBatch:
    """The arrays of `texts`, one a row.

    Args:
        of: the texts of the whole step, where `texts` are a part of it. No texts are its first, of no weight: a process
            with nothing to do still takes part in every exchange with the others.
    """
    share = _num_targets(texts) / _num_targets(of) if of else 1.0
    texts = texts or of[:1]
    tokens_BT, _ = padded([text.tokens for text in texts])
    row_N = np.concatenate([np.full(len(text.tokens) - text.start, row) for row, text in enumerate(texts)])
    column_N = np.concatenate([np.arange(text.start, len(text.tokens)) for text in texts])
    at_N2 = torch.from_numpy(np.stack((row_N, column_N - 1), axis=1))
    return AnswerBatch(tokens_BT, at_N2, tokens_BT[at_N2[:, 0], at_N2[:, 1] + 1], torch.from_numpy(row_N), share)


def shared_batch(texts: Sequence[Encoded]) -> SharedBatch:
    """The arrays of `texts`, their last tokens left out, since nothing is predicted from those."""
    rows = packed([Path(text.tokens[:-1], text.start - 1) for text in texts])
    tokens_BT, positions_BT = filled([row.tokens for row in rows]), filled([row.depth for row in rows])
    slots: dict[int, Tokens] = {
        read.path: read.slots + i * tokens_BT.shape[1] for i, row in enumerate(rows) for read in row.reads
    }
    places, place_N = np.unique(np.concatenate([slots[i] for i in range(len(texts))]), return_inverse=True)
    return SharedBatch(
        tokens_BT,
        positions_BT,
        sight(rows),
        torch.from_numpy(np.stack(np.divmod(places, tokens_BT.shape[1]), axis=1)),
        torch.from_numpy(place_N),
        torch.from_numpy(np.concatenate([text.tokens[text.start :] for text in texts])),
        torch.tensor([i for i, text in enumerate(texts) for _ in text.tokens[text.start :]]),
    )


def pair_batch(pairs: Sequence[Pair], *, of: Sequence[Pair] = ()) -> PairBatch:
    """The arrays of `pairs`, one a row; `of` as for `answer_batch`."""
    share = len(pairs) / len(of) if of else 1.0
    target_share = _num_chosen(pairs) / max(1, _num_chosen(of)) if of else 1.0
    pairs = pairs or of[:1]
    rows = [_row(pair) for pair in pairs]
    chosen, rejected = ([row.reads[side].slots for row in rows] for side in (0, 1))
    ends = [(row, slots[-1]) for side in (chosen, rejected) for row, slots in enumerate(side)]
    # The last token is not predicted, and nothing is predicted from it.
    at = np.concatenate([np.stack((np.full(len(slots) - 2, row), slots[:-2]), 1) for row, slots in enumerate(chosen)])
    return PairBatch(
        filled([row.tokens for row in rows]),
        filled([row.depth for row in rows]),
        sight(rows),
        torch.tensor(np.array(ends)),
        torch.from_numpy(at),
        torch.from_numpy(np.concatenate([pair.chosen.tokens[pair.chosen.start : -1] for pair in pairs])),
        share,
        target_share,
    )


def _row(pair: Pair) -> Row:
    """Both texts, the chosen one read from where its answer is predicted on, the other at its end."""
    chosen, rejected = pair.chosen.tokens, pair.rejected.tokens
    # The last token is where a text is read, so each text has its own.
    shared = min(shared_length(chosen, rejected), len(chosen) - 1, len(rejected) - 1)
    return forked(Path(chosen, pair.chosen.start - 1), Path(rejected, len(rejected) - 1), shared)


def _num_targets(texts: Sequence[Encoded]) -> int:
    return sum(len(text.tokens) - text.start for text in texts)


def _num_chosen(pairs: Sequence[Pair]) -> int:
    return sum(len(pair.chosen.tokens) - 1 - pair.chosen.start for pair in pairs)


def _cut(places: Sequence[int], size: int) -> list[list[int]]:
    return [list(places[start : start + size]) for start in range(0, len(places), size)]
