"""Answers in OpenAI's words: whole replies, and the events of streamed ones. Pure functions."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from gnomon.serve.speaker import Piece, Said

__all__ = [
    "Answer",
    "Head",
    "chat_logprobs",
    "event",
    "live_event",
    "reply",
    "streamed",
    "text_logprobs",
    "usage_event",
]

Json = dict[str, Any]
# JSON has no minus infinity.
_NEVER = -9999.0
DONE = b"data: [DONE]\n\n"


class Head(NamedTuple):
    """What every part of one answer says: its id, when it was asked for, what answers, and on which route."""

    id: str
    created: int
    model: str
    revision: str
    is_chat: bool

    def as_json(self, kind: str) -> Json:
        """The fields of a reply of `kind`."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.revision,
        }


class Answer(NamedTuple):
    """One choice of a reply: what was said, and the prompt where it is to be echoed."""

    said: Said
    prompt: str = ""
    prompt_pieces: Sequence[Piece] = ()


def reply(head: Head, answers: Sequence[Answer], prompt_tokens: int, prompt_logprobs: object = None) -> Json:
    """The whole reply."""
    choices = [_choice(i, answer, head.is_chat) for i, answer in enumerate(answers)]
    made = sum(answer.said.num_tokens for answer in answers)
    whole = head.as_json("chat.completion" if head.is_chat else "text_completion")
    whole |= {"choices": choices, "usage": _usage(prompt_tokens, made)}
    return whole if prompt_logprobs is None else whole | {"prompt_logprobs": prompt_logprobs}


def streamed(head: Head, answers: Sequence[Answer]) -> Iterator[Json]:
    """The events of a reply that was made in one piece: a token an event where there are tokens, else one a choice."""
    for index, answer in enumerate(answers):
        if head.is_chat:
            yield live_event(head, index, "", is_first=True)
        parts = [*answer.prompt_pieces, *(answer.said.pieces or ())]
        if not parts or answer.said.pieces is None:
            yield live_event(head, index, answer.prompt + answer.said.text)
        else:
            offset = 0
            for part in parts:
                logprobs = chat_logprobs([part]) if head.is_chat else text_logprobs([part], offset)
                yield live_event(head, index, part.text, logprobs=logprobs)
                offset += len(part.text)
        yield live_event(head, index, "", finish=answer.said.finish)


def live_event(
    head: Head, index: int, text: str, *, finish: str | None = None, is_first: bool = False, logprobs: object = None
) -> Json:
    """One event of choice `index`: a piece of text, its beginning or its end."""
    choice: Json = {"index": index, "finish_reason": finish, "logprobs": logprobs}
    if not head.is_chat:
        choice["text"] = text
    elif finish:
        choice["delta"] = {}
    else:
        choice["delta"] = ({"role": "assistant"} if is_first else {}) | {"content": text}
    return head.as_json(_streamed_kind(head)) | {"choices": [choice]}


def usage_event(head: Head, prompt_tokens: int, made: int) -> Json:
    """The last event, for clients that ask for it."""
    return head.as_json(_streamed_kind(head)) | {"choices": [], "usage": _usage(prompt_tokens, made)}


def event(data: Json) -> bytes:
    """One server-sent event."""
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def chat_logprobs(pieces: Sequence[Piece]) -> Json:
    """The `logprobs` of a chat choice."""
    return {"content": [_told(p.text, p.logprob) | {"top_logprobs": [_told(*t) for t in p.top]} for p in pieces]}


def text_logprobs(pieces: Sequence[Piece], offset: int = 0) -> Json:
    """The `logprobs` of a plain completion; `offset` is where in the text the first piece stands.

    Tokens that are worded alike are one entry of a list, with the larger of their numbers.
    """
    starts = itertools.accumulate((len(p.text) for p in pieces), initial=offset)
    return {
        "tokens": [p.text for p in pieces],
        "token_logprobs": [None if p.logprob is None else _number(p.logprob) for p in pieces],
        "top_logprobs": [None if p.logprob is None else _best(p) for p in pieces],
        "text_offset": [start for start, _ in zip(starts, pieces, strict=False)],
    }


def _choice(index: int, answer: Answer, is_chat: bool) -> Json:
    said, choice = answer.said, {"index": index, "finish_reason": answer.said.finish}
    if is_chat:
        told = None if said.pieces is None else chat_logprobs(said.pieces)
        return choice | {"message": {"role": "assistant", "content": said.text}, "logprobs": told}
    told = None if said.pieces is None else text_logprobs([*answer.prompt_pieces, *said.pieces])
    ids = {} if said.tokens is None else {"token_ids": list(said.tokens)}
    return choice | {"text": answer.prompt + said.text, "logprobs": told, **ids}


def _streamed_kind(head: Head) -> str:
    return "chat.completion.chunk" if head.is_chat else "text_completion"


def _told(token: str, logprob: float | None) -> Json:
    return {"token": token, "logprob": _number(logprob or 0.0), "bytes": list(token.encode())}


def _best(piece: Piece) -> dict[str, float]:
    return {text: _number(logprob) for text, logprob in reversed(piece.top)}


def _number(logprob: float) -> float:
    return max(_NEVER, logprob)


def _usage(read: int, made: int) -> Json:
    return {"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made}
