"""Pretraining: Brook by default, or a user's own text; the output is a folder that `AutoModelForCausalLM` loads.

    gnomon train pretrain                          Brook, shape m, 12 million tokens
    gnomon train pretrain --dry-run                what it would train on, and nothing else
    gnomon train pretrain --data notes.txt         own text, with a tokenizer trained on it

One step is one batch through `step`; `learn.loop` does the rest. A Brook batch carries weights and planted
distributions: the loss at a place is the cross-entropy with the distribution, not with the word that was drawn from it.

Shapes: R rows, T positions, V vocabulary, S entries of planted distributions.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from gnomon.core.config import to_json
from gnomon.core.errors import UsageError
from gnomon.core.progress import progress
from gnomon.core.registry import registered
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook.mix import Corpus
from gnomon.data.worlds.brook.packing import Batch
from gnomon.data.worlds.brook.tables import world
from gnomon.data.worlds.brook.words import BOS, EOS, PAD
from gnomon.data.worlds.fingerprint import in_identity
from gnomon.learn.loop import LOGGED, Fit, StepResult
from gnomon.learn.optim import Optim
from gnomon.learn.start import match_at_start
from gnomon.models.families import save_folder
from gnomon.models.transformer import Transformer, TransformerConfig, num_parameters
from gnomon.train._fitting import shown_fit
from gnomon.train._readout import brook_readout
from gnomon.train._text import Special, open_text, text_hash

if TYPE_CHECKING:
    from gnomon.store.run import Run

__all__ = ["SHAPES", "Pretrain", "Shape", "document_mask", "identity", "new_model", "preview", "step", "train"]

_ROW_TOKENS = 256
# The step of the run in which letters bound; see docs/lab-log.md.
_ROWS = 2


class Shape(NamedTuple):
    """A size of the Llama shape: width, layers, heads, hidden width of the MLP, and the tokens it wants of Brook."""

    d_model: int
    num_layers: int
    num_heads: int
    d_mlp: int
    tokens: int


SHAPES: Mapping[str, Shape] = {
    "xs": Shape(48, 2, 2, 128, 4_000_000),
    "s": Shape(80, 3, 4, 216, 8_000_000),
    "m": Shape(128, 6, 4, 352, 12_000_000),
    "l": Shape(192, 6, 6, 512, 30_000_000),
}


@registered
@dataclass(frozen=True, kw_only=True)
class Pretrain:
    """Train a model from nothing: on the embedded world Brook, or on your own text."""

    model_size: Literal["xs", "s", "m", "l"] = "m"
    "Shape of the model: 0.1, 0.3, 1.3 or 2.8 million parameters."
    preset: Literal["S", "knowledge"] = "S"
    "Which Brook: S is what the shipped model learnt; knowledge has 2,000 facts and few other skills."
    half: Literal["", "first", "second"] = ""
    "State only one half of Brook's exposure facts: two such models know different things."
    data: Path | None = None
    "Train on this text file, JSON lines file or folder of such instead of Brook."
    tokenizer: Path | None = None
    "With --data: folder of a Hugging Face tokenizer; by default a byte-level BPE is trained on the text."
    tokens: int = 0
    "Row positions to train on; 0 takes what the shape needs (m: 12 million)."
    seed: int = 0
    "Seed of the world, the corpus and the first weights."
    labels: Literal["soft", "sampled"] = "soft"
    "Whether a place with a planted distribution is trained on the distribution or on the word drawn from it."
    peak_rate: float = 6e-4
    "Highest learning rate."
    watch_every: int = 500
    "Steps between readouts of Brook's skills; 0 reads them at the end only."
    bf16: bool = False
    "Bfloat16 arithmetic: about a fifth faster where the processor has it, and not the same numbers."

    def __post_init__(self) -> None:
        if self.tokens < 0 or 0 < self.tokens < _ROWS * _ROW_TOKENS:
            raise UsageError(f"--tokens is {self.tokens}", todo=f"give at least {_ROWS * _ROW_TOKENS}, one step")
        if self.tokenizer and not self.data:
            raise UsageError("--tokenizer needs --data", todo="Brook has its own tokenizer")

    @property
    def num_tokens(self) -> int:
        """Row positions of the run."""
        return self.tokens or SHAPES[self.model_size].tokens


def identity(cfg: Pretrain) -> dict[str, str]:
    """What decides the run's numbers beside its config: which Brook, or the contents of which files."""
    return in_identity(["brook"]) if cfg.data is None else {"data": text_hash(cfg.data)}


