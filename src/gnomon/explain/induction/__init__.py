"""Which heads find what came before, and say again what followed it?

    gnomon explain induction --model brook
    gnomon explain induction --model hf:EleutherAI/pythia-70m --data pile-10k.jsonl
    gnomon explain induction --model run:ID --only attention,weights

Olsson et al. 2022, "In-context Learning and Induction Heads" (arXiv 2209.11895), on one model. A head is called an
induction head where it looks at what followed earlier copies of the token, more than it does where nothing repeats, and
what it looks at becomes likelier. `attention` says where heads look and what they copy, `weights` what their maps say
by themselves, and leaving each head out says what the model needs it for. `terms` says what paths through no head, one
head and heads that read heads take off the loss, where a model has no MLPs (Elhage et al. 2021); `labels` and
`translations`, whether a head looks at what is alike in kind or meaning alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from gnomon.core.errors import UsageError
from gnomon.core.record import Row
from gnomon.core.registry import registered
from gnomon.report.base import Report

if TYPE_CHECKING:
    from gnomon.models.local import LocalModel
    from gnomon.store.run import Run

__all__ = ["Induction", "Part", "explain", "summarise"]

Part = Literal["attention", "weights", "zero", "frozen", "mean", "terms", "labels", "translations"]


@registered
@dataclass(frozen=True, kw_only=True)
class Induction:
    """Rank a model's heads by what they do with repeated text, and by what the model loses without them."""

    data: tuple[str, ...] = ("brook",)
    "Text for heads that look one token back and for in-context learning: brook, or files of text."
    only: tuple[Part, ...] = ("attention", "weights", "zero", "frozen")
    "Heads left out: zero, frozen (later patterns kept), mean. Terms: paths through heads, of models without MLPs."
    n: int = 32
    "Random sequences: 25 tokens, said four times."
    windows: int = 16
    "Windows of text."
    window: int = 0
    "Tokens a window; 0 takes 512, or what the model has positions for."
    late: int = 0
    "Token index whose loss is held against that at --early, such as 500; 0 takes the last quarter of a window."
    early: int = 0
    "Such as 50; 0 takes the tenths about the first tenth."
    threshold: float = 0.3
    "Least prefix matching of an induction head, and least attention one token back of a previous-token head."
    precision: Literal["float32", "bfloat16"] = "float32"
    "Of the model's runs; bfloat16 takes a third of the time where the processor has it. Weights are read as they are."
    seed: int = 0
    "Seed of random sequences and of which texts are read."

    def __post_init__(self) -> None:
        if min(self.n, self.windows) < 2:
            raise UsageError(f"--n is {self.n} and --windows {self.windows}", todo="give 2 or more of each")
        if bool(self.late) != bool(self.early) or (self.late and not 0 < self.early < self.late):
            todo = "give both, such as --late 500 --early 50, or neither"
            raise UsageError(f"--late is {self.late} and --early {self.early}", todo=todo)
        if not self.only:
            raise UsageError("--only is empty", todo=f"name some of {', '.join(get_args(Part))}")


def explain(cfg: Induction, model: LocalModel, run: Run) -> Report:
    """Reads every head of `model`; the run's rows are its heads.

    Raises:
        DataError: the vocabulary or the texts are too small, or a window has no token at `late`.
        UsageError: the model has fewer positions than a repeated sequence has tokens.
    """
    from gnomon.explain.induction.reading import read_heads

    rows = read_heads(cfg, model)
    run.add(rows, range(len(rows)))
    return summarise(cfg, rows)


def summarise(cfg: Induction, rows: Sequence[Row]) -> Report:
    """The heads as a ranked table, with intervals over sequences and windows."""
    from gnomon.explain.induction.summary import report

    return report(cfg, rows)
