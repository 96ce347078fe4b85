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
_LISTED = re.compile(r"choice:\s*(.*?)\s*$", re.M)
# The marks that can follow a question, in any order but each at most once.
_MARKS = {
    "choices": r"Choices:",
    "hint": r"Hint:|Steps:",
    "ideas": r"Here are some brainstormed ideas:",
    "proposed": r"(?:Proposed|Possible) Answer:|Proposed:",
    "verdict": r"Is the (?:proposed|possible) answer:|Verdict:",
    "confidence": r"With what confidence could you answer this question\?",
    "answer": r"Answer:",
}
_SPLIT = re.compile("|".join(f"(?P<{name}>{mark})" for name, mark in _MARKS.items()))


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a prompt asks.

    Attributes:
        form: choice, listed, open, verdict or confidence.
        question: as it stands in the prompt.
        options: letter to option text, in the prompt's order; for a verdict, the letters of True and False
            (empty where the verdict is given in words).
        listed: options listed without letters.
        note: source material before the question; "" for none.
        proposed: the answer to be judged; "" when none is.
        ideas: the brainstormed answers shown before the proposed one.
        hint: text shown between the question and the answer; "" for none.
        shots: worked questions before this one.
    """

    form: str
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
        ModelError: there is no question in it, or nothing that asks for an answer.
    """
    text = prompt if isinstance(prompt, str) else "\n".join(m.content for m in prompt)
    blocks = re.split(r"(?:^|(?<=\s))Question:", text)
    if len(blocks) < 2:
        raise ModelError(f"a planted model cannot find a question in {text[-120:]!r}")
    note = re.search(r"Note:\s*(?P<note>.*?)\s*(?:The note may help[^\n]*)?$", blocks[-2].split("\n\n\n")[-1], re.S)
    parts = _parts(blocks[-1])
    lettered = parts.get("verdict") or parts.get("choices", "")
    form = _form(parts)
    if form is None:
        raise ModelError(f"a planted model cannot find what to answer in {text[-120:]!r}")
    return Asked(
        form=form,
        question=parts["question"],
        options={m[1]: m[2].strip() for m in _OPTION.finditer(_before_last_line(lettered, form))},
        listed=tuple(_LISTED.findall(parts.get("choices", ""))),
        note=note["note"] if note else "",
        proposed=parts.get("proposed", ""),
        ideas=tuple(line.strip() for line in parts.get("ideas", "").splitlines() if line.strip()),
        hint=parts.get("hint", ""),
        shots=len(blocks) - 2,
    )


def _parts(block: str) -> dict[str, str]:
    """The text after each mark of one question."""
    marks = [(m.lastgroup or "", m.start(), m.end()) for m in _SPLIT.finditer(block)]
    ends = [start for _, start, _ in marks[1:]] + [len(block)]
    parts = {"question": block[: marks[0][1] if marks else len(block)].strip()}
    for (name, _, begin), end in zip(marks, ends, strict=True):
        parts.setdefault(name, block[begin:end].strip())
    return parts


def _form(parts: Mapping[str, str]) -> str | None:
    if "verdict" in parts:
        return "verdict"
    if "confidence" in parts:
        return "confidence"
    if "choices" in parts:
        return "listed" if _LISTED.search(parts["choices"]) else "choice"
    return "open" if "answer" in parts else None


def _before_last_line(text: str, form: str) -> str:
    return re.sub(r"\s*The (?:proposed|possible) answer is:$", "", text) if form == "verdict" else text
