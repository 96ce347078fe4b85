"""What a refusal speaks of: the values that were sent, or what the server keeps already or keeps not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from gnomon.fuzz.base import Reply
from gnomon.fuzz.checks.fingerprint import masked

__all__ = ["is_beyond_schemas", "is_conflict", "reasons", "told"]

_TAKEN = re.compile(rb"already|\bunique\b|duplicate|\btaken\b|in use|conflict", re.IGNORECASE)
_ABSENT = re.compile(
    rb"not? (?:\w+ )?(?:exist|found|such)|unknown|no longer|invalid (?:pk|id|reference)|available choices"
    rb"|refers? to|foreign key|could not find|cannot find"
    rb"|(?:invalid|malformed) (?:[\w-]+ ){0,4}(?:ids?|identifiers?|cursor|token|key|uuid|handle)\b",
    re.IGNORECASE,
)
# A schema knows one value at a time, and nothing of who asks.
_OTHERWISE = re.compile(
    rb"\b(?:than|before|after|equal to) (?!or\b)[`'\"]?[a-z_]|does not match|must match"
    rb"|api.?key|credential|permission|acknowledge",
    re.IGNORECASE,
)
_SAYS = ("msg", "message", "detail", "error", "description", "title", "reason")
_SHOWN = 80
_MOST, _LONGEST = 12, 64 * 1024


def is_conflict(reply: Reply) -> bool:
    """Whether a server says that it has such a thing already: by 409, or in the words of a 400 or 422."""
    return reply.status == 409 or (reply.status in (400, 422) and bool(_TAKEN.search(reply.body[:_LONGEST])))


def is_beyond_schemas(said: bytes) -> bool:
    """Whether words of a refusal are about what no schema tells of: what is there or is not, how values stand to each
    other, or who asks."""
    return any(each.search(said) for each in (_TAKEN, _ABSENT, _OTHERWISE))


def reasons(body: bytes) -> list[bytes]:
    """The reasons that a refusal gives, each as a body of its own; the whole where it is not a list of some.

    >>> reasons(b'{"name": ["too long"], "age": ["no number"]}')
    [b'{"name": ["too long"]}', b'{"age": ["no number"]}']
    """
    try:
        said = json.loads(body[:_LONGEST])
    except (ValueError, RecursionError):
        return [body]
    if not isinstance(said, dict):
        return [body]
    if len(said) > 1 and all(_is_texts(each) for each in said.values()):
        return [json.dumps({name: each}).encode() for name, each in said.items()][:_MOST]
    for name, each in said.items():
        if isinstance(each, str) and name in _SAYS and len(lines := each.split("\n")) > 1:
            return [json.dumps({**said, name: line}).encode() for line in lines if line.strip()][:_MOST]
        if isinstance(each, list) and len(each) > 1 and all(isinstance(inner, dict) for inner in each):
            return [json.dumps({name: [inner]}).encode() for inner in each][:_MOST]
    return [body]


def told(reason: bytes) -> str:
    """A reason in a line, without values.

    >>> told(b'{"detail": [{"loc": ["body", "age"], "msg": "less than 18", "input": "7"}]}')
    'less than #'
    """
    try:
        texts = list(_texts(json.loads(reason)))
    except (ValueError, RecursionError):
        return masked(reason[:_LONGEST].decode("utf-8", "replace"))[:_SHOWN]
    said = [text for name, text in texts if name in _SAYS]
    return masked(" ".join(said or [f"{name}: {text}" if name else text for name, text in texts]))[:_SHOWN]


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _texts(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, name)
    elif isinstance(value, str):
        yield name, value


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)
