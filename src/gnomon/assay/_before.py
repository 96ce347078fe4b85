"""A text that stands before what is asked, as `--prompt` gives it: that of a file, or good dialogues of Brook.

Rows must not depend on a file that changes while they are asked, so an item carries the text's digest.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from gnomon.core.errors import DataError, UsageError

__all__ = ["digest", "unchanged"]


def digest(spec: str) -> str:
    """What names the text's content; "" where there is no text.

    Raises:
        UsageError: there is no such file, or it is empty.
    """
    return hashlib.blake2b(_text(spec).encode(), digest_size=8).hexdigest() if spec else ""


def unchanged(spec: str, was: str, dialect: str) -> str:
    """The text as it stands before a prompt of `dialect`, its white space behind it included.

    Brook's documents are words with single spaces; elsewhere a blank line follows the text.

    Raises:
        DataError: the text is not the one whose digest is `was`.
    """
    if digest(spec) != was:
        raise DataError("the file changed while items were asked", where=f"--prompt {spec}")
    return f"{' '.join(_text(spec).split())} " if dialect == "brook" else f"{_text(spec)}\n\n"


@lru_cache(maxsize=8)
def _text(spec: str) -> str:
    name, _, count = spec.partition(":")
    if name == "brook":
        from gnomon.data.worlds.brook import world
        from gnomon.data.worlds.brook.hhh import DIALOGUES, preface

        if count and not count.isdigit():
            raise UsageError(f"{count!r} is no number of dialogues", where="--prompt", todo="write brook:4")
        return preface(world(), int(count) if count else DIALOGUES)
    try:
        text = Path(spec).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read it ({error})", where=f"--prompt {spec}", todo="give a text file") from None
    if not text:
        raise UsageError("the file is empty", where=f"--prompt {spec}", todo="put a text into it")
    return text
