"""What makes two errors the same one: the text of a body without what differs from one time to the next."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

__all__ = ["fingerprint", "masked", "names_exception"]

_MASKS = (
    (re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"), "#"),
    (re.compile(r"\d{4}-\d\d-\d\d(?:[T ][\d:.]+(?:Z|[+-]\d\d:?\d\d)?)?"), "#"),
    (re.compile(r"0x[0-9a-fA-F]+"), "#"),
    (re.compile(r"""(["'`]).*?\1""", re.S), "?"),
    (re.compile(r"(?:https?:/)?/[^\s,;<>]*"), "/"),
    (re.compile(r"\b[0-9a-fA-F]{12,}\b"), "#"),
    (re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"), "#"),
    (re.compile(r"[^\x20-\x7e]+"), "~"),
    (re.compile(r"\s+"), " "),
)
_LONGEST = 4000
_EXCEPTION = re.compile(rb"\b(?!InternalServerError\b)[A-Z]\w*(?:Error|Exception|Fault)\b")


def masked(text: str) -> str:
    """Text with digits, identifiers, quoted parts, paths and times taken out."""
    text = text[:_LONGEST]
    for pattern, instead in _MASKS:
        text = pattern.sub(instead, text)
    return text.strip()


def fingerprint(body: bytes) -> str:
    """Twelve hexadecimal digits, the same for two bodies that say the same about other values.

    Of JSON, names of members and masked texts count; of anything else the masked text.
    """
    text = body[: 64 * 1024].decode("utf-8", "replace")
    try:
        said = "\n".join(sorted(set(_leaves(json.loads(text), ""))))
    except (ValueError, RecursionError):
        said = masked(re.sub(r"<[^>]*>", " ", text))
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def names_exception(body: bytes) -> bool:
    """Whether a body names an exception, such as `KeyError`, rather than that there was one."""
    return bool(_EXCEPTION.search(body[: 64 * 1024]))


def _leaves(value: Any, place: str) -> list[str]:
    if isinstance(value, dict):
        return [leaf for key, each in value.items() for leaf in _leaves(each, f"{place}.{masked(key)}")]
    if isinstance(value, list):
        return [leaf for each in value for leaf in _leaves(each, f"{place}[]")]
    return [f"{place}={masked(value) if isinstance(value, str) else type(value).__name__}"]
