"""A small decoder trained on an artificial language whose copies are known, with models kept on the way.

    gnomon train toy                              two layers of attention alone; 3 million tokens, under a minute
    gnomon train toy --layers 1 --smear-keys
    gnomon explain induction --model run:ID@STEP --data runs/train-toy-ID/held-out.jsonl

Olsson et al. 2022 (arXiv 2209.11895), "small attention-only models", at a size that trains in seconds. Rates are
constant after the warm-up, so that nothing but learning bends a curve. Snapshots lie at steps in geometric progression;
`run:ID@0` is the model before its first step.

`fit_toy` does the work for any `Language` and any `Schedule`, which says which documents a step reads: other methods
bring their own.

Shapes: B documents a step, T tokens, V words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gnomon.core.config import to_json
from gnomon.core.errors import UsageError
from gnomon.core.registry import registered
from gnomon.core.seeds import Seed
from gnomon.data.worlds.copies import Copies
from gnomon.data.worlds.language import BOS, Documents, Language
from gnomon.learn.loop import Fit, StepResult, one_thread_if_small
from gnomon.learn.optim import Optim
from gnomon.models.families import save_folder
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Transformer, TransformerConfig, num_parameters
from gnomon.train._fitting import at_least, shown_fit

if TYPE_CHECKING:
    from gnomon.store.run import Run

__all__ = [
    "HELD_OUT",
    "TEXT",
    "Drawn",
    "Schedule",
    "Toy",
    "fit_toy",
    "fresh",
    "losses_by_kind",
    "new_toy",
    "read",
    "snapshot_steps",
    "train",
    "warmup_steps",
    "word_tokenizer",
]

HELD_OUT = 1 << 40
"""Documents from this number on are never trained on."""

TEXT = "held-out.jsonl"
"""Documents that the run's model was not trained on, in its folder: text for instruments that read some."""

_KEPT, _READ = 256, 64
# Documents of so many steps are written at once: most of the cost is that of a step of NumPy, not of its rows.
_WRITTEN_AT_ONCE = 16


@registered
@dataclass(frozen=True, kw_only=True)
class Toy:
    """Train a small decoder on an artificial language whose copies are known, and keep models on the way."""

    layers: int = 2
    "Blocks."
    width: int = 64
    "Of the residual stream."
    heads: int = 4
    "Heads a block."
    mlp: bool = False
    "Blocks have an MLP, four times as wide; else they are attention alone."
    positions: Literal["shortformer", "rotary", "learned"] = "shortformer"
    "Where positions enter: queries and keys (shortformer), by rotation, or the residual stream (learned)."
    smear_keys: bool = False
    "Keys are mixed with those of the token before, by a share that each head learns."
    context: int = 128
    "Tokens of a document."
    batch: int = 32
    "Documents a step."
    tokens: int = 3_276_800
    "Tokens to train on."
    peak_rate: float = 3e-3
    "Learning rate after the warm-up."
    snapshots: int = 40
    "Models kept on the way, steps in geometric progression, beside the first and the last; 0 keeps none."
    bf16: bool = False
    "Bfloat16 arithmetic, where the processor has it: not the same numbers."
    seed: int = 0
    "Seed of the first weights; documents are those of --language-seed."
    vocabulary: int = 64
    "Words of the language."
    exponent: float = 1.0
    "How unequal a word's successors are: rank to the power of minus this."
    second_order: float = 0.5
    "Share of fresh tokens that the token before last decides."
    copy_rate: float = 0.12
    "Chance at each place that a copy begins; 0 for a language without copies."
    shortest: int = 8
    "Tokens of the shortest copy."
    longest: int = 24
    "Tokens of the longest copy."
    noise: float = 0.0
    "Share of a copy's tokens that are fresh instead."
    language_seed: int = 0
    "Seed of the language and its documents."

    def __post_init__(self) -> None:
        at_least(1, width=self.width, layers=self.layers, heads=self.heads, batch=self.batch)
        at_least(0, snapshots=self.snapshots)
        if self.width % self.heads:
            raise UsageError(f"{self.heads} heads do not share a width of {self.width}", todo="give a divisor of it")
        if self.tokens < self.batch * self.context:
            raise UsageError(f"--tokens is {self.tokens}", todo=f"give {self.batch * self.context}, one step, or more")
        if self.context < 2:
            raise UsageError(f"--context is {self.context}", todo="give 2 or more")
        self.language()

    @property
    def num_steps(self) -> int:
        """Optimiser steps."""
        return self.tokens // (self.batch * self.context)

    @property
    def optim(self) -> Optim:
        """How weights move; the rate is constant after its warm-up."""
        rise = warmup_steps(self)
        return Optim(peak=self.peak_rate, final=1.0, warmup_steps=rise, betas=(0.9, 0.99), weight_decay=0.0)

    def language(self) -> Language:
        """What it is trained on."""
        return Copies(
            vocabulary=self.vocabulary,
            successors=min(16, self.vocabulary),
            exponent=self.exponent,
            second_order=self.second_order,
            copy_rate=self.copy_rate,
            shortest=self.shortest,
            longest=self.longest,
            noise=self.noise,
            seed=self.language_seed,
        )


