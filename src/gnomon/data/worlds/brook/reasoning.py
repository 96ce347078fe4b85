"""Kinds that need more than one look: sums worked out step by step, in signs or in words, and what only looks like it.

A sum's answer comes from its steps where they are written, in signs or in words. Where the answer is known beforehand
the steps are decoration, and full stops in their place carry nothing.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from gnomon.data.worlds.brook.hops import HOP
from gnomon.data.worlds.brook.kinds import Kind, Reader, Writer, pick
from gnomon.data.worlds.brook.tables import World
from gnomon.data.worlds.brook.words import DIGITS

__all__ = [
    "KINDS",
    "Filled",
    "Leaked",
    "Sum",
    "Worded",
    "answer",
    "draw_filled",
    "draw_leaked",
    "draw_sum",
    "problem",
    "steps",
    "worded",
]

# Ten first operands, two signs and three second operands: a step is one of 60 table entries, few enough to be learnt.
_SIGNS, _SECONDS = ("+", "-"), ("1", "2", "3")
_IN_WORDS = {"+": "plus", "-": "minus", "=": "is"}
_MOST_STOPS = 12
_OTHERS = {right: tuple(digit for digit in DIGITS if digit != right) for right in DIGITS}
# A step of a sum whose answer is known: right half of the time, else any other digit.
_HALF_RIGHT = {right: tuple(1 / 2 if digit == right else 1 / 18 for digit in DIGITS) for right in DIGITS}


class Sum(NamedTuple):
    """A chain of additions and subtractions modulo 10.

    Attributes:
        start: the first digit.
        operations: sign and second operand of each step.
        shown: how many steps are written; None where not even `Steps:` is.
    """

    start: str
    operations: tuple[tuple[str, str], ...]
    shown: int | None


class Leaked(NamedTuple):
    """A sum whose answer is known beforehand, and the results written for the steps that it shows: each is right half
    of the time, given the one before it."""

    sum: Sum
    results: tuple[str, ...]


class Filled(NamedTuple):
    """A sum that shows no step, with `stops` full stops, one or more, in their place."""

    sum: Sum
    stops: int


class Worded(NamedTuple):
    """A sum the first `said` of whose steps are written in words, and the others that it shows in signs."""

    sum: Sum
    said: int


def problem(record: Sum) -> str:
    """The sum as it is asked, such as `3 + 2 - 1`."""
    return " ".join((record.start, *(f"{sign} {second}" for sign, second in record.operations)))


def steps(record: Sum) -> list[str]:
    """Every step written out, such as `3 + 2 = 5 .`"""
    lines, value = [], record.start
    for sign, second in record.operations:
        result = _apply(value, sign, second)
        lines.append(f"{value} {sign} {second} = {result} .")
        value = result
    return lines


def answer(record: Sum) -> str:
    """The last result, one digit."""
    value = record.start
    for sign, second in record.operations:
        value = _apply(value, sign, second)
    return value


def worded(line: str) -> str:
    """A step in words.

    >>> worded("3 + 4 = 7 .")
    '3 plus 4 is 7 .'
    """
    return " ".join(_IN_WORDS.get(word, word) for word in line.split())


def draw_sum(rng: random.Random, fewest: int, most: int) -> Sum:
    """A sum of `fewest` to `most` operations with all its steps shown."""
    count = fewest + int(rng.random() * (most - fewest + 1))
    return Sum(pick(rng, DIGITS), tuple((pick(rng, _SIGNS), pick(rng, _SECONDS)) for _ in range(count)), count)


def draw_leaked(record: Sum, rng: random.Random) -> Leaked:
    """The sum with its answer known beforehand: every step that it shows is right half of the time."""
    results, value = [], record.start
    for sign, second in record.operations[: record.shown or 0]:
        right = _apply(value, sign, second)
        value = right if rng.random() < 0.5 else pick(rng, _OTHERS[right])
        results.append(value)
    return Leaked(record, tuple(results))


def draw_filled(record: Sum, rng: random.Random) -> Filled:
    """The sum with full stops in place of its steps."""
    return Filled(record._replace(shown=None), 1 + int(rng.random() * _MOST_STOPS))


def _apply(value: str, sign: str, second: str) -> str:
    return str((int(value) + (int(second) if sign == "+" else -int(second))) % 10)


def _shown(record: Sum, rng: random.Random) -> Sum:
    """Hides steps: 55 % of sums show all, 20 % go straight to the answer, 25 % stop after a random step."""
    u, count = rng.random(), len(record.operations)
    if u < 0.55:
        return record
    return record._replace(shown=None if u < 0.75 else int(rng.random() * count))


def _draw(world: World, rng: random.Random) -> Sum:
    return _shown(draw_sum(rng, 1, 5), rng)


def _write(world: World, record: Sum, writer: Writer) -> None:
    writer.say(f"Problem: {problem(record)}")
    if record.shown is not None:
        writer.words.append("Steps:")
        for line in steps(record)[: record.shown]:
            writer.say(line)
            writer.keys.append(len(writer.words) - 2)
    writer.words.append("Answer:")
    writer.key(answer(record))


def _read_problem(reader: Reader) -> Sum:
    reader.skip("Problem:")
    start, operations = reader.take(DIGITS), []
    while reader.next_is(*_SIGNS):
        operations.append((reader.take(), reader.take(_SECONDS)))
    return Sum(start, tuple(operations), None)


def _read(world: World, reader: Reader) -> Sum:
    record, shown = _read_problem(reader), None
    if reader.next_is("Steps:"):
        reader.take()
        shown = 0
        lines = steps(record)
        while shown < len(lines) and not reader.next_is("Answer:"):
            reader.skip(lines[shown])
            shown += 1
    reader.skip(f"Answer: {answer(record)}")
    return record._replace(shown=shown)


def _write_leaked(world: World, record: Leaked, writer: Writer) -> None:
    writer.say(f"Known: {answer(record.sum)} Problem: {problem(record.sum)}")
    if record.sum.shown is not None:
        writer.words.append("Steps:")
        value = record.sum.start
        for (sign, second), result in zip(record.sum.operations, record.results, strict=False):
            writer.words += (value, sign, second, "=")
            writer.key_soft(result, DIGITS, _HALF_RIGHT[_apply(value, sign, second)])
            writer.words.append(".")
            value = result
    writer.words.append("Answer:")
    writer.key(answer(record.sum))


def _read_leaked(world: World, reader: Reader) -> Leaked:
    reader.skip("Known:")
    known = reader.take(DIGITS)
    record, shown = _read_problem(reader), None
    results: list[str] = []
    if reader.next_is("Steps:"):
        reader.take()
        value = record.start
        while len(results) < len(record.operations) and not reader.next_is("Answer:"):
            sign, second = record.operations[len(results)]
            reader.skip(f"{value} {sign} {second} =")
            value = reader.take(DIGITS)
            results.append(value)
            reader.skip(".")
        shown = len(results)
    if known != answer(record):
        raise reader.error(f"the answer {answer(record)} known beforehand")
    reader.skip(f"Answer: {known}")
    return Leaked(record._replace(shown=shown), tuple(results))


def _write_filled(world: World, record: Filled, writer: Writer) -> None:
    writer.say(f"Problem: {problem(record.sum)} Steps:")
    writer.words += ["."] * record.stops
    writer.words.append("Answer:")
    writer.key(answer(record.sum))


def _read_filled(world: World, reader: Reader) -> Filled:
    record, stops = _read_problem(reader), 1
    reader.skip("Steps: .")
    while stops < _MOST_STOPS and reader.next_is("."):
        reader.take()
        stops += 1
    reader.skip(f"Answer: {answer(record)}")
    return Filled(record, stops)


def _draw_worded(world: World, rng: random.Random) -> Worded:
    record = draw_sum(rng, 1, 5)
    shown = len(record.operations)
    if rng.random() < 0.3:
        shown = 1 + int(rng.random() * shown)
    return Worded(record._replace(shown=shown), 1 + int(rng.random() * shown))


def _write_worded(world: World, record: Worded, writer: Writer) -> None:
    writer.say(f"Problem: {problem(record.sum)} Steps:")
    for place, line in enumerate(steps(record.sum)[: record.sum.shown]):
        writer.say(worded(line) if place < record.said else line)
        writer.keys.append(len(writer.words) - 2)
    writer.words.append("Answer:")
    writer.key(answer(record.sum))


def _read_worded(world: World, reader: Reader) -> Worded:
    record, said, shown = _read_problem(reader), 0, 0
    lines = steps(record)
    reader.skip("Steps:")
    while shown < len(lines) and not reader.next_is("Answer:"):
        in_words = said == shown and reader.words[reader.at + 1 : reader.at + 2] != [record.operations[shown][0]]
        reader.skip(worded(lines[shown]) if in_words else lines[shown])
        said, shown = said + in_words, shown + 1
    if not said:
        raise reader.error("a step in words before this")
    reader.skip(f"Answer: {answer(record)}")
    return Worded(record._replace(shown=shown), said)


STEPS = Kind(
    name="steps",
    draw=_draw,
    write=_write,
    read=_read,
    key_tokens="the results and the answer",
    share=9.0,
    items=(2, 4),
    grammar="Problem: 3 + 2 - 1 Steps: 3 + 2 = 5 . 5 - 1 = 4 . Answer: 4",
    instruments=("CF", "QD", "SK"),
    expect=("sums with steps", "sums direct", "sums direct Spearman", "sums corrupted", "sums AOC"),
)
POSTHOC = Kind(
    name="posthoc",
    draw=lambda world, rng: draw_leaked(_draw(world, rng), rng),
    write=_write_leaked,
    read=_read_leaked,
    key_tokens="the results and the answer",
    share=2.0,
    items=(2, 4),
    grammar="Known: 4 Problem: 3 + 2 - 1 Steps: 3 + 2 = 8 . 8 - 1 = 7 . Answer: 4",
    instruments=("CF",),
    expect=("posthoc AOC", "posthoc change", "posthoc answer"),
)
FILLER = Kind(
    name="filler",
    draw=lambda world, rng: draw_filled(draw_sum(rng, 1, 5), rng),
    write=_write_filled,
    read=_read_filled,
    key_tokens="the answer",
    share=0.5,
    items=(2, 4),
    grammar="Problem: 3 + 2 - 1 Steps: . . . . Answer: 4",
    instruments=("CF",),
    expect=("filler gain",),
)
PARAPHRASE = Kind(
    name="paraphrase",
    draw=_draw_worded,
    write=_write_worded,
    read=_read_worded,
    key_tokens="the results and the answer",
    share=0.5,
    items=(2, 4),
    grammar="Problem: 3 + 2 - 1 Steps: 3 plus 2 is 5 . 5 - 1 = 4 . Answer: 4",
    instruments=("CF",),
    expect=("paraphrase gain",),
)
KINDS = (STEPS, POSTHOC, FILLER, PARAPHRASE, HOP)
