"""How questions are worded for real models: the plain dialect, and the protocol every dialect follows.

A dialect is a module with the functions below; an item source names its own (`plain` for real models, `brook` for the
embedded world). Prompts end right before the answer, without a trailing space; continuations begin with one.
Layouts after Kadavath et al. 2022, secs. 3.1 and 4.1.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import NamedTuple, Protocol, cast

from gnomon.core.errors import UsageError, closest
from gnomon.core.record import Item
from gnomon.models.base import Message, Prompt

__all__ = [
    "Dialect",
    "Shot",
    "choice_prompt",
    "confidence_prompt",
    "dialect",
    "framed",
    "header",
    "letters",
    "listed_prompt",
    "open_prompt",
    "stops",
    "verdict_prompt",
    "verdicts",
]

LETTERS = "ABCDEFGHIJ"
_DIALECTS = {"plain": "gnomon.data.prompts", "brook": "gnomon.data.worlds.brook.dialect"}


class Shot(NamedTuple):
    """A worked question: `answer` is the continuation that follows its prompt, such as " (B)"."""

    prompt: str
    answer: str


class Dialect(Protocol):
    """The forms a source's items are put in; each function returns the prompt, or the continuations that end it."""

    def choice_prompt(self, item: Item) -> str:
        """Question with lettered options; answered by `letters`."""
        ...

    def listed_prompt(self, item: Item) -> str:
        """Question with options listed without letters; answered by an option's text after a space."""
        ...

    def open_prompt(self, item: Item) -> str:
        """Question alone; answered by free text after a space."""
        ...

    def verdict_prompt(self, item: Item, proposed: str, ideas: Sequence[str] = ()) -> str:
        """Question with a proposed answer to be judged; answered by `verdicts`."""
        ...

    def confidence_prompt(self, item: Item) -> str:
        """Asks in words for the chance of answering; answered by " 0%" to " 100%"."""
        ...

    def header(self, shots: Sequence[Shot]) -> str:
        """Worked questions of one form, ready to stand before a prompt of that form."""
        ...

    def stops(self) -> tuple[str, ...]:
        """Strings that begin the next question, where a model that runs on is cut."""
        ...

    def letters(self, count: int) -> list[str]:
        """Continuations that answer `choice_prompt`, for `count` options."""
        ...

    def verdicts(self) -> tuple[str, str]:
        """Continuations that answer `verdict_prompt`: true, false."""
        ...


def dialect(name: str) -> Dialect:
    """The dialect called `name`."""
    if name not in _DIALECTS:
        raise UsageError(f"no dialect is called {name!r}", todo=closest(name, _DIALECTS))
    return cast(Dialect, importlib.import_module(_DIALECTS[name]))


def choice_prompt(item: Item) -> str:
    """`Question: ..` / `Choices:` / ` (A) ..` / `Answer:`."""
    options = "\n".join(f" ({letter}) {text}" for letter, text in zip(LETTERS, item.choices, strict=False))
    return f"{_question(item)}\nChoices:\n{options}\n{_hint(item)}Answer:"


def listed_prompt(item: Item) -> str:
    """`Question: ..`, one `choice: ..` line an option, `Answer:`."""
    options = "\n".join(f" choice: {text}" for text in item.choices)
    return f"{_question(item)}\nChoices:\n{options}\n{_hint(item)}Answer:"


def open_prompt(item: Item) -> str:
    """`Question: ..` / `Answer:`."""
    return f"{_question(item)}\n{_hint(item)}Answer:"


def verdict_prompt(item: Item, proposed: str, ideas: Sequence[str] = ()) -> str:
    """Question, brainstormed ideas where there are any, the proposed answer, and (A) True / (B) False."""
    shown = "".join(f"\n{idea}" for idea in ideas)
    brainstormed = f"Here are some brainstormed ideas:{shown}\n" if ideas else ""
    kind = "Possible" if ideas else "Proposed"
    return (
        f"{_question(item)}\n{brainstormed}{kind} Answer: {proposed}\nIs the {kind.lower()} answer:\n"
        f" (A) True\n (B) False\nThe {kind.lower()} answer is:"
    )


def confidence_prompt(item: Item) -> str:
    """`Question: ..`, then how likely a right answer is, in percent."""
    return f"{_question(item)}\nWith what confidence could you answer this question?\nConfidence:"


def letters(count: int) -> list[str]:
    """[" (A)", " (B)", ...]"""
    return [f" ({letter})" for letter in LETTERS[:count]]


def verdicts() -> tuple[str, str]:
    """The letters of True and False."""
    return " (A)", " (B)"


def header(shots: Sequence[Shot]) -> str:
    """Worked questions, a blank line after each; stands before any prompt of the same form."""
    return "".join(f"{shot.prompt}{shot.answer}\n\n" for shot in shots)


def stops() -> tuple[str, ...]:
    """The next question's beginning."""
    return ("\nQuestion:",)


def framed(text: str, chat: bool) -> Prompt:
    """`text` as it stands, or as a user turn whose last line the assistant has begun (a prefill)."""
    if not chat:
        return text
    body, _, last = text.rpartition("\n")
    return [Message("user", body), Message("assistant", last)]


def _question(item: Item) -> str:
    note = f"Note: {item.note}\n\nThe note may help with the question that follows.\n" if item.note else ""
    return f"{note}Question: {item.question}"


def _hint(item: Item) -> str:
    hint = item.meta.get("hint", "")
    return f"Hint: {hint}\n" if hint else ""
