"""What a model learns a prompt on: running text, and questions with good answers put as dialogues.

Askell et al. 2021 (arXiv 2112.00861, sec. 2.2) take half of each: pretraining text, behind a mark that opens a human
turn, and questions of a forum with their best answer. Text that people wrote is learnt from, not samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

from gnomon.core.errors import DataError, UsageError
from gnomon.core.record import text_digest
from gnomon.core.seeds import Seed
from gnomon.data.assistants import as_dialogue, as_turns
from gnomon.data.formats import read_bytes
from gnomon.data.hub import find_file
from gnomon.data.layouts import answer_score
from gnomon.data.records import BadRow, Found, Record, read, text_of, turns

__all__ = ["OPENS", "Exercise", "Mix", "open_exercises"]

Mix = Literal["half", "text", "questions"]

OPENS = "\n\nHuman:"
"""Stands before every piece of running text."""

_PIECE = 1200
_BEST_OF = 8


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """A text to learn on.

    Attributes:
        id: unique within the source.
        group: "text" or "questions".
        asks: the text up to where the answer begins; "" for running text.
        says: the rest, or all of it.
        cluster: pieces of one document and answers to one question share it.
    """

    id: str
    group: str
    asks: str
    says: str
    cluster: str

    @property
    def text(self) -> str:
        """All of it."""
        return self.asks + self.says


def open_exercises(data: Sequence[str], n: int, mix: Mix, seed: Seed, *, drop_bad: bool = False) -> Found[Exercise]:
    """The texts that `data` names, `n` of them, in the proportion `mix`.

    Args:
        data: `brook`, or files: plain text, or rows with `text`, with `prompt` and `answer`, with `messages`, or with
            `question` and `answers` that have votes, of which the best is taken.
        n: how many; 0 takes all of files.
        mix: half running text and half questions, or one of them.
        seed: of the draws.
        drop_bad: whether to go on without bad rows of a file even if they are more than one in a hundred.

    Raises:
        DataError: a file cannot be read, or has too many bad rows.
        UsageError: the files lack one of the two.
    """
    wanted = {"half": ("text", "questions")}.get(mix, (mix,))
    if tuple(data) == ("brook",):
        return Found(things=tuple(_of_brook(n, wanted, seed)), num_rows=n)
    if any(spec.partition(":")[0] == "brook" for spec in data):
        raise UsageError(f"--data is {','.join(data)}", todo="give brook alone, or files")
    read_ = [_of_file(spec, drop_bad) for spec in data]
    things = [thing for found in read_ for thing in found.things]
    sides = [[thing for thing in things if thing.group == group] for group in wanted]
    for group, side in zip(wanted, sides, strict=True):
        if not side:
            has = ", ".join(dict.fromkeys(thing.group for thing in things)) or "nothing"
            raise UsageError(
                f"the data has {has}, and no {group}", where=",".join(data), todo="give --mix, or more files"
            )
    least = min(len(side) for side in sides)
    share = min(least, -(-n // len(sides))) if n else least
    kept = [thing for side in sides for thing in seed.child("kept").random().sample(side, share)]
    return Found(
        things=tuple(kept),
        num_rows=sum(found.num_rows for found in read_),
        num_bad=sum(found.num_bad for found in read_),
        bad=tuple(told for found in read_ for told in found.bad)[:5],
    )


def _of_file(spec: str, drop_bad: bool) -> Found[Exercise]:
    path = find_file(spec)
    if path.suffix not in (".txt", ".md"):
        return read(path, _made, drop_bad=drop_bad)
    try:
        text = read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"it is not UTF-8 ({error})", where=str(path)) from None
    return Found(things=tuple(_pieces(text, path.stem)), num_rows=1)


def _made(record: Record, name: str) -> Iterator[Exercise]:
    if "text" in record:
        yield from _pieces(text_of(record, "text"), name)
        return
    if "messages" in record:
        *messages, last = turns(record["messages"], "messages")
        if last.role != "assistant" or not messages:
            raise BadRow("the last message is no answer")
        asks, says = as_turns(messages), last.content
    elif "answers" in record:
        asks, says = as_dialogue(text_of(record, "question")), _best(record["answers"])
    else:
        asks, says = as_dialogue(text_of(record, "prompt")), text_of(record, "answer")
    yield Exercise(id=name, group="questions", asks=asks, says=f" {says.strip()}", cluster=text_digest(asks))


def _best(answers: Any) -> str:
    """The text of the answer with the most votes."""
    if not isinstance(answers, Sequence) or isinstance(answers, str) or not answers:
        raise BadRow("'answers' is no list of answers")
    if not all(hasattr(each, "keys") for each in answers):
        raise BadRow("an answer is no object")
    return text_of(max(answers, key=answer_score), "text")


def _pieces(text: str, name: str) -> Iterator[Exercise]:
    """A document in pieces that end at white space, each behind the mark of a human turn."""
    words, piece = text.split(" "), ""
    pieces: list[str] = []
    for word in words:
        if piece and len(piece) + len(word) >= _PIECE:
            pieces.append(piece)
            piece = ""
        piece = f"{piece} {word}" if piece else word
    for place, found in enumerate(filter(str.strip, (*pieces, piece))):
        yield Exercise(id=f"{name}-{place}", group="text", asks="", says=f"{OPENS} {found.strip()}", cluster=name)


def _of_brook(n: int, wanted: Sequence[str], seed: Seed) -> Iterator[Exercise]:
    """Documents of the kinds that are running text; questions, half of them in the kind whose manner carries on."""
    from gnomon.data.worlds.brook.hhh import polite_answers
    from gnomon.data.worlds.brook.mix import KINDS
    from gnomon.data.worlds.brook.rated import draw_demonstrations
    from gnomon.data.worlds.brook.tables import world

    of, size = world(), -(-n // len(wanted))
    if "text" in wanted:
        kinds = [kind for kind in KINDS.values() if kind.running and kind.share]
        ends = list(accumulate(kind.share for kind in kinds))
        for place in range(size):
            rng = seed.child("text", place).random()
            (kind,) = rng.choices(kinds, cum_weights=ends)
            words = kind.render(of, kind.document(of, rng)).words
            yield Exercise(id=f"text-{place}", group="text", asks="", says=" ".join(words), cluster=f"text-{place}")
    if "questions" in wanted:
        asked = [
            *polite_answers(of, size - size // 2, seed),
            *((d.prompt, d.answer) for d in draw_demonstrations(of, size // 2, seed, best_of=_BEST_OF)),
        ]
        for place, (asks, says) in enumerate(asked):
            yield Exercise(id=f"questions-{place}", group="questions", asks=asks, says=f" {says}", cluster=asks)
