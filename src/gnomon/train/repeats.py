"""A small decoder a share of whose documents is a small set, said again and again; the others come once.

    gnomon train repeats --share 0.9 --epochs 100
    gnomon train repeats --share 0.9 --epochs 100 --data notes.jsonl     the same on your own text
    gnomon train repeats --share 0 --text blocks --start run:ID          further training on another language

Hernandez et al. 2022 (arXiv 2205.10487): one cell of the grid that `gnomon study repeated-data` trains. The model
and its snapshots are those of `gnomon train toy`. Runs that share a seed share their first weights and the order of the
documents that come once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from gnomon.core.errors import UsageError
from gnomon.core.registry import registered
from gnomon.core.seeds import Seed
from gnomon.data.repeats import Divided, Tokens, divide
from gnomon.data.repeats import Schedule as Slots
from gnomon.data.worlds.blocks import Blocks
from gnomon.data.worlds.language import Documents, Language
from gnomon.learn.checkpoint import saved_step
from gnomon.learn.optim import Optim
from gnomon.models.families import load_folder
from gnomon.models.load import checkpoint_folder, content_hash
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Block, Transformer
from gnomon.train._fitting import STATE
from gnomon.train._text import open_documents, text_hash
from gnomon.train.toy import HELD_OUT, Drawn, Schedule, Toy, fit_toy, new_toy

if TYPE_CHECKING:
    from gnomon.store.run import Run

__all__ = [
    "HELD_OUT_ROWS",
    "SEEDS",
    "Repeats",
    "TextRows",
    "drop_out",
    "identity",
    "language_of",
    "repeated_numbers",
    "slots_of",
    "train",
    "unique_numbers",
]

# Where the numbers of the documents of one seed's set begin, and how many each seed has.
_SETS = 1 << 38
_SET, _UNIQUE = 1 << 20, 1 << 30
SEEDS = _SETS // _UNIQUE
"""Seeds whose documents are apart."""
HELD_OUT_ROWS = 256
"""Rows of a text that are held out; an artificial language has as many as are asked for."""


@registered
@dataclass(frozen=True, kw_only=True)
class Repeats(Toy):
    """Train a small decoder a share of whose documents is a small set, said again and again."""

    share: float = 0.5
    "Share of the documents that are repeats; 0 for none."
    epochs: float = 100.0
    "How often each document of the set comes."
    repeats_until: float = 1.0
    "Share of training after which no repeats come; so many as without it come before."
    text: Literal["copies", "blocks"] = "copies"
    "The language: chains of words with copies, or indented blocks of keys and values."
    data: Path | None = None
    "Train on this text file, JSON lines file or folder of such instead, with a tokenizer trained on it."
    start: str = ""
    "Model to train further, such as run:ID; by default a new one."
    batch: int = 16
    "Documents a step."
    peak_rate: float = 1e-2
    "Learning rate after the warm-up; it falls to 0 in a line."
    weight_decay: float = 0.0
    "Share of the rate by which matrices shrink at every step."
    dropout: float = 0.0
    "Chance that a number that attention or an MLP adds is left out of a training step."
    seed: int = 0
    "Seed of the first weights, and of which documents come and in which order."
    snapshots: int = 20
    "Models kept on the way, steps in geometric progression, beside the first and the last; 0 keeps none."

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.seed < SEEDS:
            raise UsageError(f"--seed is {self.seed}", todo=f"give one from 0 to {SEEDS - 1}")
        if self.start and self.data:
            raise UsageError("--start and --data have tokenizers of their own", todo="leave one of them out")
        if not (0 <= self.dropout < 1 and self.weight_decay >= 0):
            what = f"--dropout is {self.dropout:g}, --weight-decay {self.weight_decay:g}"
            raise UsageError(what, todo="give a chance below 1, and 0 or more")
        slots_of(self)

    @property
    def optim(self) -> Optim:
        """How weights move; the rate falls to 0, without which a small set is never quite known by heart."""
        return replace(super().optim, final=0.0, weight_decay=self.weight_decay)

    def language(self) -> Language:
        """What it is trained on, where it is no text."""
        if self.text == "blocks":
            return Blocks(vocabulary=self.vocabulary, seed=self.language_seed)
        return super().language()


def slots_of(cfg: Repeats) -> Slots:
    """Which slot of the training is filled from the set, and by what.

    Raises:
        UsageError: in whole documents the share or the epochs are off by more than 2 %.
    """
    seed = Seed(cfg.seed).child("repeats")
    slots = cfg.num_steps * cfg.batch
    return Slots.of(slots=slots, share=cfg.share, epochs=cfg.epochs, seed=seed, until=cfg.repeats_until)


def unique_numbers(cfg: Repeats) -> range:
    """Numbers of the documents that come once, in order."""
    begin = 0 if cfg.data else cfg.seed * _UNIQUE
    return range(begin, begin + slots_of(cfg).unique)


def repeated_numbers(cfg: Repeats) -> range:
    """Numbers of the documents of the set."""
    begin = _SETS + (0 if cfg.data else cfg.seed * _SET)
    return range(begin, begin + slots_of(cfg).size)


def language_of(cfg: Repeats, folder: Path) -> tuple[Language, Tokenizer | None]:
    """What the config trains on, and the tokenizer where it is a text's; of a text, documents are its rows.

    Args:
        folder: of the run, which keeps the tokenizer of a text.

    Raises:
        DataError: a text that cannot be read, is too short once duplicates are dropped.
    """
    return _of_text(cfg, folder) if cfg.data else (cfg.language(), None)


def identity(cfg: Repeats) -> dict[str, str]:
    """What decides a run's numbers beside its config: the hashes of the first weights and of the text."""
    found = {"start": content_hash(checkpoint_folder(cfg.start))} if cfg.start else {}
    return found | ({"data": text_hash(cfg.data)} if cfg.data else {})


