"""What OpenAI-compatible servers answer, read strictly: a field that a server left out never becomes a number.

Chat and completions replies, streams, top-k lists and echoed prompts, in the shapes that OpenAI, vLLM, llama.cpp and
`transformers serve` give them. Pure functions but for the stream collector.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gnomon.core.errors import ModelError
from gnomon.models.base import Completion
from gnomon.models.sampled import cut_at

__all__ = ["Echoed", "Step", "Stream", "completions", "echoed", "prompt_tail", "steps"]

Json = Mapping[str, Any]
_FINISH = {"length": "length", "max_tokens": "length", "content_filter": "error", "error": "error"}


class Step(NamedTuple):
    """One generated token, its log-probability in nats, and the most probable tokens at its place."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...]


class Echoed(NamedTuple):
    """One token of a text that was scored; `start` is its offset in characters, `logprob` None for the first."""

    start: int
    token: str
    logprob: float | None


def completions(reply: Json, stop: Sequence[str], where: str, given: str = "") -> list[Completion]:
    """The texts in `reply`, cut before the first stop string that a server left in.

    Args:
        given: white space that the prompt ended with and the server was not shown; removed from the texts' start.

    `num_tokens` is exact for one choice and where log-probabilities are told; with several it is their mean, since
    servers count only the total. A text that is cut here has no log-probability: which tokens it kept is not known.

    Raises:
        ModelError: there is no text where one must be, or what is told cannot be log-probabilities.
    """
    choices = _choices(reply, where)
    total = (reply.get("usage") or {}).get("completion_tokens") or 0
    found = []
    for choice in choices:
        text, cut = cut_at(_text(choice, where).removeprefix(given), stop)
        finish = "stop" if cut else _FINISH.get(str(choice.get("finish_reason")), "stop")
        raw = {k: reply[k] for k in ("id", "model", "system_fingerprint") if k in reply}
        told = [] if cut else _told(choice, where)
        found.append(
            Completion(
                text=text,
                finish=finish,
                num_tokens=len(told) or round(total / len(choices)),
                logprob=sum(told) if told else None,
                raw={**raw, "choice": choice},
            )
        )
    return found


def steps(reply: Json, where: str) -> list[Step] | None:
    """Generated tokens with their top-k lists; None when the server sent none.

    Raises:
        ModelError: what it sent cannot be log-probabilities (positive, not finite, or summing to more than 1).
    """
    told = _choices(reply, where)[0].get("logprobs")
    if not isinstance(told, Mapping):
        return None
    if isinstance(told.get("content"), list):
        found = [_chat_step(entry, where) for entry in told["content"]]
    else:
        tops = told.get("top_logprobs")
        if not isinstance(tops, list) or not told.get("tokens"):
            return None
        found = [
            _step(token, lp, list((top or {}).items()), where)
            for token, lp, top in zip(told["tokens"], told.get("token_logprobs") or (), tops, strict=False)
        ]
    return found if found and all(s.top for s in found[:1]) else None


def echoed(reply: Json, text: str, where: str) -> list[Echoed] | None:
    """The tokens of `text` as the server echoed and scored them; None when it did not.

    Raises:
        ModelError: the tokens do not spell the text, or the numbers cannot be log-probabilities.
    """
    told = _choices(reply, where)[0].get("logprobs")
    if not isinstance(told, Mapping) or not told.get("tokens") or not told.get("token_logprobs"):
        return None
    tokens, logprobs = list(told["tokens"]), list(told["token_logprobs"])
    starts = _starts(tokens, text, told.get("text_offset"))
    if starts is None or len(logprobs) != len(tokens):
        raise ModelError("the echoed tokens do not spell the prompt", where=where, todo="use ?readout=sampled")
    found = [
        Echoed(start, token, None if lp is None else _logprob(lp, where))
        for start, token, lp in zip(starts, tokens, logprobs, strict=True)
        if 0 <= start < len(text)
    ]
    scored = [e.logprob for e in found[1:]]
    # A server that fills the field without computing it sends zeros: certainty about every token.
    if len(found) < 2 or any(lp is None for lp in scored) or all(lp == 0.0 for lp in scored):
        return None
    return found


