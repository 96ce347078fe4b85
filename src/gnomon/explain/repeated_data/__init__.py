"""What did repeated data do to a model? Two checkpoints held against each other, text by text.

    gnomon explain repeated-data --model run:REPEATS --against run:CONTROL --data runs/train-repeats-ID/held-out.jsonl
    gnomon explain repeated-data --model hf:EleutherAI/pythia-160m --against hf:EleutherAI/pythia-160m-deduped

Hernandez et al. 2022 (arXiv 2205.10487): a model that spent itself on learning repeats by heart copies worse than its
test loss tells, because its induction heads are worse. Read of both, paired: the loss of texts, of paragraphs said up
to eleven times over by copy, prefix matching of every head, and every token of one paragraph said again. Families that
are trained for this are `gnomon study repeated-data`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gnomon.core.errors import UsageError
from gnomon.core.record import Row
from gnomon.core.registry import registered
from gnomon.report.base import Report
from gnomon.trial import ModelName

if TYPE_CHECKING:
    from gnomon.models.local import LocalModel
    from gnomon.store.run import Run

__all__ = ["RepeatedData", "explain", "summarise"]


@registered
@dataclass(frozen=True, kw_only=True)
class RepeatedData:
    """Hold a model against one that saw less repeated data: how well they copy, and by which heads."""

    against: ModelName = ModelName("")
    "The other model, with the same tokens, such as one of deduplicated data."
    data: tuple[str, ...] = ("brook",)
    "Texts that neither was trained on: brook, or files of text."
    n: int = 50
    "Windows of text, whose first tokens are the paragraphs that are said again; and random sequences."
    window: int = 0
    "Tokens a window; 0 takes 512, or what the models have positions for."
    seed: int = 0
    "Seed of random sequences and of which texts are read."

    def __post_init__(self) -> None:
        if not self.against:
            raise UsageError("a model is held against nothing", where="--against", todo="name another one")
        if self.n < 2:
            raise UsageError(f"--n is {self.n}", todo="give 2 or more")


def explain(cfg: RepeatedData, model: LocalModel, run: Run) -> Report:
    """Reads both models; the run's rows are windows of text, random sequences, and both models' heads.

    Raises:
        UsageError: both names are the same weights, or a model is run by another library.
        DataError: the models have different tokens, or no text has a window.
    """
    from gnomon.explain.repeated_data.pair import read_pair

    rows = read_pair(cfg, model)
    run.add(rows, range(len(rows)))
    return summarise(cfg, rows)


def summarise(cfg: RepeatedData, rows: Sequence[Row]) -> Report:
    """The model less the other one, with intervals over documents and sequences."""
    from gnomon.explain.repeated_data.summary import report

    return report(rows)
