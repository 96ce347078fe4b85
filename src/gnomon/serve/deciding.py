"""How typed questions are put to a model, and how its answers are worded on either route.

Without instructions the options are continuations of the input as it stands, so that a client which words its questions
itself gets the numbers of `Model.choose`. With instructions the question stands behind the input, its options listed,
and a predicate is answered by yes or no, in small letters or with a capital. Either way every option is scored whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from gnomon.models.base import Choice, Message, Prompt
from gnomon.serve.speaker import Speaker
from gnomon.serve.typed import Question

__all__ = ["Decided", "Put", "decide", "decisions_reply", "put", "systemone_reply"]

Json = dict[str, Any]
_SAID = (("yes", "Yes"), ("no", "No"))


class Put(NamedTuple):
    """A question as the model reads it: a prompt, and each option's continuations."""

    prompt: Prompt
    options: list[tuple[str, ...]]


class Decided(NamedTuple):
    """A question's answer: probabilities of its options, and what all of them had before they were made to sum to 1."""

    question: Question
    p: list[float]
    mass: float


async def put(question: Question, given: Prompt, speaker: Speaker) -> Put:
    """`question` about `given`, in words."""
    described = any(option.description for option in question.options)
    told = bool(question.instructions or described)
    words = _SAID if question.kind == "predicate" else [(option.words,) for option in question.options]
    if not told:
        spaced = " " if question.kind == "predicate" else ""
        return Put(given, [tuple(spaced + word for word in each) for each in words])
    prompt = _asked(question, given, speaker.chats)
    behind = (await speaker.text(prompt))[-1:]
    space = "" if behind.isspace() else " "
    return Put(prompt, [tuple(space + word for word in each) for each in words])


async def decide(question: Question, asked: Put, speaker: Speaker) -> Decided:
    """The answer of `speaker`."""
    flat = [word for words in asked.options for word in words]
    choice: Choice = await speaker.choose(asked.prompt, flat)
    parts = iter(choice.p)
    p = [sum(next(parts) for _ in words) for words in asked.options]
    return Decided(question, p, choice.mass)


def decisions_reply(model: str, decided: Sequence[Decided], num_tokens: int) -> Json:
    """The reply of `/v1/decisions`; `diagnostics` is ours, one entry a question."""
    return {
        "model": model,
        "answers": [_listed(each) for each in decided],
        "usage": {
            "input_tokens": num_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 0,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": num_tokens,
        },
        "diagnostics": [{"label_mass": each.mass} for each in decided],
    }


def systemone_reply(id: str, created: int, model: str, decided: Sequence[Decided], num_tokens: int) -> Json:
    """The reply of `/v1/systemone`; `diagnostics` is worded as vLLM's."""
    return {
        "id": id,
        "object": "structured_decision",
        "created": created,
        "model": model,
        "answers": {str(each.question.name): _named(each) for each in decided},
        "usage": {"input_tokens": num_tokens, "output_tokens": 0},
        "diagnostics": {str(each.question.name): {"label_mass": each.mass} for each in decided},
    }


def _asked(question: Question, given: Prompt, chats: bool) -> Prompt:
    lines = [question.instructions] if question.instructions else []
    if question.kind == "predicate":
        described = zip(("yes", "no"), question.options, strict=True)
        lines += [f"{word}: {option.description}" for word, option in described if option.description]
        lines.append("Answer yes or no.")
    else:
        lines += [": ".join(filter(None, (option.words, option.description))) for option in question.options]
        lines.append("Answer with one of these, as it is written.")
    told = "\n".join(lines)
    if isinstance(given, str):
        whole = f"{given}\n\n{told}" if given else told
        return [Message("user", whole)] if chats else f"{whole}\nAnswer:"
    if given and given[-1].role == "user":
        return [*given[:-1], Message("user", f"{given[-1].content}\n\n{told}")]
    return [*given, Message("user", told)]


def _listed(decided: Decided) -> Json:
    question, p = decided.question, decided.p
    told: Json = {"type": question.kind, "name": question.name}
    if question.kind == "predicate":
        return told | {"probability": p[0]}
    told["confidence"] = _confidence(question, p)
    if question.kind == "choice":
        probabilities: list[Json] = [
            {"value": o.value, "probability": q} for o, q in zip(question.options, p, strict=True)
        ]
        return told | {"choice": question.options[p.index(max(p))].value, "probabilities": probabilities}
    levels = [
        {"value": i, "label": option.value, "probability": q}
        for i, (option, q) in enumerate(zip(question.options, p, strict=True))
    ]
    return told | {"score": _level(p), "probabilities": levels}


def _named(decided: Decided) -> Json:
    question, p = decided.question, decided.p
    if question.kind == "predicate":
        return {"type": "noul", "noul": p[0], "probabilities": {"yes": p[0], "no": p[1]}}
    told: Json = {"type": question.kind, "confidence": _confidence(question, p)}
    if question.kind == "choice":
        by_option = {option.words: q for option, q in zip(question.options, p, strict=True)}
        return told | {"choice": question.options[p.index(max(p))].words, "probabilities": by_option}
    legend = {str(i): option.words for i, option in enumerate(question.options)}
    return told | {"score": _level(p), "legend": legend, "probabilities": {str(i): q for i, q in enumerate(p)}}


def _level(p: Sequence[float]) -> float:
    """The expected level, counted from 0."""
    return sum(level * q for level, q in enumerate(p))


def _confidence(question: Question, p: Sequence[float]) -> float:
    """0 for even probabilities, 1 for certainty, as `transformers` has it.

    Of a choice, the best option's lead over an even share; of a score, how much nearer to the likeliest level the
    others lie than even probabilities would.
    """
    count, best = len(p), max(range(len(p)), key=lambda i: p[i])
    if question.kind == "choice":
        return max(0.0, (p[best] - 1 / count) / (1 - 1 / count))
    away = sum(q * abs(level - best) for level, q in enumerate(p))
    even = sum(abs(level - (count - 1) / 2) for level in range(count)) / count
    return max(0.0, 1 - away / even)
