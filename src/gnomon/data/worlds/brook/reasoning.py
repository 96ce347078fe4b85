"""Kinds that need more than one look: sums worked out step by step."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import NamedTuple

from gnomon.data.worlds.brook.kinds import Kind, Reader, Writer, pick
from gnomon.data.worlds.brook.tables import World
from gnomon.data.worlds.brook.words import DIGITS

__all__ = ["KINDS", "Sum", "answer", "draw_sum", "problem", "steps"]

# Ten first operands, two signs and three second operands: a step is one of 60 table entries, few enough to be learnt.
_SIGNS, _SECONDS = ("+", "-"), ("1", "2", "3")


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


def draw_sum(rng: random.Random, fewest: int, most: int) -> Sum:
    """A sum of `fewest` to `most` operations with all its steps shown."""
    count = fewest + int(rng.random() * (most - fewest + 1))
    return Sum(pick(rng, DIGITS), tuple((pick(rng, _SIGNS), pick(rng, _SECONDS)) for _ in range(count)), count)


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


def _draw_short(world: World, rng: random.Random) -> Sum:
    return _shown(draw_sum(rng, 1, 2), rng)


def _write(world: World, record: Sum, writer: Writer) -> None:
    writer.say(f"Problem: {problem(record)}")
    if record.shown is not None:
        writer.words.append("Steps:")
        for line in steps(record)[: record.shown]:
            writer.say(line)
            writer.keys.append(len(writer.words) - 2)
    writer.words.append("Answer:")
    writer.key(answer(record))


def _read(world: World, reader: Reader) -> Sum:
    reader.skip("Problem:")
    start, operations, shown = reader.take(DIGITS), [], None
    while reader.next_is(*_SIGNS):
        operations.append((reader.take(), reader.take(_SECONDS)))
    record = Sum(start, tuple(operations), None)
    if reader.next_is("Steps:"):
        reader.take()
        shown = 0
        lines = steps(record)
        while shown < len(lines) and not reader.next_is("Answer:"):
            reader.skip(lines[shown])
            shown += 1
    reader.skip(f"Answer: {answer(record)}")
    return record._replace(shown=shown)


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
    expect=("sums with steps", "sums direct", "sums direct Spearman", "sums corrupted"),
)
# The scaffold's easy sums: the same grammar, drawn by the curriculum alone.
STEPS_SHORT = replace(STEPS, name="steps-short", draw=_draw_short, share=0.0, expect=())
KINDS = (STEPS, STEPS_SHORT)
