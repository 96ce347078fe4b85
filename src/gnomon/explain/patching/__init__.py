"""What inside a model carries the difference between two texts?

    gnomon explain patching --answer mill --wrong inn \
        --clean "Note: the home of zarn is the mill . Question: where does zarn live ? Answer:" \
        --corrupt "Note: the home of zarn is the inn . Question: where does zarn live ? Answer:"

The corrupt text is run with one activation at a time as it is in the clean text. Where the answer that only the clean
text has comes back, there its difference passes: by layer and token for the residual stream, for what attention and
MLPs add, and by head. Recovered is the share of the difference of the two answers' logits between the two runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gnomon.core.errors import UsageError
from gnomon.core.record import Row
from gnomon.core.registry import registered
from gnomon.report.base import Report

if TYPE_CHECKING:
    from gnomon.models.local import LocalModel
    from gnomon.store.run import Run

__all__ = ["Patching", "explain", "summarise"]


@registered
@dataclass(frozen=True, kw_only=True)
class Patching:
    """Put activations of one text into a run on another, one at a time, and see which bring its answer back."""

    clean: str = ""
    "A text that the answer follows."
    corrupt: str = ""
    "A text of as many tokens that the wrong answer follows."
    answer: str = ""
    "One token, with its leading space where the tokenizer has one."
    wrong: str = ""
    "Another."

    def __post_init__(self) -> None:
        lacking = [f"--{name}" for name in ("clean", "corrupt", "answer", "wrong") if not getattr(self, name)]
        if lacking:
            raise UsageError(f"no {' and no '.join(lacking)} is given", todo="give two texts and two answers")


def explain(cfg: Patching, model: LocalModel, run: Run) -> Report:
    """Patches every site of `model`; the run's rows are the two runs and the sites.

    Raises:
        DataError: an answer is not one token, or the two texts favour the answers alike.
        UsageError: the texts have different numbers of tokens, or the model is run by another library.
    """
    from gnomon.explain.patching.reading import read_sites

    rows = read_sites(cfg, model)
    run.add(rows, range(len(rows)))
    return summarise(cfg, rows)


def summarise(cfg: Patching, rows: Sequence[Row]) -> Report:
    """Maps of what each site brings back."""
    from gnomon.explain.patching.summary import report

    return report(cfg, rows)
