"""Rows of a file that a person made: the good ones, and what is wrong with the others, counted and not guessed at.

`read` takes JSON lines (`.jsonl`, `.json`), tables (`.csv`, `.tsv`), lines of ParlAI (`.txt`), all gzipped or not, and
Parquet, and hands each row to a function that makes things of it or says why it cannot. Up to one row in a hundred may
be bad; a file with more is a wrong file or a wrong layout, unless its owner says that bad rows are to be dropped.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from gnomon.core.errors import DataError, UsageError
from gnomon.core.record import text_digest
from gnomon.core.seeds import Seed
from gnomon.data.formats import read_bytes, read_parquet
from gnomon.models.base import Message, Prompt

__all__ = ["MAX_BAD", "BadRow", "Found", "Record", "divided", "joined", "read", "text_of", "turns"]

T = TypeVar("T")

Record = Mapping[str, Any]
"""One row of a file, by field."""

MAX_BAD = 0.01
_SHOWN = 5
_SUFFIXES = (".jsonl", ".json", ".parquet", ".csv", ".tsv", ".txt")
_FIELD = re.compile(r"\w+")


class BadRow(Exception):
    """A row that nothing can be made of; the message says why, without its place."""


@dataclass(frozen=True, kw_only=True)
class Found(Generic[T]):
    """What a file holds.

    Attributes:
        things: what the good rows gave, in order.
        num_rows: rows read, bad ones included.
        num_bad: rows that could not be used.
        bad: the first five of them, each with file, line and reason.
        sha256: hash of the file's bytes; "" where there is no file.
    """

    things: tuple[T, ...]
    num_rows: int
    num_bad: int = 0
    bad: tuple[str, ...] = ()
    sha256: str = ""


def read(path: Path, make: Callable[[Record, str], Iterable[T]], *, drop_bad: bool = False) -> Found[T]:
    """What `make` makes of every row of `path`; it is given the row and the row's id, and raises `BadRow`.

    Args:
        path: `.jsonl`, `.jsonl.gz`, `.json` of one row a line, `.parquet`, `.csv` or `.tsv`; the first line of a table
            names the fields where each of its cells is one word; else every row has one field, `columns`. A line of
            `.txt` is `field:value` with tabs between.
        make: row and id (`FILE-LINE`, or the row's own `id`) to things.
        drop_bad: whether to go on without bad rows however many there are.

    Raises:
        DataError: no such file, a Git LFS pointer, no rows, or more than one bad row in a hundred.
    """
    data = read_bytes(path)
    if not path.name.removesuffix(".gz").endswith(_SUFFIXES):
        raise DataError("not a kind of file that is read", where=str(path), todo=f"give {', '.join(_SUFFIXES)}")
    things: list[T] = []
    bad: list[str] = []
    num_rows = num_bad = 0
    for number, word, row in _rows(path, data):
        num_rows += 1
        try:
            things += _made(row, f"{path.name.split('.')[0]}-{number}", make)
        except BadRow as error:
            num_bad += 1
            if len(bad) < _SHOWN:
                bad.append(f"{path}, {word} {number}: {error}")
    if not num_rows:
        raise DataError("holds no rows", where=str(path))
    if num_bad > MAX_BAD * num_rows and not drop_bad:
        told = "; ".join(line.removeprefix(f"{path}, ") for line in bad)
        what = f"{num_bad} of {num_rows} rows cannot be used ({told})"
        raise DataError(what, where=str(path), todo="mend them, or go on without them by --drop-bad")
    digest = hashlib.sha256(data).hexdigest()
    return Found(things=tuple(things), num_rows=num_rows, num_bad=num_bad, bad=tuple(bad), sha256=digest)


def text_of(record: Record, field: str) -> str:
    """The text in `field`; `BadRow` where there is none, or it is empty."""
    if field not in record:
        raise BadRow(f"it has no {field!r}")
    found = record[field]
    if not isinstance(found, str):
        raise BadRow(f"{field!r} is a {type(found).__name__}, not text")
    if not found.strip():
        raise BadRow(f"{field!r} is empty")
    return found


def turns(found: object, field: str) -> list[Message]:
    """A conversation as messages, from a list of objects with `role` and `content`; `BadRow` where it is none."""
    if not isinstance(found, Sequence) or isinstance(found, str) or not found:
        raise BadRow(f"{field!r} is no list of messages")
    messages: list[Message] = []
    for each in found:
        if not isinstance(each, Mapping) or each.get("role") not in ("system", "user", "assistant"):
            raise BadRow(f"{field!r} has a message without a role of system, user or assistant")
        messages.append(Message(each["role"], text_of(each, "content")))
    return messages


def joined(prompt: Prompt, answer: str) -> str:
    """`answer` as it continues `prompt`: a space is put between two words that would run together.

    Chat templates see to the space themselves, so the answer to messages begins with its first word.

    >>> joined("Human: hi\\n\\nAssistant:", "hello")
    ' hello'
    """
    if not isinstance(prompt, str):
        return answer.strip()
    begins = not prompt or prompt[-1].isspace() or answer[:1].isspace()
    return answer if begins else f" {answer}"


def divided(
    units: Sequence[Hashable],
    held_out: int,
    seed: Seed,
    *,
    train: int = 0,
    part: tuple[int, int] = (1, 1),
    where: str = "",
) -> tuple[list[int], list[int]]:
    """Places of rows to train on and of others to measure on, in order; rows of one unit stay on one side.

    Args:
        units: what each row must not be parted from, such as its prompt.
        held_out: at least so many rows are measured on, drawn from `seed`.
        train: at most so many are trained on; 0 is all.
        part: which of how many parts is trained on. A unit is in the same part whatever the seed, so that what is
            learnt from two parts has nothing in common.
        where: the source, for the error.

    Raises:
        UsageError: a side is empty.
    """
    places: dict[Hashable, list[int]] = {}
    for place, unit in enumerate(units):
        places.setdefault(unit, []).append(place)
    drawn = list(places.values())
    seed.child("divided").random().shuffle(drawn)
    kept: list[int] = []
    while drawn and len(kept) < held_out:
        kept += drawn.pop()
    chosen, num_parts = part
    left = [i for of in drawn if int(text_digest(repr(units[of[0]])), 16) % num_parts == chosen - 1 for i in of]
    left = sorted(left[:train] if train else left)
    if not left or not kept:
        what = f"{len(units)} rows leave {len(left)} to train on and {len(kept)} to measure on"
        raise UsageError(what, where=where, todo="give more rows, or hold out fewer")
    return left, sorted(kept)


def _made(row: object, name: str, make: Callable[[Record, str], Iterable[T]]) -> list[T]:
    if isinstance(row, BadRow):
        raise row
    if not isinstance(row, Mapping):
        raise BadRow(f"it holds a {type(row).__name__}, not an object")
    return list(make(row, str(row.get("id", name))))


def _rows(path: Path, data: bytes) -> Iterator[tuple[int, str, object]]:
    if path.suffix == ".parquet":
        yield from ((number, "row", record) for number, record in read_parquet(path))
        return
    if path.name.removesuffix(".gz").endswith((".csv", ".tsv")):
        yield from ((number, "line", row) for number, row in _table(path, data))
        return
    parsed = _fields if path.name.removesuffix(".gz").endswith(".txt") else _parsed
    # Not splitlines: JSON texts may hold further line separators as they stand.
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            yield number, "line", parsed(line)


def _table(path: Path, data: bytes) -> Iterator[tuple[int, object]]:
    try:
        between = "\t" if path.name.removesuffix(".gz").endswith(".tsv") else ","
        reader = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=between)
    except UnicodeDecodeError:
        raise DataError("it is not UTF-8", where=str(path)) from None
    names: list[str] | None = None
    for cells in filter(None, reader):
        if names is None and all(_FIELD.fullmatch(cell) for cell in cells):
            names = cells
        elif not names:
            names = []
            yield reader.line_num, {"columns": cells}
        elif len(cells) != len(names):
            yield reader.line_num, BadRow(f"it has {len(cells)} columns, not {len(names)}")
        else:
            yield reader.line_num, dict(zip(names, cells, strict=True))


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return BadRow("it is not UTF-8")
    except (ValueError, RecursionError) as error:
        return BadRow(f"it is no JSON ({error})")


def _fields(line: bytes) -> object:
    """A line of ParlAI's text format, in which line breaks and tabs of a value are written as \\n and __TAB__."""
    try:
        cells = [cell.partition(":") for cell in line.decode("utf-8-sig").rstrip("\r").split("\t") if cell]
    except UnicodeDecodeError:
        return BadRow("it is not UTF-8")
    if not all(mark for _, mark, _ in cells):
        return BadRow("it is not field:value with tabs between")
    return {name: value.replace("\\n", "\n").replace("__TAB__", "\t") for name, _, value in cells}