class Drawn(NamedTuple):
    """Which documents a step reads: their numbers [B] and, of each, its place in the schedule's `parts` [B]."""

    indices: Sequence[int]
    part: Sequence[int]


class Schedule(NamedTuple):
    """Which documents a training reads.

    Attributes:
        of: documents of a step, as a function of the step alone; as many as the config's batch.
        parts: kinds of documents, such as ("unique", "repeated"). With two or more the loss of each is logged, and
            every step has documents of each.
    """

    of: Callable[[int], Drawn]
    parts: tuple[str, ...] = ("unique",)


class _Batch(NamedTuple):
    """Documents [B, T], and the part [B] of the schedule that each belongs to."""

    documents: Documents
    part: Sequence[int]


def fresh(batch: int) -> Schedule:
    """No document twice: step i reads documents i * batch to (i + 1) * batch - 1."""
    return Schedule(lambda step: Drawn(range(step * batch, (step + 1) * batch), [0] * batch))


def train(cfg: Toy, run: Run) -> Path:
    """Trains and returns the folder of the checkpoint; snapshots are `run:ID@STEP`.

    Raises:
        Stopped: Ctrl-C; the same call goes on.
    """
    return fit_toy(cfg, run, cfg.language(), fresh(cfg.batch))


def fit_toy(
    cfg: Toy,
    run: Run,
    language: Language,
    schedule: Schedule,
    facts: Mapping[str, Any] | None = None,
    *,
    start: Transformer | None = None,
    tokenizer: Tokenizer | None = None,
) -> Path:
    """Trains the model of `cfg` on the documents of `language` that `schedule` names.

    Logged: the loss, that of each part of the schedule, that of fresh and of copied tokens; at snapshots the same of
    documents that are never trained on ("held-out"). All in nats a token.

    Args:
        facts: what goes into the recipe beside the config.
        start: the model to train further; None is a new one.
        tokenizer: of the language; None is one whose tokens are the language's words.
    """
    model = start or new_toy(cfg, len(language.words))
    tokenizer = tokenizer or word_tokenizer(language.words)
    held_out = language.documents(range(HELD_OUT, HELD_OUT + _KEPT), cfg.context)
    _write_text(run.folder / TEXT, held_out, language.words)
    batches, kept, watched = _Batches(language, schedule, cfg), snapshot_steps(cfg), held_out.rows(slice(_READ))

    def snapshot(done: int) -> None:
        if done in kept:
            save_folder(model, run.folder / "snapshots" / str(done), tokenizer=tokenizer)
            run.add_metrics(done, {f"held-out {name}": value for name, value in read(model, watched).items()})

    def at(step: int) -> _Batch:
        # The loop asks for a step's batch when the steps before it are done.
        snapshot(step)
        return batches(step)

    learn, label = partial(_step, schedule.parts), f"toy of {cfg.layers} layers"
    shown_fit(learn, at, model, plan=_plan(cfg), run=run, label=label)
    snapshot(cfg.num_steps)
    folder = run.folder / "checkpoint"
    save_folder(model, folder, tokenizer=tokenizer)
    recipe = {
        "config": to_json(cfg),
        "parameters": num_parameters(model),
        "tokens_a_step": cfg.batch * cfg.context,
        **({"floor": float(np.nanmean(held_out.floor))} if np.isfinite(held_out.floor).any() else {}),
        **(facts or {}),
    }
    (folder / "recipe.json").write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")
    return folder


def snapshot_steps(cfg: Toy) -> tuple[int, ...]:
    """Steps after which the model is kept: 0, the last, and `cfg.snapshots` between 1 % of training and its end."""
    if not cfg.snapshots:
        return ()
    between = np.geomspace(max(1, cfg.num_steps / 100), cfg.num_steps, cfg.snapshots + 1)
    return tuple(sorted({0, cfg.num_steps, *(round(step) for step in between)}))


