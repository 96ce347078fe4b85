"""What goes into a trial and what comes out of it: items and rows.

Both are plain data that JSON can hold, so that a run can be scored again years later without a model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Item", "Row", "text_digest"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One thing to ask a model.

    Attributes:
        id: unique within the run.
        cluster: the unit of randomisation (passage, template, fact); empty means the item is its own.
        question: the question as text, without options.
        choices: option texts, two to ten; empty for an open question.
        gold: index of the right option in `choices`; None when there is none.
        answers: accepted texts for an open question.
        note: source material shown before the question; empty for none.
        part: the experiment of the evaluation that this item belongs to.
        source: the data set the item came from.
        meta: whatever else the evaluation needs; JSON values only.
    """

    id: str
    cluster: str = ""
    question: str = ""
    choices: tuple[str, ...] = ()
    gold: int | None = None
    answers: tuple[str, ...] = ()
    note: str = ""
    part: str = ""
    source: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.cluster:
            object.__setattr__(self, "cluster", self.id)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What one trial found: all that summarising needs.

    Attributes:
        key: unique within the run; a trial whose key is in the run already is not run again.
        cluster: the item's cluster.
        evidence: probabilities, texts, scores; JSON values only. Probabilities in [0, 1], log-probabilities in nats.
        error: why the trial failed, one line; None when it did not.
    """

    key: str
    cluster: str
    evidence: Mapping[str, Any]
    error: str | None = None


def text_digest(text: str) -> str:
    """Sixteen hexadecimal digits that name a text: the cluster of all that is asked about it.

    >>> text_digest("where is it ?")
    'ebda00d54e2b455b'
    """
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
