"""What a service says, fit for a terminal and for files: nothing that a terminal obeys, no secret, bytes as text."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from gnomon.fuzz.base import Defect

__all__ = ["as_data", "hidden", "hidden_bytes", "mark", "presentable", "printable"]


_ANSWER = 400


def printable(text: str) -> str:
    r"""The text with everything that is not printed (escape sequences, NUL, marks of direction) as `\x1b` and the like.

    >>> printable("\x1b[31mred\n")
    '\\x1b[31mred\n'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def mark(name: str) -> str:
    """What stands in a text for a value that is put there later: a credential, or what a step answers."""
    return f"${{{name}}}"


def hidden(text: str, secrets: Mapping[str, str]) -> str:
    """The text with marks for secrets.

    Args:
        secrets: name of the mark by secret.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        for form in {secret, quote(secret, safe="")}:
            text = text.replace(form, mark(secrets[secret]))
    return text


def hidden_bytes(body: bytes, secrets: Mapping[str, str]) -> bytes:
    """`hidden` for bytes."""
    # Every byte is one character of latin-1, and back.
    latin = {secret.encode().decode("latin-1"): name for secret, name in secrets.items()}
    return hidden(body.decode("latin-1"), latin).encode("latin-1")


def as_data(body: bytes) -> dict[str, Any]:
    """Bytes as JSON holds them: `text` where they are UTF-8, else `base64`."""
    try:
        return {"text": body.decode("utf-8")}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}


def presentable(defect: Defect, secrets: Mapping[str, str]) -> Defect:
    """The defect with title and detail that can be shown anywhere; what several steps show has what came at last."""
    found, last = defect.violation, defect.violation.steps[-1].reply
    told = found.detail
    if found.holds is not None and not told:
        told = f"the last answer: {last.status} {last.body[:_ANSWER].decode('utf-8', 'replace')}"
    title, detail = (printable(hidden(text, secrets)) for text in (found.title, told))
    return replace(defect, violation=replace(found, title=title, detail=detail))
