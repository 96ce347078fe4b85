"""A text that stands before what is asked, as `--prompt` names it; `data.assistants` says what there is.

Rows must not depend on a file that changes while they are asked, so an item carries the text's digest.
"""

from __future__ import annotations

from gnomon.core.errors import DataError
from gnomon.core.record import text_digest
from gnomon.data.assistants import before, prompt_text

__all__ = ["digest", "unchanged"]


def digest(spec: str) -> str:
    """What names the text's content; "" where there is no text.

    Raises:
        UsageError: there is no such text, or it is empty.
    """
    return text_digest(prompt_text(spec)) if spec else ""


def unchanged(spec: str, was: str, dialect: str) -> str:
    """The text as it stands before a prompt of `dialect`: before dialogues, which bring their own blank line.

    Raises:
        DataError: the text is not the one whose digest is `was`.
    """
    if digest(spec) != was:
        raise DataError("the file changed while items were asked", where=f"--prompt {spec}")
    return before(prompt_text(spec), dialect)
