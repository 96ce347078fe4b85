"""What the test server says: a language model given as a function, or any `Model`."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from gnomon.models.base import Message, Model, Prompt, Sampling

__all__ = ["Backed", "Responder", "Scripted", "letters", "says"]

# A token is a word with the space before it, or one other character.
_TOKEN = re.compile(r" ?\w+| ?[^\w\s]|\s")
_FLOOR = 1e-9
Next = Callable[[str], Mapping[str, float]]


class Responder(Protocol):
    """What the server needs to know of a model."""

    async def draw(self, prompt: Prompt, how: Sampling) -> tuple[list[str], str]:
        """Tokens of one completion, and "stop" or "length"."""
        ...

    async def top(self, prompt: Prompt) -> Mapping[str, float]:
        """Probabilities of the next token; "" is the end of the text."""
        ...

    async def scored(self, text: str) -> list[tuple[str, float | None]] | None:
        """Tokens of `text` with log-probabilities in nats, the first without; None where it cannot."""
        ...


class Scripted:
    """A language model given by its next-token distribution; messages reach it as "role: content" lines.

    Args:
        following: text so far -> probability by token; "" ends the text.
    """

    def __init__(self, following: Next) -> None:
        self.following = following

    async def draw(self, prompt: Prompt, how: Sampling) -> tuple[list[str], str]:
        text, rng = _rendered(prompt), random.Random(f"{how.seed}/{_rendered(prompt)}")
        tokens: list[str] = []
        while len(tokens) < how.max_tokens:
            token = _pick(self.following(text), how.temperature, rng)
            if token == "" or any(s in "".join([*tokens, token]) for s in how.stop):
                return tokens, "stop"
            tokens.append(token)
            text += token
        return tokens, "length"

    async def top(self, prompt: Prompt) -> Mapping[str, float]:
        return self.following(_rendered(prompt))

    async def scored(self, text: str) -> list[tuple[str, float | None]]:
        found: list[tuple[str, float | None]] = []
        for match in _TOKEN.finditer(text):
            p = self.following(text[: match.start()]).get(match.group(), _FLOOR)
            found.append((match.group(), math.log(p) if match.start() else None))
        return found


class Backed:
    """Any `Model` behind the server; its next token is read as a choice among `candidates`."""

    def __init__(self, model: Model, candidates: Sequence[str] = ("A", "B", "C", "D", "E")) -> None:
        self.model = model
        self.candidates = tuple(candidates)

    async def draw(self, prompt: Prompt, how: Sampling) -> tuple[list[str], str]:
        completion = (await self.model.sample(prompt, how))[0]
        return _TOKEN.findall(completion.text), completion.finish

    async def top(self, prompt: Prompt) -> Mapping[str, float]:
        choice = await self.model.choose(prompt, self.candidates)
        return {c: p * choice.mass for c, p in zip(self.candidates, choice.p, strict=True)}

    async def scored(self, text: str) -> None:
        return None


def letters(*p: float, noise: float = 0.0) -> Scripted:
    """A model that answers " (A)" with probability p[0], " (B)" with p[1] …, whatever is asked.

    Args:
        p: probabilities of the letters, sum 1.
        noise: mass that goes to other tokens where a letter is due.
    """

    def following(text: str) -> dict[str, float]:
        if text.endswith("("):
            due = {chr(65 + i): q * (1 - noise) for i, q in enumerate(p)}
            return due | {f"z{i}": noise / 4 for i in range(4)}
        if re.search(r"\([A-J]$", text):
            return {")": 0.9, " or": 0.1}
        if re.search(r"\([A-J]\)$", text):
            return {"": 1.0}
        return {"(" if text.endswith("assistant: ") else " (": 0.8, " I": 0.2}

    return Scripted(following)


def says(text: str) -> Scripted:
    """A model that answers `text` to everything, and continues what it began to say."""
    tokens = _TOKEN.findall(text)

    def following(so_far: str) -> dict[str, float]:
        for known in range(len(tokens), 0, -1):
            if so_far.endswith("".join(tokens[:known])):
                return {tokens[known]: 1.0} if known < len(tokens) else {"": 1.0}
        return {tokens[0]: 1.0}

    return Scripted(following)


def _rendered(prompt: Prompt) -> str:
    if isinstance(prompt, str):
        return prompt
    turns = [Message(*m) for m in prompt]
    ending = "" if turns[-1].role == "assistant" else "\nassistant: "
    return "\n".join(f"{m.role}: {m.content}" for m in turns) + ending


def _pick(p: Mapping[str, float], temperature: float, rng: random.Random) -> str:
    if temperature == 0.0:
        return max(p, key=lambda t: p[t])
    weights = [q ** (1.0 / temperature) for q in p.values()]
    return rng.choices(list(p), weights)[0]