def train(cfg: Repeats, run: Run) -> Path:
    """Trains and returns the folder of the checkpoint; snapshots are `run:ID@STEP`.

    The run notes from which step on it was trained in one go, and at how many tokens a second of processor time.

    Raises:
        Stopped: Ctrl-C; the same call goes on.
        DataError: see `language_of`.
    """
    slots, once, again = slots_of(cfg), unique_numbers(cfg), repeated_numbers(cfg)
    language, tokenizer = language_of(cfg, run.folder)
    dropped = {"rows dropped as duplicates": language.rows.dropped} if isinstance(language, TextRows) else {}

    def of(step: int) -> Drawn:
        rows = slots.rows(step * cfg.batch, (step + 1) * cfg.batch).tolist()
        return Drawn([once[row] if row >= 0 else again[-1 - row] for row in rows], [0] * len(rows))

    facts = {"share": slots.share, "epochs": slots.epochs, "documents in the set": slots.size, **dropped}
    model = load_folder(checkpoint_folder(cfg.start)) if cfg.start else new_toy(cfg, len(language.words))
    if cfg.dropout:
        drop_out(model, cfg.dropout)
    resumed_at, began = saved_step(run.folder / STATE), time.process_time()
    folder = fit_toy(cfg, run, language, Schedule(of), facts, start=model, tokenizer=tokenizer)
    if steps := cfg.num_steps - resumed_at:
        speed = steps * cfg.batch * cfg.context / (time.process_time() - began)
        run.note(resumed_at=resumed_at, tokens_a_second=round(speed))
    return folder


def drop_out(model: Transformer, chance: float) -> None:
    """Makes training steps leave out of the residual stream what a part adds to it, number by number."""

    def dropped(part: nn.Module, _: Any, added: Tensor) -> Tensor:
        return F.dropout(added, chance, training=part.training)

    for block in cast("Sequence[Block]", model.blocks):
        for part in (block.attn, block.mlp):
            if part is not None:
                part.register_forward_hook(dropped)


class TextRows(NamedTuple):
    """A divided text as a `Language`: its rows by number, of which none is a copy.

    Attributes:
        rows: by role.
        words: every token of the text's tokenizer.
    """

    rows: Divided
    words: Sequence[str]

    def documents(self, indices: Sequence[int], length: int) -> Documents:
        """The rows of these numbers, cut to `length` tokens."""
        tokens = np.stack([self._row(index)[:length] for index in indices]).astype(np.int64)
        floor = np.full(tokens.shape, np.nan, dtype=np.float32)
        return Documents(tokens, np.zeros(tokens.shape, dtype=np.bool_), floor)

    def _row(self, index: int) -> Tokens:
        if index >= HELD_OUT:
            return self.rows.held_out[index - HELD_OUT]  # type: ignore[no-any-return]  # a row of a matrix
        of, place = (self.rows.repeated, index - _SETS) if index >= _SETS else (self.rows.unique, index)
        return of[place]  # type: ignore[no-any-return]  # a row of a matrix


def _of_text(cfg: Repeats, folder: Path) -> tuple[TextRows, Tokenizer]:
    assert cfg.data is not None
    slots, read = slots_of(cfg), open_documents(cfg.data, None, folder)
    rows = divide(
        [np.array(ids, dtype=np.int32) for ids in read.documents],
        width=cfg.context,
        unique=slots.unique,
        repeated=slots.size,
        held_out=HELD_OUT_ROWS,
        seed=Seed(cfg.language_seed),
    )
    tokenizer = Tokenizer.load(read.tokenizer)
    return TextRows(rows, [tokenizer.token_text(i) for i in range(tokenizer.vocab_size)]), tokenizer