def prompt_tail(reply: Json, tail: str, where: str) -> list[Echoed] | None:
    """The last prompt tokens, as many as spell `tail` (vLLM's `prompt_logprobs`); None when the server sent none.

    `start` counts from where `tail` begins; it is negative for a first token that begins before.

    Raises:
        ModelError: the last tokens spell something else.
    """
    told = reply.get("prompt_logprobs") or _choices(reply, where)[0].get("prompt_logprobs")
    if not isinstance(told, list) or not told:
        return None
    found: list[Echoed] = []
    left = tail
    for entry in reversed(told):
        if not left:
            break
        if not entry:
            return None
        first = next(iter(entry.values()))
        token = first.get("decoded_token") or ""
        if not token or not (left.endswith(token) or token.endswith(left)):
            raise ModelError(f"token {token!r} is no end of {left!r}", where=where, todo="use ?readout=topk")
        found.append(Echoed(len(left) - len(token), token, _logprob(first["logprob"], where)))
        left = left[: -len(token)]
    return found[::-1] if not left else None


class Stream:
    """Collects the events of one streamed completion, handing each piece of text on."""

    def __init__(self, on_token: Callable[[str], None]) -> None:
        self.started = False
        self.done = False
        self._on_token = on_token
        self._reply: dict[str, Any] = {}
        self._pieces: list[str] = []

    def feed(self, event: dict[str, Any]) -> None:
        """Takes one event, or a whole reply of a server that does not stream."""
        self._reply.update({k: v for k, v in event.items() if k != "choices" and v is not None})
        for choice in event.get("choices") or ():
            part = choice.get("delta") or choice.get("message") or choice
            piece = part.get("content") or part.get("text") or ""
            if piece:
                self.started = True
                self._pieces.append(piece)
                self._on_token(piece)
            if choice.get("finish_reason"):
                self.done = True
                self._reply["finish"] = choice["finish_reason"]

    def reply(self) -> dict[str, Any]:
        """The reply as if it had come in one piece."""
        whole = {k: v for k, v in self._reply.items() if k != "finish"}
        choice = {"text": "".join(self._pieces), "finish_reason": self._reply.get("finish")}
        return {**whole, "choices": [choice]}


def _choices(reply: Json, where: str) -> list[Json]:
    choices = reply.get("choices")
    if not isinstance(choices, list) or not choices or not all(isinstance(c, Mapping) for c in choices):
        raise ModelError("the reply holds no choices", where=where, todo="check that the server speaks the OpenAI API")
    return choices


def _text(choice: Json, where: str) -> str:
    message = choice.get("message")
    if isinstance(message, Mapping):
        return str(message.get("content") or "")
    if not isinstance(choice.get("text"), str):
        raise ModelError("a choice holds neither message nor text", where=where, todo="check the server's version")
    return str(choice["text"])


def _told(choice: Json, where: str) -> list[float]:
    """Log-probabilities of the tokens of a choice; none where the server told none, or nothing but zeros."""
    told = choice.get("logprobs")
    if not isinstance(told, Mapping):
        return []
    listed = told.get("content")
    values = [entry.get("logprob") for entry in listed] if isinstance(listed, list) else told.get("token_logprobs")
    if not isinstance(values, list) or None in values:
        return []
    found = [_logprob(value, where) for value in values]
    return found if any(found) else []


def _chat_step(entry: Any, where: str) -> Step:
    top = [(str(t.get("token")), t.get("logprob")) for t in entry.get("top_logprobs") or ()]
    return _step(str(entry.get("token")), entry.get("logprob"), top, where)


def _step(token: str, logprob: object, top: Sequence[tuple[str, object]], where: str) -> Step:
    listed = tuple((t, _logprob(lp, where)) for t, lp in top)
    if sum(math.exp(lp) for _, lp in listed) > 1.01:
        raise ModelError(
            "the listed token probabilities sum to more than 1, so they are not log-probabilities",
            where=where,
            todo="use ?readout=sampled",
        )
    return Step(token, _logprob(logprob, where), listed)


def _logprob(value: object, where: str) -> float:
    if isinstance(value, (int, float)) and not math.isnan(value) and value <= 1e-3:
        # -inf cannot be written in JSON; servers send -9999 or the like for it, which is used as it is.
        return min(0.0, float(value))
    raise ModelError(f"{value!r} is no log-probability", where=where, todo="use ?readout=sampled")


def _starts(tokens: Sequence[str], text: str, offsets: Sequence[int] | None) -> list[int] | None:
    """Where in `text` each token begins; -1 for a start-of-text token; None when the tokens spell something else."""
    for skip in (0, 1):
        if "".join(tokens[skip:]).startswith(text):
            ends = list(itertools.accumulate((len(t) for t in tokens[skip:]), initial=0))
            return [-1] * skip + ends[:-1]
    # Tokens that are parts of characters spell nothing; then the server's own offsets must do.
    return list(offsets) if offsets and len(offsets) == len(tokens) else None
