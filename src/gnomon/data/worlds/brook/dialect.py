"""How items are worded for models of Brook: the grammar that its documents follow, ending where the answer begins.

The forms and their meaning are those of `gnomon.data.prompts.Dialect`. An item whose `meta` has `form: problem` is a
sum; its hint is a beginning of its written steps. Shots follow one another as items do in a document.
"""

from __future__ import annotations

from collections.abc import Sequence

from gnomon.core.errors import UsageError
from gnomon.core.record import Item
from gnomon.data.prompts import Shot
from gnomon.data.worlds.brook.words import LETTERS

__all__ = [
    "choice_prompt",
    "confidence_prompt",
    "header",
    "letters",
    "listed_prompt",
    "open_prompt",
    "steps_prompt",
    "stops",
    "verdict_prompt",
    "verdicts",
]

# A pretrained model runs on into the next item; sampling ends at the mark that begins one.
_STOPS = (" Question:", " Problem:", " Choices:", " Note:", " Find:")


def choice_prompt(item: Item) -> str:
    """`Question: .. Choices: (A) barn (B) mill Answer:`, a note before it where the item has one."""
    options = " ".join(f"{letter} {text}" for letter, text in zip(LETTERS, item.choices, strict=False))
    return f"{_question(item)} Choices: {options}{_hint(item)} Answer:"


def listed_prompt(item: Item) -> str:
    """`Question: .. Answer:`: Brook lists no options without letters, so their words compete unlisted."""
    return open_prompt(item)


def open_prompt(item: Item) -> str:
    """`Question: .. Answer:` or `Problem: .. Answer:`, with `Steps: ..` before the answer where there is a hint."""
    return f"{_question(item)}{_hint(item)} Answer:"


def steps_prompt(item: Item) -> str:
    """`Problem: .. Steps:` and the hint: the model goes on with the next step."""
    return f"{_question(item)}{_hint(item) or ' Steps:'}"


def verdict_prompt(item: Item, proposed: str, ideas: Sequence[str] = ()) -> str:
    """`Question: .. Proposed: barn Verdict:`; ideas stand as unlettered choices, which no document of Brook has."""
    shown = f" Choices: {' '.join(ideas)}" if ideas else ""
    return f"{_question(item)}{shown} Proposed: {proposed} Verdict:"


def confidence_prompt(item: Item) -> str:
    """Never returns: Brook has no words for a confidence.

    Raises:
        UsageError: always.
    """
    raise UsageError("Brook has no words for a confidence in percent", where=item.id, todo="leave this form out")


def header(shots: Sequence[Shot]) -> str:
    """Worked questions, ready to stand before a prompt of the same form."""
    return "".join(f"{shot.prompt}{shot.answer} " for shot in shots)


def stops() -> tuple[str, ...]:
    """The marks that begin another item."""
    return _STOPS


def letters(count: int) -> list[str]:
    """[" (A)", " (B)", ...]"""
    return [f" {letter}" for letter in LETTERS[:count]]


def verdicts() -> tuple[str, str]:
    """(" True", " False")"""
    return " True", " False"


def _question(item: Item) -> str:
    if item.meta.get("form") == "problem":
        return f"Problem: {item.question}"
    note = f"Note: {item.note} " if item.note else ""
    return f"{note}Question: {item.question}"


def _hint(item: Item) -> str:
    hint = item.meta.get("hint", "")
    return f" Steps: {hint}" if hint else ""
