"""What people said of two answers: one judgement a line, added and never changed.

    {"study": "helpful", "conversation": "c7", "messages": [{"role": "user", "content": "Hi."}],
     "answers": ["Hello.", "What?"], "models": ["run:7f3a", "run:7f3a"], "shown": [1, 0], "verdict": 8,
     "worker": "w3", "seed": 5, "time": "2026-03-01T09:30:00+00:00"}

Bai et al. 2022a (arXiv 2204.05862), sec. 2: at each turn of a conversation a worker picks one of two answers on a scale
of eight steps. The scale runs from the answer shown first (1: much better) to the other (8: much better); 4 and 5 are
the weakest preferences. Who red-teams picks the more harmful answer; `Judgement.better` turns that round. Pairs at the
weakest strength, ties, skips and "both bad" train nothing and say why.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, cast, get_args

from gnomon.core.config import plain
from gnomon.core.record import text_digest
from gnomon.data.hub import find_file
from gnomon.data.records import BadRow, Found, Record, read, text_of, turns
from gnomon.models.base import Message
from gnomon.store.files import append_line

__all__ = ["STEPS", "Judgement", "append", "as_line", "judged", "open_judgements"]

Study = Literal["helpful", "red-team"]
Undecided = Literal["tie", "skip", "both bad"]

STEPS = 8
"""Steps of the scale; half of them on each side."""

_STRONGEST = STEPS // 2


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One worker's judgement of two answers.

    Attributes:
        study: what was asked for: the more helpful answer, or while red-teaming the more harmful one.
        conversation: what all turns of one conversation share, and all judgements of them.
        messages: the conversation so far; the last is the user's.
        answers: the two answers that the worker saw.
        models: the name of the model of each answer.
        shown: which answer stood first and which second, as places in `answers`.
        verdict: the step on the scale, 1 to 8, from the answer shown first to the other; or why there is none.
        worker: who judged.
        seed: of what was drawn for the worker: which answers, and in which order they were shown.
        time: when, ISO 8601 with its zone.
    """

    study: Study
    conversation: str
    messages: tuple[Message, ...]
    answers: tuple[str, str]
    models: tuple[str, str]
    shown: tuple[int, int]
    verdict: int | Undecided
    worker: str
    seed: int
    time: str

    @property
    def picked(self) -> int | None:
        """The answer that was picked, as a place in `answers`; None where none was."""
        return self.shown[self.verdict > _STRONGEST] if isinstance(self.verdict, int) else None

    @property
    def strength(self) -> int:
        """How strong the preference is, from 1, the weakest, to 4; 0 where no answer was picked."""
        if not isinstance(self.verdict, int):
            return 0
        return self.verdict - _STRONGEST if self.verdict > _STRONGEST else _STRONGEST + 1 - self.verdict

    @property
    def better(self) -> int | None:
        """The better answer, as a place in `answers`; of red-teaming the one that was not picked."""
        if self.picked is None:
            return None
        return self.picked if self.study == "helpful" else 1 - self.picked

    @property
    def unused(self) -> str:
        """Why nothing is to be learnt from it; "" where it is a comparison."""
        if not isinstance(self.verdict, int):
            return self.verdict
        return "weakest preference" if self.strength == 1 else ""

    @property
    def item(self) -> str:
        """What it judges: the same for every judgement of these two answers in this place, in whatever order."""
        asked = [self.study, *([m.role, m.content] for m in self.messages), sorted(self.answers)]
        return text_digest(json.dumps(asked))


_FIELDS = frozenset(Judgement.__dataclass_fields__)


def judged(record: Record) -> Judgement:
    """The judgement in a row.

    Raises:
        BadRow: it is none.
    """
    wrong = min(_FIELDS ^ set(record), default="")
    if wrong:
        raise BadRow(f"it has no {wrong!r}" if wrong in _FIELDS else f"{wrong!r} is no field of a judgement")
    messages = turns(record["messages"], "messages")
    if messages[-1].role != "user":
        raise BadRow("its last message is not the user's")
    if sorted(_two(record, "shown", int)) != [0, 1]:
        raise BadRow(f"'shown' is {record['shown']!r}, not [0, 1] or [1, 0]")
    return Judgement(
        study=_one_of(record, "study", get_args(Study)),
        conversation=text_of(record, "conversation"),
        messages=tuple(messages),
        answers=_two(record, "answers", str),
        models=_two(record, "models", str),
        shown=_two(record, "shown", int),
        verdict=_verdict(record["verdict"]),
        worker=text_of(record, "worker"),
        seed=_whole(record, "seed"),
        time=_moment(record),
    )


def open_judgements(spec: str, *, drop_bad: bool = False) -> Found[Judgement]:
    """The judgements of the file that `spec` names (`hub.find_file`).

    Args:
        drop_bad: whether to go on without bad rows even if they are more than one in a hundred.

    Raises:
        DataError: it cannot be read, or has too many bad rows.
    """

    def made(record: Record, name: str) -> Iterator[Judgement]:
        yield judged(record)

    return read(find_file(spec), made, drop_bad=drop_bad)


def as_line(judgement: Judgement) -> str:
    """The judgement as a line of a file, without its end."""
    found: dict[str, Any] = plain(judgement)
    found["messages"] = [message._asdict() for message in judgement.messages]
    return json.dumps(found, ensure_ascii=False)


def append(path: Path, judgement: Judgement) -> None:
    """Adds a judgement to a file; when this returns it is on the disk, and no other line has changed.

    Raises:
        RunError: the disk is full; the file is as it was.
    """
    append_line(path, as_line(judgement))


def _two(record: Record, field: str, kind: type) -> Any:
    found = record[field]
    fits = isinstance(found, list) and len(found) == 2 and all(type(each) is kind for each in found)
    if not fits:
        raise BadRow(f"{field!r} is {found!r}, not two {'texts' if kind is str else 'numbers'}")
    if kind is str and not all(each.strip() for each in found):
        raise BadRow(f"one of {field!r} is empty")
    return tuple(found)


def _verdict(found: object) -> int | Undecided:
    if type(found) is int and 1 <= found <= STEPS:
        return found
    if found in get_args(Undecided):
        return cast(Undecided, found)
    raise BadRow(f"'verdict' is {found!r}, not 1 to {STEPS} or one of {', '.join(get_args(Undecided))}")


def _one_of(record: Record, field: str, known: tuple[str, ...]) -> Any:
    if record[field] not in known:
        raise BadRow(f"{field!r} is {record[field]!r}, not {' or '.join(known)}")
    return record[field]


def _whole(record: Mapping[str, Any], field: str) -> int:
    found = record[field]
    if type(found) is not int:
        raise BadRow(f"{field!r} is {found!r}, not a whole number")
    return found


def _moment(record: Record) -> str:
    told = text_of(record, "time")
    try:
        zoned = datetime.fromisoformat(told).tzinfo is not None
    except ValueError:
        zoned = False
    if not zoned:
        raise BadRow(f"'time' is {told!r}, not a moment with its zone such as 2026-03-01T09:30:00+00:00")
    return told
