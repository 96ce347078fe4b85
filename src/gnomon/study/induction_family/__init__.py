"""When in training do induction heads form, and is that when a model learns to use its context?

    gnomon study induction-family --seeds 3 --workers 2
    gnomon study induction-family --mlp
    gnomon study induction-family --copy-rate 0                     nothing to copy: no head may form
    gnomon study induction-family --model run:ID@*
    gnomon study induction-family --model hf:ORG/NAME@step* --data TEXT.jsonl --tokens-a-step 2097152

Olsson et al. 2022 (arXiv 2209.11895), "In-context Learning and Induction Heads", for families of snapshots: the "model
analysis table" as one page. By default four small decoders are trained on a language whose copies are known: one layer
and two, with and without smeared keys, which let one layer look for what the key's neighbour was.

`series` finds the models, `measured` reads each of them once, `changes` dates what changed, `page` and `figures` show
it, `spoken` shows it on one document, and `rows` keeps it as a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from gnomon.core.errors import DataError, UsageError
from gnomon.core.registry import registered
from gnomon.core.seeds import Seed
from gnomon.explain.induction.sequences import bands, plain_tokens, repeats, texts, windows
from gnomon.explain.induction.snapshots import Shown, picked
from gnomon.models.families import read_config
from gnomon.models.load import checkpoint_folder
from gnomon.models.tokenizer import Tokenizer
from gnomon.study._trained import Studied, Trained, environment, train_all
from gnomon.study.induction_family.changes import FEWEST
from gnomon.study.induction_family.measured import measure
from gnomon.study.induction_family.page import dated, report
from gnomon.study.induction_family.rows import rows
from gnomon.study.induction_family.series import Series, check, of_names, of_trainings
from gnomon.study.induction_family.spoken import before_and_after
from gnomon.train.toy import HELD_OUT, TEXT, Toy, snapshot_steps, word_tokenizer

__all__ = ["InductionFamily", "study"]

_LONGEST = 512
# Faster than `gnomon train toy` is by default, so that in-context learning has levelled off when training ends.
_PEAK_RATE = 5e-3
_FOUR = ((1, False), (2, False), (1, True), (2, True))


@registered
@dataclass(frozen=True, kw_only=True)
class InductionFamily:
    """Date the induction heads of a training, and hold them against what the model makes of its context."""

    model: tuple[str, ...] = ()
    "Snapshots of your own trainings, such as run:ID@* or hf:ORG/NAME@step*; by default small decoders are trained."
    data: tuple[str, ...] = ()
    "With --model: text to read, brook or files; by default what a toy was held out, else brook."
    tokens_a_step: int = 0
    "With --model: tokens of a training step; by default steps are counted."
    window: int = 0
    "With --model: tokens a window; 0 takes 512, or what the models have positions for."
    mlp: bool = False
    "Train decoders with MLPs."
    copy_rate: float = 0.12
    "Chance at each place of the language that a copy begins; 0 for a language without copies."
    tokens: int = 3_276_800
    "Tokens of each training."
    snapshots: int = 40
    "Models kept of each training, beside the first and the last."
    seeds: int = 3
    "Trainings of each kind."
    documents: int = 256
    "Documents, or windows of text, that losses are read on."
    sequences: int = 32
    "Random sequences that heads are read on: 25 tokens, said four times."
    ablated: int = 128
    "Documents on which heads are left out, 128 at most; 0 leaves that part out."
    late: int = 0
    "Token index whose loss is held against that at --early, such as 500; 0 takes the last quarter of a document."
    early: int = 0
    "Such as 50; 0 takes the tenth of a document about its first tenth."
    seed: int = 0
    "Seed of random sequences, and of which texts are read."

    def __post_init__(self) -> None:
        if min(self.seeds, self.tokens_a_step + 1, self.window + 1) < 1 or min(self.documents, self.sequences) < 2:
            raise UsageError("a family needs a seed, and 2 or more documents and sequences", todo="see --help")
        if not 0 <= self.ablated <= 128:
            raise UsageError(f"--ablated is {self.ablated}", todo="give 0 to 128 documents")
        if bool(self.late) != bool(self.early) or (self.late and not 0 < self.early < self.late):
            todo = "give both, such as --late 500 --early 50, or neither"
            raise UsageError(f"--late is {self.late} and --early {self.early}", todo=todo)
        if self.data and not self.model:
            raise UsageError("--data is text for --model", todo="name models, or leave --data out")
        kept = len(snapshot_steps(_toy(self, 1, False, 0))) - 1
        if not self.model and kept < FEWEST:
            what = f"a training keeps {kept} models after its first step, and {FEWEST} are needed to date a change"
            raise UsageError(what, todo="give more --tokens, or more --snapshots")


def study(cfg: InductionFamily, root: Path | None, workers: int) -> Studied:
    """Trains the four kinds, or finds the models that are named, reads every snapshot, and puts them on one page.

    Raises:
        UsageError, DataError, ModelError: as in `series` and `sequences`.
    """
    trained: list[Trained] = []
    if not cfg.model:
        configs = [_toy(cfg, layers, smeared, seed) for layers, smeared in _FOUR for seed in range(cfg.seeds)]
        trained = train_all(configs, root=root, workers=workers)
    with environment(root, workers):
        series = check(of_names(cfg.model, cfg.tokens_a_step) if cfg.model else of_trainings(trained))
        shown = _read_aloud(cfg, series) if cfg.model else _language(cfg, trained[0].config)
    found = measure(series, shown, root=root, workers=workers)
    told = dated(found, shown)
    with environment(root, workers):
        spoken = before_and_after(told, shown)
    return Studied(report(told, shown, spoken), [*trained, *found], rows(told))


def _toy(cfg: InductionFamily, layers: int, smeared: bool, seed: int) -> Toy:
    return Toy(
        layers=layers,
        smear_keys=smeared,
        mlp=cfg.mlp,
        copy_rate=cfg.copy_rate,
        tokens=cfg.tokens,
        peak_rate=_PEAK_RATE,
        snapshots=cfg.snapshots,
        seed=seed,
    )


def _language(cfg: InductionFamily, toy: Toy) -> Shown:
    """Documents of the language that were not trained on; which tokens are copies is known."""
    language, seed = toy.language(), Seed(cfg.seed)
    made = language.documents(range(HELD_OUT, HELD_OUT + cfg.documents), toy.context)
    late, early = bands(toy.context, cfg.late, cfg.early)
    return Shown(
        repeats=repeats(plain_tokens(word_tokenizer(language.words)), cfg.sequences, seed, bos=0),
        tokens_NT=torch.from_numpy(made.tokens),
        clusters=tuple(str(i) for i in range(cfg.documents)),
        is_copy_NT=torch.from_numpy(made.is_copy),
        ablated=min(cfg.ablated, cfg.documents),
        picked_MP=picked(cfg.documents, toy.context, seed),
        late=late,
        early=early,
    )


def _read_aloud(cfg: InductionFamily, series: Sequence[Series]) -> Shown:
    """Windows of text in the models' own tokens."""
    names = [next(s.model for s in each.snapshots if s.revision) for each in series]
    folder, seed = checkpoint_folder(names[0]), Seed(cfg.seed)
    tokenizer = Tokenizer.load(folder)
    limit = min(read_config(checkpoint_folder(name)).max_positions for name in names)
    length = cfg.window or min(_LONGEST, limit)
    beside = folder.parent.parent / TEXT
    data = cfg.data or ((str(beside),) if beside.is_file() else ("brook",))
    found = windows(texts(data, cfg.documents, seed), tokenizer, cfg.documents, length)
    if len(found.clusters) < cfg.documents:
        what = f"the text has {len(found.clusters)} windows of {length} tokens"
        raise DataError(
            what, where=",".join(data), todo=f"give more text, or --documents {len(found.clusters)} or fewer"
        )
    late, early = bands(length, cfg.late, cfg.early)
    return Shown(
        repeats=repeats(plain_tokens(tokenizer), cfg.sequences, seed, bos=tokenizer.bos_id),
        tokens_NT=found.tokens_NT,
        clusters=found.clusters,
        is_copy_NT=None,
        ablated=min(cfg.ablated, cfg.documents),
        picked_MP=picked(cfg.documents, length, seed),
        late=late,
        early=early,
    )
