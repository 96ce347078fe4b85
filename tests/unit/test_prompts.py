"""The plain dialect's wording, letter for letter."""

from __future__ import annotations

import pytest

from gnomon.core.errors import UsageError
from gnomon.core.record import Item
from gnomon.data import prompts
from gnomon.models.base import Message

ITEM = Item(id="i", question="Which of these animals lays eggs?", choices=("otter", "heron", "bat"), gold=1)
NOTED = Item(id="n", question="Who kept the mill?", note="Ada kept the mill.", meta={"hint": "She was a miller."})


def test_lettered() -> None:
    assert prompts.choice_prompt(ITEM) == (
        "Question: Which of these animals lays eggs?\nChoices:\n (A) otter\n (B) heron\n (C) bat\nAnswer:"
    )
    assert prompts.letters(3) == [" (A)", " (B)", " (C)"]


def test_listed() -> None:
    assert prompts.listed_prompt(ITEM) == (
        "Question: Which of these animals lays eggs?\nChoices:\n choice: otter\n choice: heron\n choice: bat\nAnswer:"
    )


def test_open_with_note_and_hint() -> None:
    assert prompts.open_prompt(NOTED) == (
        "Note: Ada kept the mill.\n\nThe note may help with the question that follows.\n"
        "Question: Who kept the mill?\nHint: She was a miller.\nAnswer:"
    )


def test_verdict_on_one_answer() -> None:
    assert prompts.verdict_prompt(ITEM, "heron") == (
        "Question: Which of these animals lays eggs?\nProposed Answer: heron\nIs the proposed answer:\n"
        " (A) True\n (B) False\nThe proposed answer is:"
    )
    assert prompts.verdicts() == (" (A)", " (B)")


def test_verdict_with_brainstormed_answers() -> None:
    assert prompts.verdict_prompt(ITEM, "heron", ["bat", "heron"]) == (
        "Question: Which of these animals lays eggs?\nHere are some brainstormed ideas:\nbat\nheron\n"
        "Possible Answer: heron\nIs the possible answer:\n (A) True\n (B) False\nThe possible answer is:"
    )


def test_confidence() -> None:
    assert prompts.confidence_prompt(ITEM) == (
        "Question: Which of these animals lays eggs?\nWith what confidence could you answer this question?\nConfidence:"
    )


def test_worked_questions_are_parted_by_blank_lines() -> None:
    shots = [prompts.Shot("Question: a\nAnswer:", " b"), prompts.Shot("Question: c\nAnswer:", " d")]

    assert prompts.header(shots) == "Question: a\nAnswer: b\n\nQuestion: c\nAnswer: d\n\n"
    assert prompts.header([]) == ""


def test_a_chat_prompt_begins_the_answer() -> None:
    assert prompts.framed("Question: a\nAnswer:", False) == "Question: a\nAnswer:"
    assert prompts.framed("Question: a\nAnswer:", True) == [
        Message("user", "Question: a"),
        Message("assistant", "Answer:"),
    ]


def test_every_prompt_ends_without_a_space_and_every_answer_begins_with_one() -> None:
    made = [prompts.choice_prompt(ITEM), prompts.listed_prompt(ITEM), prompts.open_prompt(ITEM)]
    made += [prompts.verdict_prompt(ITEM, "bat"), prompts.confidence_prompt(ITEM)]

    assert all(p == p.rstrip() for p in made)
    assert all(a.startswith(" ") for a in [*prompts.letters(10), *prompts.verdicts()])


def test_an_unknown_dialect_is_named() -> None:
    with pytest.raises(UsageError, match="no dialect is called 'plane'; did you mean 'plain'"):
        prompts.dialect("plane")
