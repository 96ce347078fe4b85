"""Reads a prompt the way a person would, to find out what it asks.

Written apart from the code that renders prompts, on purpose: a planted model must notice when a prompt is wrong.
Understands the plain and the Brook wording, whatever the white space.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gnomon.core.errors import ModelError
from gnomon.models.base import Prompt

__all__ = ["Asked", "read"]

_OPTION = re.compile(r"\(([A-J])\)\s+(.*?)\s*(?=\([A-J]\)\s|$)", re.S)
# The marks that can follow a question, in any order but each at most once, and what follows them.
_MARKS = {
    "Choices:": "choices",
    "Hint:": "hint",
    "Steps:": "hint",
    "Here are some brainstormed ideas:": "ideas",
    "Proposed Answer:": "proposed",
    "Possible Answer:": "proposed",
    "Proposed:": "proposed",
    "Is the proposed answer:": "verdict",
    "Is the possible answer:": "verdict",
    "Verdict:": "verdict",
    "With what confidence could you answer this question?": "confidence",
    "Answer:": "answer",
}
_SPLIT = re.compile("|".join(map(re.escape, _MARKS)))
_ASKED = re.compile(r"(?:Question|Problem):")
_NOTE = re.compile(r"Note:\s*(?P<note>.*?)\s*(?:The note may help[^\n]*)?$", re.S)
_VERDICT_ENDS = re.compile(r"\s*The (?:proposed|possible) answer is:$")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a prompt asks.

    Attributes:
        form: choice, listed, open, verdict, steps or confidence.
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

    def texts(self, options: Sequence[str]) -> list[str]:
        """What each of `options` stands for: the text behind a letter of the prompt, or the option itself."""
        return [self.options.get(o.strip().strip("()"), o.strip()) for o in options]


def read(prompt: Prompt) -> Asked:
    """What the last question of `prompt` asks.

    Raises:
        ModelError: there is no question in it, or nothing that asks for an answer.
    """
    text = prompt if isinstance(prompt, str) else "\n".join(m.content for m in prompt)
    begins = [m for m in _ASKED.finditer(text) if m.start() == 0 or text[m.start() - 1].isspace()]
    if not begins:
        raise ModelError(f"a planted model cannot find a question in {text[-120:]!r}")
    before = text[begins[-2].end() if len(begins) > 1 else 0 : begins[-1].start()]
    note = _NOTE.search(before)
    parts = _parts(text[begins[-1].end() :])
    form = _form(parts)
    if form is None:
        raise ModelError(f"a planted model cannot find what to answer in {text[-120:]!r}")
    lettered = _VERDICT_ENDS.sub("", parts["verdict"]) if form == "verdict" else parts.get("choices", "")
    return Asked(
        form=form,
        question=parts["question"],
        options={m[1]: m[2].strip() for m in _OPTION.finditer(lettered)},
        listed=tuple(t.strip() for t in parts.get("choices", "").split("choice:")[1:]) if form == "listed" else (),
        note=note["note"] if note else "",
        proposed=parts.get("proposed", ""),
        ideas=_ideas(parts, form),
        hint=parts.get("hint", ""),
        shots=len(begins) - 1,
    )


def _ideas(parts: Mapping[str, str], form: str) -> tuple[str, ...]:
    """The brainstormed answers: a line each, or before a verdict of Brook its unlettered choices, a word each."""
    if "ideas" in parts:
        return tuple(line.strip() for line in parts["ideas"].splitlines() if line.strip())
    return tuple(parts.get("choices", "").split()) if form == "verdict" else ()


def _parts(block: str) -> dict[str, str]:
    """The text after each mark of one question."""
    marks = [(_MARKS[m[0]], m.start(), m.end()) for m in _SPLIT.finditer(block)]
    bounds = [*(start for _, start, _ in marks), len(block)]
    parts = {"question": block[: bounds[0]].strip()}
    for (name, _, begin), end in zip(marks, bounds[1:], strict=True):
        parts.setdefault(name, block[begin:end].strip())
    return parts


def _form(parts: Mapping[str, str]) -> str | None:
    if "verdict" in parts:
        return "verdict"
    if "confidence" in parts:
        return "confidence"
    if "choices" in parts:
        return "listed" if parts["choices"].startswith("choice:") else "choice"
    if "answer" in parts:
        return "open"
    return "steps" if "hint" in parts else None
