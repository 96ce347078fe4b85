"""How much does it cost to say a share of the data again and again, and what does it break in the model?

    gnomon study repeated-data                                     two sizes, five epochs, two shares
    gnomon study repeated-data --widths 32,48,64,96 --seeds 3 --workers 2
    gnomon study repeated-data --data texts/ --widths 64,128       the same on your own text

Hernandez et al. 2022, "Scaling Laws and Interpretability of Learning from Repeated Data" (arXiv 2205.10487). A family
of trainings on as many tokens: of each size one on documents that come once, and for each share and number of epochs
one of whose documents that share is a small set, gone through so often; and for each share one on the documents that
come once alone, with so many fewer tokens. Where repeating hurts most, copying, induction heads, another language and
training further on that language are read too. Negative controls are the same on a language without copies, where
there is nothing of induction to break, and models without repeats of another draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from gnomon.core.errors import Diverged, UsageError
from gnomon.core.record import Row
from gnomon.core.registry import registered
from gnomon.data.repeats import WINDOW, check_apart
from gnomon.study._trained import Studied, Trained, train_each
from gnomon.study.repeated_data.family import AGAIN, EARLY, FEWER, OTHER_DRAW, WITHOUT_COPIES, Family, means
from gnomon.study.repeated_data.measures import OTHER, measure_all
from gnomon.study.repeated_data.summary import report
from gnomon.train.repeats import HELD_OUT_ROWS, SEEDS, Repeats, repeated_numbers, unique_numbers
from gnomon.train.toy import HELD_OUT

__all__ = ["MITIGATIONS", "Cell", "RepeatedData", "row_of", "study"]

MITIGATIONS: Mapping[str, Mapping[str, Any]] = {"weight decay": {"weight_decay": 0.1}, "dropout": {"dropout": 0.1}}
"""What a training may have against learning by heart, which the paper leaves out."""


@registered
@dataclass(frozen=True, kw_only=True)
class RepeatedData:
    """Train a family of small decoders on repeated data: by size, share of repeats and epochs over them."""

    widths: tuple[int, ...] = (32, 64)
    "Widths of the residual stream, which make the ladder of sizes."
    shares: tuple[float, ...] = (0.5, 0.9)
    "Shares of the documents that are repeats."
    epochs: tuple[float, ...] = (8, 32, 100, 320, 800)
    "How often each document of the set comes; as many tokens in all, so a larger number is a smaller set."
    tokens: int = 2_048_000
    "Tokens of every training."
    layers: int = 2
    "Blocks."
    mlp: bool = False
    "Blocks have an MLP; copying then comes later in training."
    context: int = 128
    "Tokens of a document."
    text: Literal["copies", "blocks"] = "copies"
    "The language: chains of words with copies, or indented blocks of keys and values."
    data: Path | None = None
    "Train on this text file, JSON lines file or folder of such instead of the artificial language."
    copy_rate: float = 0.05
    "Chance at each place of the artificial language that a copy begins."
    fine_tune: int = 409_600
    "Tokens of training further on the other language; 0 for none. With --data there is no other."
    without_copies: bool = True
    "Train the worst share and epochs on chains of words without copies too. With --data and blocks there are none."
    mitigate: bool = False
    "Train the worst share and epochs with weight decay, dropout, and all repeats early too, beside such without any."
    retry: bool = False
    "Train what diverges once more, at half the rate."
    seeds: int = 1
    "Trainings of each; a seed draws first weights, order and which documents are repeated."

    def __post_init__(self) -> None:
        named = (self.widths, self.shares, self.epochs)
        if not 1 <= self.seeds <= SEEDS // 2 or not all(named):
            what = f"a family needs a width, a share, a number of epochs, and 1 to {SEEDS // 2} seeds"
            raise UsageError(what, todo="--widths 32,64")
        if any(len(set(each)) < len(each) for each in named):
            raise UsageError("something is named twice", todo="name each of --widths, --shares and --epochs once")
        if min(self.shares) <= 0:
            raise UsageError(f"--shares has {min(self.shares):g}", todo="models without repeats are trained anyway")
        if self.fine_tune < 0:
            raise UsageError(f"--fine-tune is {self.fine_tune}", todo="give 0 or more")
        for cell in self.cells():
            cell.config(self)

    def cells(self) -> list[Cell]:
        """Every training of the grid, those without repeats first."""
        controls = [Cell("control", width, seed) for width in sorted(self.widths) for seed in range(self.seeds)]
        shares = [each._replace(share=share) for each in controls for share in sorted(self.shares)]
        repeats = [each._replace(kind="repeats", epochs=e) for each in shares for e in sorted(self.epochs)]
        return [*controls, *repeats, *(each._replace(kind=FEWER) for each in shares)]


class Cell(NamedTuple):
    """A training's place in the family.

    Attributes:
        kind: control, repeats and fewer tokens, whose share is that of the repeats it leaves out; and after them, of
            the worst epochs, without copies, another draw, a mitigation, scratch and tuned.
        width: of the model.
        seed: which repetition.
        share, epochs: of the repeats; of a model that was trained further, those of its first training.
        start: the model that was trained further.
    """

    kind: str
    width: int
    seed: int
    share: float = 0.0
    epochs: float = 1.0
    start: str = ""

    @property
    def place(self) -> str:
        """The key of its row."""
        return f"{self.kind}, width {self.width}, share {self.share:g}, epochs {self.epochs:g}, seed {self.seed}"

    def config(self, cfg: RepeatedData) -> Repeats:
        """Its training."""
        made = Repeats(
            width=self.width,
            heads=max(1, self.width // 16),
            layers=cfg.layers,
            mlp=cfg.mlp,
            context=cfg.context,
            tokens=cfg.tokens,
            seed=self.seed,
            share=self.share,
            epochs=self.epochs,
            text=cfg.text,
            data=cfg.data,
            copy_rate=cfg.copy_rate,
            **MITIGATIONS.get(self.kind.removesuffix(AGAIN), {}),
        )
        if self.kind.startswith(WITHOUT_COPIES):
            return replace(made, copy_rate=0.0)
        if self.kind == FEWER:
            return replace(made, share=0.0, tokens=round((1 - self.share) * cfg.tokens))
        if self.kind == OTHER_DRAW:
            return replace(made, seed=self.seed + SEEDS // 2)
        if self.kind == EARLY + AGAIN:
            return replace(made, repeats_until=(1 + self.share) / 2)
        if self.kind in ("scratch", "tuned"):
            # Half the rate, as in the paper.
            rate = made.peak_rate / (2 if self.start else 1)
            further = replace(made, share=0.0, epochs=1.0, tokens=cfg.fine_tune, peak_rate=rate)
            return replace(further, text=OTHER[cfg.text], start=self.start)
        return made


def study(cfg: RepeatedData, root: Path | None, workers: int) -> Studied:
    """Trains the grid, then what is read where repeats hurt most.

    Raises:
        Stopped: Ctrl-C; the same call goes on.
        DataError: documents of the set, those that come once and held-out ones have 50 tokens in a row in common, or
            of blocks are the same.
        UsageError: in whole documents a share or a number of epochs is off by more than 2 %.
    """
    cells = cfg.cells()
    if cfg.data is None:
        # Of a text, every training checks its own rows.
        for seed in range(cfg.seeds):
            largest = Cell("repeats", cfg.widths[0], seed, max(cfg.shares), min(cfg.epochs)).config(cfg)
            _check(unique_numbers(replace(largest, share=0.0)), largest)
    trained, rows = _done(cfg, cells, root, workers)
    more = list(
        _further(cfg, Family.of(rows), {row.key: str(row.evidence["run"]) for row in rows if "run" in row.evidence})
    )
    later, later_rows = _done(cfg, more, root, workers)
    return Studied(report([*rows, *later_rows]), [*trained, *later], [*rows, *later_rows])


def _check(unique: Sequence[int], cfg: Repeats) -> None:
    """Refuses documents that are not apart: those that come once, the set of `cfg`, and the held-out ones."""
    held_out = range(HELD_OUT, HELD_OUT + HELD_OUT_ROWS)
    numbers = {"unique": unique, "repeated": repeated_numbers(cfg), "held_out": held_out}
    # A block may be one line said again and again, so that two have 50 tokens in common by chance.
    window = cfg.context if cfg.text == "blocks" else WINDOW
    check_apart({name: cfg.language().documents(of, cfg.context).tokens for name, of in numbers.items()}, window)


def _done(cfg: RepeatedData, cells: Sequence[Cell], root: Path | None, workers: int) -> tuple[list[Trained], list[Row]]:
    """Trains and measures; what diverged has a row that says so, and no measurements."""
    configs = [cell.config(cfg) for cell in cells]
    found = train_each(configs, root=root, workers=workers)
    if cfg.retry:
        pairs = zip(configs, found, strict=True)
        again = [replace(c, peak_rate=c.peak_rate / 2) if isinstance(f, Diverged) else c for c, f in pairs]
        found = train_each(again, root=root, workers=workers)
    trained = [each for each in found if isinstance(each, Trained)]
    measured = iter(measure_all(trained, root=root, workers=workers))
    rows = [row_of(c, f, {} if isinstance(f, Diverged) else next(measured)) for c, f in zip(cells, found, strict=True)]
    return trained, rows


def row_of(cell: Cell, found: Trained | Diverged, measured: Mapping[str, Any]) -> Row:
    """The row of a training; one that diverged, or ends worse on its own data than a guess, says so.

    Where repeats are early the last steps are of what comes once alone and may cost more than a guess, so that only the
    first is looked for.
    """
    cluster = f"seed {cell.seed}"
    evidence = {name: getattr(cell, name) for name in ("kind", "width", "seed", "share", "epochs")}
    if isinstance(found, Diverged):
        return Row(key=cell.place, cluster=cluster, evidence={**evidence, "diverged": found.what})
    evidence |= {"run": found.run, "rate": found.config.peak_rate, "means": means(measured), "measured": measured}
    if measured["training"] > measured["uniform"] and not cell.kind.startswith(EARLY):
        evidence["diverged"] = f"the last steps cost {measured['training']:.2f} nats, a guess {measured['uniform']:.2f}"
    return Row(key=cell.place, cluster=cluster, evidence=evidence)


def _further(cfg: RepeatedData, family: Family, runs: Mapping[str, str]) -> Iterator[Cell]:
    """What is trained when it is known where repeats hurt most: at the largest share.

    Args:
        family: of the grid.
        runs: ids of its trainings, by place.
    """
    share, width = max(cfg.shares), family.widths[-1]
    wanted = [WITHOUT_COPIES] * (cfg.without_copies and cfg.text == "copies" and not cfg.data)
    wanted += list(MITIGATIONS) * cfg.mitigate
    for seed in range(cfg.seeds):
        yield Cell(OTHER_DRAW, family.widths[len(family.widths) // 2], seed)
        for kind in wanted:
            yield Cell(kind, width, seed)
            yield Cell(kind + AGAIN, width, seed, share, family.worst(width, share))
        if cfg.mitigate:
            yield Cell(EARLY + AGAIN, width, seed, share, family.worst(width, share))
        for each in family.widths if cfg.fine_tune and not cfg.data else ():
            yield Cell("scratch", each, seed)
            for first in (Cell("control", each, seed), Cell("repeats", each, seed, share, family.worst(each, share))):
                yield first._replace(kind="tuned", start=f"run:{runs[first.place]}")
