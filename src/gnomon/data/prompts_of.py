"""What a row asks: the prompt in any row that has one, and the words of a person that begin it."""

from __future__ import annotations

import re

from gnomon.data.layouts import Two, laid_out
from gnomon.data.records import BadRow, Record, text_of, turns
from gnomon.models.base import Prompt

__all__ = ["first_words", "prompt_of"]

_HUMAN = "\n\nHuman:"
_NEXT = re.compile(r"\n\n(?:Human|Assistant):")


def prompt_of(record: Record, name: str) -> Prompt:
    """The prompt of a row with `prompt` as text, with `messages` that end in the user's, or of a comparison.

    Raises:
        BadRow: it has none.
    """
    if "messages" in record:
        messages = turns(record["messages"], "messages")
        if messages[-1].role != "user":
            raise BadRow("its last message is not the user's")
        return messages
    if "chosen" not in record:
        return text_of(record, "prompt")
    found = next(laid_out(record, name))
    if not isinstance(found, Two):
        raise BadRow(f"it is no comparison: {found.why}")
    return found.prompt


def first_words(prompt: Prompt) -> str:
    """What the person says first.

    >>> first_words("\\n\\nHuman: Where is it?\\n\\nAssistant: Where?\\n\\nHuman: The mill.\\n\\nAssistant:")
    'Where is it?'
    """
    if not isinstance(prompt, str):
        return next((m.content.strip() for m in prompt if m.role == "user"), "")
    _, mark, after = prompt.partition(_HUMAN)
    return _NEXT.split(after)[0].strip() if mark else prompt.strip()
