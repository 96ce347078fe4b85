"""Where policies of a study start: a model that is named, or an assistant of mixed quality, trained once for all."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from gnomon.core.errors import UsageError
from gnomon.data.mixtures import sources
from gnomon.study._trained import Trained, train_all
from gnomon.train.sft import Sft

__all__ = ["Started", "of_brook", "started"]


class Started(NamedTuple):
    """The name of the model that policies start from, and its training where this study trained it."""

    model: str
    trained: list[Trained]


def of_brook(data: str) -> bool:
    """Whether all sources of `data` are Brook's, so that what an answer is worth is known."""
    return all(name.partition(":")[0] == "brook" for name in sources(data))


def started(start: str, asked: str, *, root: Path | None, workers: int) -> Started:
    """The model called `start`; where that is empty, Brook's after dialogues whose answers are good and bad.

    Args:
        start: a model's name, or empty.
        asked: what policies are asked, as `--data` of `train rlhf`.

    Raises:
        UsageError: policies are to be asked what such an assistant has not learnt to answer.
    """
    if start:
        return Started(start, [])
    if not of_brook(asked):
        todo = "give --start run:ID, what `gnomon train sft` left, or hf:FOLDER"
        raise UsageError("an assistant of mixed quality is trained for Brook's questions alone", todo=todo)
    trained = train_all([Sft(best_of=1)], root=root, workers=workers)
    return Started(trained[0].model, trained)
