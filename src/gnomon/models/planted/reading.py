"""Reads a prompt the way a person would, to find out what it asks.

Written apart from the code that renders prompts, on purpose: a planted model must notice when a prompt is wrong.
Understands the plain and the Brook wording, whatever the white space.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gnomon.core.errors import ModelError
from gnomon.models.base import Prompt

__all__ = ["Asked", "read"]

_OPTION = re.compile(r"\(([A-J])\)\s+(.*?)\s*(?=\([A-J]\)\s|$)", re.S)
_HINT = re.compile(r"\s*(?:Hint:|Steps:)(.*)$", re.S)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a prompt asks.

    Attributes:
        question: as it stands in the prompt.
        options: letter to option text, in the prompt's order; empty for an open question.
        listed: options listed without letters, for prompts whose answer is an option's text.
        note: source material before the question; "" for none.
        proposed: the answer to be judged; "" when none is.
        ideas: the brainstormed answers shown before the proposed one.
        hint: text shown between the question and the answer; "" for none.
        shots: worked questions before this one.
    """

    question: str
    options: Mapping[str, str] = field(default_factory=dict)
    listed: tuple[str, ...] = ()
    note: str = ""
    proposed: str = ""
    ideas: tuple[str, ...] = ()
    hint: str = ""
    shots: int = 0


def read(prompt: Prompt) -> Asked:
    """What the last question of `prompt` asks.

    Raises:
        ModelError: there is no question in it.
    """
    text = prompt if isinstance(prompt, str) else "\n".join(m.content for m in prompt)
    blocks = re.split(r"(?:^|(?<=\s))Question:", text)
    if len(blocks) < 2:
        raise ModelError(f"a planted model cannot find a question in {text[-120:]!r}")
    note = re.search(r"Note:\s*(.*?)\s*$", blocks[-2], re.S)
    body = blocks[-1]
    body, ideas = _cut(body, "Brainstormed:")
    if ideas:
        ideas, rest = _cut(ideas, "Proposed Answer:")
        body += "Proposed Answer:" + rest
    body, proposed = _cut_any(body, ("Proposed Answer:", "Proposed:"))
    proposed = _cut_any(proposed, ("Is the proposed answer", "Verdict:"))[0]
    if not proposed:
        body = re.sub(r"\s*Answer:[^:]*$", "", body)
    question, choices = _cut(body, "Choices:")
    question, hint = _hint(question)
    options, listed = {}, ()
    if choices:
        choices, late = _hint(choices)
        hint = hint or late
        options = {m[1]: m[2].strip() for m in _OPTION.finditer(choices.strip())}
        if not options:
            listed = tuple(re.findall(r"choice:\s*(.*?)\s*$", choices, re.M))
    return Asked(
        question=question.strip(),
        options=options,
        listed=listed,
        note=note[1] if note else "",
        proposed=proposed.strip(),
        ideas=tuple(line.strip() for line in ideas.strip().splitlines() if line.strip()),
        hint=hint,
        shots=len(blocks) - 2,
    )


def _cut(text: str, mark: str) -> tuple[str, str]:
    head, found, tail = text.partition(mark)
    return (head, tail) if found else (text, "")


def _cut_any(text: str, marks: tuple[str, ...]) -> tuple[str, str]:
    for mark in marks:
        if mark in text:
            return _cut(text, mark)
    return text, ""


def _hint(text: str) -> tuple[str, str]:
    found = _HINT.search(text)
    return (text[: found.start()], found[1].strip()) if found else (text, "")
