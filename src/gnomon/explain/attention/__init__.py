"""Where does each head look, and what does it add to the token that comes next?

    gnomon explain attention --model brook
    gnomon explain attention --model hf:FOLDER --text "Mr and Mrs Dursley ... Mr and Mrs Dursley"
    gnomon explain attention --model run:LATER --against run:EARLIER --data story.txt

The page has every head's pattern as a small picture, in an order of the reader's choice, the chosen one large, and the
text, whose tokens are coloured by their loss, by how much it differs from that of a second model, by a head's share in
their logits, or, under the pointer, by where the head looks from there. The terminal has the heads that move the next
token's logit most (direct logit attribution, `gnomon.models.attribution`).
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

__all__ = ["Attention", "explain", "summarise"]


@registered
@dataclass(frozen=True, kw_only=True)
class Attention:
    """Look at where every head looks in a few texts, and at what each adds to the next token's logit."""

    text: str = ""
    "The text to look at; empty takes some of --data."
    data: tuple[str, ...] = ("brook",)
    "Where texts come from: brook, or files of text."
    n: int = 6
    "Texts of --data."
    window: int = 96
    "Tokens of each; the rest is cut off."
    against: ModelName = ModelName("")
    "A second model with the same tokens; the page colours each token by its loss less that model's."
    seed: int = 0
    "Seed of which texts are taken."

    def __post_init__(self) -> None:
        if self.n < 1 or self.window < 2:
            raise UsageError(f"--n is {self.n} and --window {self.window}", todo="give a text, and 2 tokens or more")


def explain(cfg: Attention, model: LocalModel, run: Run) -> Report:
    """Reads every head of `model` on every text; the run's rows are the texts.

    Raises:
        DataError: a text is too short, or the second model has other tokens.
        UsageError: a model has fewer positions than a text has tokens, or is run by another library.
    """
    from gnomon.explain.attention.reading import read_texts

    rows = read_texts(cfg, model)
    run.add(rows, range(len(rows)))
    return summarise(cfg, rows)


def summarise(cfg: Attention, rows: Sequence[Row]) -> Report:
    """The heads by what they add to the next token, and the page to look into."""
    from gnomon.explain.attention.summary import report

    return report(cfg, rows)