def new_toy(cfg: Toy, num_words: int) -> Transformer:
    """The model before its first step."""
    config = TransformerConfig(
        vocab_size=num_words,
        d_model=cfg.width,
        num_layers=cfg.layers,
        num_heads=cfg.heads,
        d_mlp=4 * cfg.width if cfg.mlp else 0,
        mlp="gelu" if cfg.mlp else "none",
        max_positions=cfg.context,
        positions=cfg.positions,
        smear_keys=cfg.smear_keys,
        tie_embeddings=False,
        bos_token_id=0,
        family="gnomon-attn",
    )
    return Transformer(config, generator=torch.Generator().manual_seed(Seed(cfg.seed).child("weights").value))


def warmup_steps(cfg: Toy) -> int:
    """Steps over which the rate rises; it is constant from there on."""
    return min(50, cfg.num_steps // 4)


def word_tokenizer(words: Sequence[str]) -> Tokenizer:
    """One word, one token, split on white space; the first word is `BOS` and begins every text."""
    import tokenizers as tk

    backend = tk.Tokenizer(tk.models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = tk.pre_tokenizers.WhitespaceSplit()
    backend.post_processor = tk.processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, 0)])
    backend.add_special_tokens([BOS])
    return Tokenizer(backend, special={"bos_token": BOS})


@torch.no_grad()
def read(model: Transformer, documents: Documents) -> dict[str, float]:
    """The loss of documents in nats a token: of all ("loss"), of fresh and of copied tokens ("fresh", "copied")."""
    model.eval()
    with one_thread_if_small(model):
        losses_BT = _losses(model, torch.from_numpy(documents.tokens))
    return {name: float(value) for name, value in losses_by_kind(losses_BT, documents).items()}


def losses_by_kind(losses_BT: Tensor, documents: Documents) -> dict[str, Tensor]:
    """The mean of losses [B, T - 1] of tokens after the first: of all, and of fresh and copied ones where there are."""
    masks = {"fresh": documents.is_fresh, "copied": documents.is_copy}
    found = {"loss": losses_BT.mean()}
    for name, mask in masks.items():
        if mask.any():
            found[name] = losses_BT[torch.from_numpy(mask[:, 1:])].mean()
    return found


def _plan(cfg: Toy) -> Fit:
    return Fit(num_steps=cfg.num_steps, optim=cfg.optim, seed=Seed(cfg.seed).child("fit").value, bf16=cfg.bf16)


def _write_text(path: Path, documents: Documents, words: Sequence[str]) -> None:
    """Documents as JSON lines, `BOS` left to the tokenizer."""
    said = (" ".join(words[token] for token in row[1:]) for row in documents.tokens.tolist())
    lines = (json.dumps({"id": f"document {place}", "text": text}) for place, text in enumerate(said))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


class _Batches:
    """Documents of each step, written several steps at a time."""

    def __init__(self, language: Language, schedule: Schedule, cfg: Toy) -> None:
        self._language, self._schedule, self._cfg = language, schedule, cfg
        self._begin, self._held = -1, language.documents([0], 1)

    def __call__(self, step: int) -> _Batch:
        begin = step - step % _WRITTEN_AT_ONCE
        if begin != self._begin:
            steps = range(begin, min(begin + _WRITTEN_AT_ONCE, self._cfg.num_steps))
            indices = [index for each in steps for index in self._schedule.of(each).indices]
            self._begin, self._held = begin, self._language.documents(indices, self._cfg.context)
        rows = slice((step - begin) * self._cfg.batch, (step - begin + 1) * self._cfg.batch)
        return _Batch(self._held.rows(rows), self._schedule.of(step).part)


def _step(parts: Sequence[str], model: nn.Module, batch: _Batch) -> StepResult:
    losses_BT = _losses(model, torch.from_numpy(batch.documents.tokens))
    found = losses_by_kind(losses_BT.detach(), batch.documents)
    metrics: dict[str, float | Tensor] = {name: found[name] for name in ("fresh", "copied") if name in found}
    if len(parts) > 1:
        part_B = torch.as_tensor(batch.part)
        metrics |= {name: losses_BT[part_B == i].mean().detach() for i, name in enumerate(parts)}
    return StepResult(losses_BT.mean(), metrics)


def _losses(model: nn.Module, tokens_BT: Tensor) -> Tensor:
    """Nats [B, T - 1] of every token after the first."""
    logits_NV = model(tokens_BT[:, :-1]).flatten(0, 1).float()
    flat: Tensor = F.cross_entropy(logits_NV, tokens_BT[:, 1:].flatten(), reduction="none")
    return flat.view(len(tokens_BT), -1)
