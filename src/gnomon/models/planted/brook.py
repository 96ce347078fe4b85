"""A speaker of Brook that plays by the world's rules: `planted:brook?know=1`.

It reads a prompt by Brook's grammar alone: a question is answered from the note before it, or from the facts of the
item table; a sum from its written steps, or at once where it has one operation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from gnomon.core.errors import ModelError
from gnomon.core.record import Item
from gnomon.models.base import Choice, Prompt, Score
from gnomon.models.planted.base import PlantedModel, planted

__all__ = ["LEAST_COUNT", "BrookSpeaker"]

# Statements from which on an exposure fact is known.
LEAST_COUNT = 16
_WORDS_IN_ALL = 768
_OPTION = re.compile(r"\(([A-J])\) (\S+)")
_STEP = re.compile(r"(\d) ([+-]) (\d) =")


@planted("brook")
class BrookSpeaker(PlantedModel):
    """Knows a prompt with probability `know`, drawn by the prompt; otherwise it is flat over the options.

    What Brook leaves unknowable (novel names, facts stated less than 16 times, sums of several operations without
    steps) is answered flatly always.
    """

    def __init__(self, know: float = 1.0) -> None:
        super().__init__()
        self.know = know
        self._values: dict[str, str] = {}
        self._planted: dict[str, dict[str, float]] = {}
        self._chances: dict[tuple[str, str], float] = {}

    def bind(self, items: Iterable[Item]) -> None:
        """Learns the item table: facts by question and beginning of sentence, and planted distributions by prompt."""
        for item in items:
            if "planted" in item.meta:
                options = (option.strip() for option in item.meta["options"])
                self._planted[item.meta["prompt"]] = dict(zip(options, item.meta["planted"], strict=True))
            if "chance" in item.meta:
                self._chances[item.meta["prompt"], item.meta["continuation"].strip()] = item.meta["chance"]
            value, sentence = str(item.meta.get("value", "")), str(item.meta.get("sentence", ""))
            count = item.meta.get("count")
            if (
                value
                and not item.note
                and item.meta.get("group") != "novel"
                and (count is None or count >= LEAST_COUNT)
            ):
                self._values[item.question] = value
                self._values[sentence.partition(f" {value} ")[0]] = value

    async def choose(self, prompt: Prompt, options: Sequence[str]) -> Choice:
        """The planted distribution, or the truth with probability 1; all options alike where it does not know."""
        text = " ".join(self._text(prompt).split())
        if text in self._planted and self._knows(text):
            planted = tuple(self._planted[text].get(option.strip(), 0.0) for option in options)
            return Choice(p=planted, mass=1.0, readout="exact", low=planted, high=planted)
        truth = self._truth(text) if self._knows(text) and text not in self._planted else None
        letters = dict(_OPTION.findall(text))
        shown = [letters.get(option.strip().strip("()"), option.strip()) for option in options]
        p = tuple(float(word == truth) for word in shown)
        if not any(p):
            p = (1 / len(options),) * len(options)
        return Choice(p=p, mass=1.0, readout="exact", low=p, high=p)

    async def score(self, prompt: Prompt, continuation: str) -> Score:
        """Where it knows the prompt, a continuation has its planted chance, split over its words, and words before a
        full stop are copied; otherwise every word is as likely.
        """
        said, words = self._text(prompt).rstrip(" .").split(), continuation.split()
        chance = self._chances.get((" ".join(self._text(prompt).split()), " ".join(words)))
        if chance is not None and self._knows(" ".join(said)):
            return Score(logprobs=(math.log(chance) / len(words),) * len(words))
        known = self._knows(" ".join(said)) and said == words
        return Score(logprobs=(0.0 if known else -math.log(_WORDS_IN_ALL),) * len(words))

    def _knows(self, text: str) -> bool:
        return self.draw(text).random().random() < self.know

    def _text(self, prompt: Prompt) -> str:
        if not isinstance(prompt, str):
            raise ModelError(f"{self.name} reads Brook's documents, not conversations")
        return prompt

    def _truth(self, text: str) -> str | None:
        """The word that Brook's rules put at the end of `text`; None where nobody can know it."""
        if "Problem:" in text:
            return _sum(text.rpartition("Problem:")[2])
        if "Find:" in text:
            return text.rpartition("Find:")[2].split()[0]
        if "Question:" not in text:
            return self._values.get(text)
        before, _, asked = text.rpartition("Question:")
        question = f"{asked.partition('?')[0].strip()} ?"
        value = _noted(before, question) or self._values.get(question)
        if "Verdict:" not in asked or value is None:
            return value
        proposed = asked.partition("Proposed:")[2].split()[0]
        return str(proposed == value)


def _noted(before: str, question: str) -> str | None:
    """The value in the note's last sentence, if it is about a name in the question."""
    sentence = before.rpartition("Note:")[2].strip(" .").split() if "Note:" in before else []
    return sentence[-1] if set(sentence[:-1]) & set(question.split()[2:-2]) - {"does"} else None


def _sum(text: str) -> str | None:
    """The next result of a written step, or the answer where it can be read or looked up."""
    asked, _, steps = text.partition("Steps:")
    operations = len(asked.replace("Answer:", "").split()) // 2
    if text.endswith("="):
        first, sign, second = _STEP.findall(text)[-1]
        return _apply(first, sign, second)
    written = re.findall(r"= (\d) \.", steps)
    if len(written) == operations:
        return str(written[-1])
    first, sign, second = asked.split()[:3]
    return _apply(first, sign, second) if operations == 1 else None


def _apply(first: str, sign: str, second: str) -> str:
    return str((int(first) + (int(second) if sign == "+" else -int(second))) % 10)
