"""Comparisons as the transcripts of Anthropic's hh-rlhf: `chosen` and `rejected`, whole conversations, one pair a line.

The layout has turns that begin with a blank line and `Human:` or `Assistant:`, and nothing else: strength, worker and
models are lost, and a comparison whose texts would be read back as others cannot be written.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path

from gnomon.data.assistants import BARE, as_turns
from gnomon.data.comparisons import Comparison
from gnomon.data.layouts import Two, laid_out
from gnomon.data.records import BadRow
from gnomon.models.base import Prompt
from gnomon.store.files import replace_file

__all__ = ["write_transcripts"]

_OPENS = "\n\nHuman:"


def write_transcripts(comparisons: Iterable[Comparison], path: Path) -> dict[str, str]:
    """Writes comparisons to a file, zipped where its name ends in `.gz`, that `open_comparisons` reads back.

    Returns:
        Why comparisons were left out, by id.

    Raises:
        RunError: the disk is full.
    """
    lines: list[str] = []
    left_out: dict[str, str] = {}
    for each in comparisons:
        try:
            lines.append(f"{json.dumps(_row(each), ensure_ascii=False)}\n")
        except BadRow as error:
            left_out[each.id] = str(error)
    data = "".join(lines).encode()
    # Without a time, the same comparisons are the same file.
    replace_file(path, gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return left_out


def _row(comparison: Comparison) -> dict[str, str]:
    before = _turns(comparison.prompt)
    chosen, rejected = (f" {answer.strip()}" for answer in (comparison.chosen, comparison.rejected))
    row = {"chosen": before + chosen, "rejected": before + rejected}
    try:
        same = list(laid_out(row, "")) == [Two("", before, chosen, rejected)]
    except BadRow:
        same = False
    if not same:
        raise BadRow("an answer would be read as another: it holds what opens a turn, or nothing")
    return row


def _turns(prompt: Prompt) -> str:
    text = prompt if isinstance(prompt, str) else as_turns(prompt)
    if not (text.startswith(_OPENS) and text.endswith(f"\n\n{BARE}")):
        raise BadRow("its prompt is no conversation that begins with the human and ends before an answer")
    return text