def train(cfg: Pretrain, run: Run) -> Path:
    """Trains and returns the folder of the checkpoint, `checkpoint/` inside the run's.

    Raises:
        Stopped: Ctrl-C; the same call goes on.
        DataError: `cfg.data` cannot be read or is too short.
    """
    corpus = _corpus(cfg, run.folder)
    model = new_model(cfg, corpus.special)
    plan = Fit(
        num_steps=corpus.num_steps,
        optim=Optim(peak=cfg.peak_rate, warmup_steps=min(100, corpus.num_steps // 10)),
        seed=Seed(cfg.seed).child("fit").value,
        watch_every=cfg.watch_every,
        bf16=cfg.bf16,
    )
    learn = partial(step, begin=corpus.begin)
    shown_fit(learn, corpus.batch, model, plan=plan, run=run, label=f"pretrain {cfg.model_size}", watch=corpus.watch)
    folder = run.folder / "checkpoint"
    corpus.save_tokenizer(folder)
    save_folder(model, folder)
    recipe = {
        "config": to_json(cfg),
        "parameters": num_parameters(model),
        "steps": corpus.num_steps,
        **corpus.facts(),
        "readouts": _readouts(run),
    }
    (folder / "recipe.json").write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")
    return folder


def _readouts(run: Run) -> dict[str, list[tuple[int, float]]]:
    """What was read of Brook's kinds, as (step, nats) by kind."""
    found: dict[str, list[tuple[int, float]]] = {}
    for step, name, value in run.metrics():
        if name not in LOGGED:
            found.setdefault(name, []).append((step, round(value, 4)))
    return found


def preview(cfg: Pretrain) -> dict[str, Any]:
    """What `train` would train on: corpus hash, shares of tokens drawn and planned, vocabulary; `--dry-run`."""
    if cfg.data is not None:
        raise UsageError("--dry-run describes Brook's corpus", todo="leave --data out")
    corpus = _Brook(cfg)
    shares = corpus.shares()
    return {
        "parameters": num_parameters(new_model(cfg, corpus.special)),
        **corpus.facts(),
        **{f"share of {kind}": f"{got:.2f} % (planned {planned:.2f} %)" for kind, (got, planned) in shares.items()},
    }


def new_model(cfg: Pretrain, special: Special) -> Transformer:
    """An untrained model of the config's shape for a tokenizer like `special`; weights from the config's seed."""
    shape = SHAPES[cfg.model_size]
    config = TransformerConfig(
        vocab_size=special.vocab_size,
        d_model=shape.d_model,
        num_layers=shape.num_layers,
        num_heads=shape.num_heads,
        d_mlp=shape.d_mlp,
        max_positions=1024,
        bos_token_id=special.bos,
        eos_token_ids=(special.eos,),
        pad_token_id=special.pad,
    )
    model = Transformer(config, generator=torch.Generator().manual_seed(0))
    match_at_start(model, torch.Generator().manual_seed(Seed(cfg.seed).child("weights").value))
    return model


def step(model: nn.Module, batch: Batch, *, begin: int | None = None) -> StepResult:
    """The weighted mean loss of a batch, in nats; planted distributions take the place of the drawn word.

    Args:
        begin: the token that every document of a row begins with; no document sees the one before it. None leaves
            rows whole.
    """
    tokens_RT = torch.from_numpy(batch.tokens).long()
    weights_N = torch.from_numpy(batch.weights)[:, 1:].reshape(-1)
    mask = None if begin is None else document_mask(tokens_RT[:, :-1], begin)
    logp_NV = torch.log_softmax(model(tokens_RT[:, :-1], mask=mask).flatten(0, 1).float(), dim=-1)
    losses_N = -logp_NV.gather(1, tokens_RT[:, 1:].reshape(-1, 1)).squeeze(1)
    if len(batch.soft_at):
        width = tokens_RT.shape[1]
        at_S = torch.from_numpy(batch.soft_at)
        # Place r * T + t is predicted one earlier, in rows that are one shorter.
        at_S = at_S - at_S // width - 1
        shares_S = -logp_NV[at_S, torch.from_numpy(batch.soft_tokens).long()] * torch.from_numpy(batch.soft_p)
        losses_N = losses_N.index_fill(0, at_S, 0.0).index_add(0, at_S, shares_S)
    return StepResult((losses_N * weights_N).sum() / weights_N.sum())


def document_mask(tokens_RT: Tensor, begin: int) -> Tensor:
    """What each place may look at, [R, 1, T, T]: true for itself and what stands before it in its document."""
    document_RT = (tokens_RT == begin).cumsum(1)
    same_RTT = document_RT[:, :, None] == document_RT[:, None, :]
    return same_RTT.tril()[:, None]


class _Corpus(Protocol):
    """What `train` needs of a corpus."""

    special: Special
    num_steps: int
    begin: int | None

    @property
    def watch(self) -> Callable[[nn.Module], Mapping[str, float]] | None: ...

    def batch(self, step: int) -> Batch: ...

    def save_tokenizer(self, folder: Path) -> None: ...

    def facts(self) -> Mapping[str, Any]: ...


class _Brook:
    """Brook's corpus as `train` wants it."""

    def __init__(self, cfg: Pretrain) -> None:
        self._soft = cfg.labels == "soft"
        whole = world(cfg.preset, cfg.seed)
        stated = {"": whole, **dict(zip(("first", "second"), whole.halves(), strict=True))}[cfg.half]
        self._corpus = Corpus.of(stated, tokens=cfg.num_tokens, seed=cfg.seed)
        words = self._corpus.world.vocabulary
        self.special = Special(len(words), words.ids[BOS], words.ids[EOS], words.ids[PAD])
        self.num_steps = self._corpus.num_steps
        self.begin: int | None = self.special.bos

    @cached_property
    def watch(self) -> Callable[[nn.Module], Mapping[str, float]]:
        return brook_readout(self._corpus.world, self._corpus.planned_shares())

    def batch(self, step: int) -> Batch:
        batch = self._corpus.batch(step)
        return batch if self._soft else replace(batch, soft_at=batch.soft_at[:0])

    def save_tokenizer(self, folder: Path) -> None:
        self._corpus.world.vocabulary.save(folder)

    def facts(self) -> dict[str, Any]:
        steps = min(self.num_steps, 256)
        return {
            "corpus_hash": self._corpus.digest(steps),
            "hash_of_steps": steps,
            "vocabulary": self.special.vocab_size,
        }

    def shares(self) -> dict[str, tuple[float, float]]:
        """Percent of all tokens by kind: as drawn, and as planned."""
        counts: Counter[str] = Counter()
        corpus, planned = self._corpus, self._corpus.planned_shares()
        with progress(corpus.num_segments, "corpus, stretch") as bar:
            for segment in range(corpus.num_segments):
                for document in chain.from_iterable(corpus.rows(segment)):
                    counts[document.kind] += document.num_tokens
                bar.advance()
        return {kind: (100 * n / counts.total(), planned[kind]) for kind, n in counts.most_common()}


def _corpus(cfg: Pretrain, folder: Path) -> _Corpus:
    if cfg.data is None:
        return _Brook(cfg)
    return open_text(
        cfg.data, cfg.tokenizer, folder, num_tokens=cfg.num_tokens, rows=_ROWS, width=_ROW_TOKENS, seed=cfg.seed
    )
