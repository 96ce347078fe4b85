"""What makes two errors the same one: the text of a body without what differs from one time to the next."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any

from gnomon.fuzz.answered import parsed
from gnomon.fuzz.base import Case

__all__ = ["fingerprint", "masked", "names_exception", "texts_of"]

_MASKS = (
    (re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"), "#"),
    (re.compile(r"\d{4}-\d\d-\d\d(?:[T ][\d:.]+(?:Z|[+-]\d\d:?\d\d)?)?"), "#"),
    (re.compile(r"0x[0-9a-fA-F]+"), "#"),
    (re.compile(r"""(["'`])(?:\\.|(?!\1|\\).)*\1""", re.S), "?"),
    (re.compile(r"(?:https?:/)?/[^\s,;<>]*"), "/"),
    (re.compile(r"\b[0-9a-fA-F]{12,}\b"), "#"),
    (re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"), "#"),
    (re.compile(r"[^\x20-\x7e]+"), "~"),
    (re.compile(r"\s+"), " "),
)
_LONGEST, _SHORTEST, _SHORT = 4000, 3, 200
_LAST = re.compile(r":\s*\S{0,2}$")
_EXCEPTION = re.compile(rb"\b(?!InternalServerError\b)[A-Z]\w*(?:Error|Exception|Fault)\b")


def masked(text: str) -> str:
    """Text with digits, identifiers, quoted parts, paths and times taken out."""
    return _short(text) if len(text) <= _SHORT else _masked(text[:_LONGEST])


def _masked(text: str) -> str:
    for pattern, instead in _MASKS:
        text = pattern.sub(instead, text)
    return text.strip()


# Names of members, and the words of a service, come again and again.
_short = lru_cache(maxsize=4096)(_masked)


def fingerprint(body: bytes, sent: Collection[str] = ()) -> str:
    """Twelve hexadecimal digits, the same for two bodies that say the same about other values.

    Of JSON, names of members and masked texts count; of anything else the masked text.

    Args:
        sent: texts of the request; where the body repeats one, it is a value too.
    """
    repeated = sorted(sent, key=lambda each: (-len(each), each))
    return _digest(body[: 64 * 1024], tuple(repeated))


@lru_cache(maxsize=512)
def _digest(body: bytes, repeated: Collection[str]) -> str:
    text = body.decode("utf-8", "replace")
    try:
        said = "\n".join(sorted(set(_leaves(_value(body, text), "", repeated))))
    except (ValueError, RecursionError):
        said = masked(_without(re.sub(r"<[^>]*>", " ", text), repeated))
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _value(body: bytes, text: str) -> Any:
    with suppress(ValueError):
        return parsed(body)
    return json.loads(text)  # where bytes that are no UTF-8 were replaced


def texts_of(case: Case) -> set[str]:
    """All texts among the values of a case."""
    return set(_texts([*case.parameters.values(), case.body]))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


def _without(text: str, repeated: Collection[str]) -> str:
    for each in repeated:
        if len(each) >= _SHORTEST:
            text = text.replace(each, "#")
        elif _LAST.search(text) and text.endswith(each):
            # A short one is in many words: it counts where it is the last word, after a colon.
            text = _LAST.sub(": #", text)
    return text


def names_exception(body: bytes) -> bool:
    """Whether a body names an exception, such as `KeyError`, rather than that there was one."""
    return bool(_EXCEPTION.search(body[: 64 * 1024]))


def _leaves(value: Any, place: str, repeated: Collection[str]) -> list[str]:
    if isinstance(value, dict):
        return [leaf for key, each in value.items() for leaf in _leaves(each, f"{place}.{masked(key)}", repeated)]
    if isinstance(value, list):
        return [leaf for each in value for leaf in _leaves(each, f"{place}[]", repeated)]
    return [f"{place}={masked(_without(value, repeated)) if isinstance(value, str) else type(value).__name__}"]
