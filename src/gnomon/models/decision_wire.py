"""One choice as typed-question routes ask and answer it: OpenAI's `/decisions` and System One's `/systemone`.

System One is TypeSafe's API, which `transformers serve`, vLLM, SGLang, Ollama and others serve. Pure functions; replies
are read strictly, and where a server does not say how much probability its options had in all, `mass` is 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gnomon.core.errors import ModelError
from gnomon.models.base import Choice, Prompt
from gnomon.models.offers import Decides

__all__ = ["DECISIONS", "SYSTEMONE", "choice", "question"]

DECISIONS, SYSTEMONE = "/decisions", "/systemone"

_NAME = "choice"
# Servers round; two decimals of many options miss 1 by this much.
_MOST_MISSING = 0.02


def question(by: Decides, prompt: Prompt, options: Sequence[str]) -> dict[str, Any]:
    """The body, without the model's name, that asks which of `options` follows `prompt`."""
    given = prompt if isinstance(prompt, str) else [message._asdict() for message in prompt]
    instructions = {"instructions": by.instructions} if by.instructions or by.route == DECISIONS else {}
    if by.route == DECISIONS:
        choices = [{"value": option} for option in options]
        return {"input": given, "questions": [{"type": "choice", "name": _NAME, "choices": choices, **instructions}]}
    criteria = dict.fromkeys(options)
    return {"state": given, "questions": {_NAME: {"type": "choice", "criteria": criteria, **instructions}}}


def choice(by: Decides, reply: Mapping[str, Any], options: Sequence[str], where: str) -> Choice:
    """The probabilities in `reply`, in the order of `options`, made to sum to 1.

    Raises:
        ModelError: the server declined, left an option out, or gave numbers that are no probabilities.
    """
    answer = _answer(by, reply)
    if answer.get("type") == "refusal":
        raise ModelError("the model declined to decide", where=where, todo="use ?readout=sampled")
    told = answer.get("probabilities")
    if by.route == DECISIONS and isinstance(told, list):
        told = {each.get("value"): each.get("probability") for each in told if isinstance(each, Mapping)}
    if not isinstance(told, Mapping):
        raise ModelError("the reply holds no probabilities", where=where, todo="check the server's version")
    p = [_probability(told.get(option), option, where) for option in options]
    if abs(sum(p) - 1) > _MOST_MISSING:
        raise ModelError(
            f"the probabilities of the options sum to {sum(p):.3g}", where=where, todo="use ?readout=sampled"
        )
    shares = tuple(each / sum(p) for each in p)
    return Choice(p=shares, mass=_mass(by, reply, answer), readout="decision", low=shares, high=shares)


def _answer(by: Decides, reply: Mapping[str, Any]) -> Mapping[str, Any]:
    answers = reply.get("answers")
    if by.route == DECISIONS:
        found = answers[0] if isinstance(answers, list) and answers else None
    else:
        found = answers.get(_NAME) if isinstance(answers, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _mass(by: Decides, reply: Mapping[str, Any], answer: Mapping[str, Any]) -> float:
    """SGLang puts it into the answer, vLLM and `gnomon serve` beside the answers."""
    beside = reply.get("diagnostics")
    if by.route == DECISIONS:
        notes = beside[0] if isinstance(beside, list) and beside else {}
    else:
        notes = beside.get(_NAME) if isinstance(beside, Mapping) else {}
    told = (notes if isinstance(notes, Mapping) else {}).get("label_mass", answer.get("label_mass"))
    return min(1.0, float(told)) if isinstance(told, int | float) and told >= 0 else 1.0


def _probability(value: object, option: str, where: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1 + 1e-6:
        return float(value)
    raise ModelError(f"{value!r} is no probability of {option!r}", where=where, todo="use ?readout=sampled")
