"""Kinds about small programs, and towns whose chiefs are told in one order of words."""

from __future__ import annotations

import random
from functools import cache
from math import gcd, prod
from typing import NamedTuple

from gnomon.core.errors import DataError
from gnomon.data.worlds.brook.kinds import Kind, Mention, Reader, Writer, pick
from gnomon.data.worlds.brook.tables import World
from gnomon.data.worlds.brook.tables.places import DIRECTIONS, TOWNS, towns

__all__ = ["KINDS", "RIGHT", "Chief", "Operation", "Program", "code", "is_right", "run", "say_chief", "tasks"]

# How often a program is right, by the number of operations asked for.
RIGHT = {1: 0.95, 2: 0.75, 3: 0.5}
_SIGNS = {"add": "+", "take": "-", "times": "*"}
_CONSTANTS = tuple("123456789")
_HEAD = "def f ( x ) : return"


class Operation(NamedTuple):
    """One operation of a task: `verb` is add, take or times, `constant` a digit."""

    verb: str
    constant: str

    def __str__(self) -> str:
        return f"{self.verb} {self.constant}"


# Without "times 5" no task is constant modulo 10, so that each of its constants can be wrong.
_OPERATIONS = tuple(Operation(v, c) for v in _SIGNS for c in _CONSTANTS if v != "times" or c not in "15")
Task = tuple[Operation, ...]


class Program(NamedTuple):
    """A task, and the constants that the program written for it has in place of the task's."""

    task: Task
    constants: tuple[str, ...]


class Chief(NamedTuple):
    """Who is the chief of a town, and which of the two is named first: the town where `direction` is "forward"."""

    town: str
    chief: str
    direction: str


def tasks(operations: int) -> tuple[Task, ...]:
    """Every task of this many operations, 25 to the power of `operations`."""
    found: tuple[Task, ...] = ((),)
    for _ in range(operations):
        found = tuple((*task, operation) for task in found for operation in _OPERATIONS)
    return found


def code(program: Program) -> str:
    """The program as Python, its tokens a space apart."""
    return " ".join((_HEAD, *_expression(program)))


def run(text: str, x: int) -> int:
    """What the program `text` returns for `x`: `def f ( x ) : return` and sums, products and remainders of digits.

    Raises:
        DataError: the text is no such program, or divides by 0.
    """
    words = text.split()
    head = _HEAD.split()
    if words[: len(head)] != head:
        raise DataError(f"a program begins with {_HEAD!r}", where=text)
    return _Arithmetic(words[len(head) :], x).value()


def is_right(task: Task, text: str) -> bool:
    """Whether the program `text` does what `task` asks, modulo 10, for every digit; False where it is no program."""
    try:
        return all(run(text, x) == _wanted(task, x) for x in range(10))
    except DataError:
        return False


def say_chief(record: Chief) -> str:
    """The sentence that says it."""
    if record.direction == "forward":
        return f"the chief of {record.town} is {record.chief} ."
    return f"{record.chief} is the chief of {record.town} ."


class _Arithmetic:
    """Reads `text` as Python reads arithmetic: `*` and `%` before `+` and `-`, from the left."""

    def __init__(self, words: list[str], x: int) -> None:
        self._reader, self._x = Reader(words, "program"), x

    def value(self) -> int:
        found = self._sum()
        if not self._reader.done:
            raise self._reader.error("the end of the program")
        return found

    def _sum(self) -> int:
        found = self._product()
        while self._reader.next_is("+", "-"):
            sign, other = self._reader.take(), self._product()
            found = found + other if sign == "+" else found - other
        return found

    def _product(self) -> int:
        found = self._factor()
        while self._reader.next_is("*", "%"):
            sign, other = self._reader.take(), self._factor()
            if sign == "%" and other == 0:
                raise self._reader.error("a divisor other than 0")
            found = found * other if sign == "*" else found % other
        return found

    def _factor(self) -> int:
        word = self._reader.take()
        if word == "(":
            found = self._sum()
            self._reader.skip(")")
            return found
        if word == "-":
            return -self._factor()
        if word == "x":
            return self._x
        if not word.isdecimal():
            raise self._reader.error("a number, x or a bracket")
        return int(word)


def _wanted(task: Task, x: int) -> int:
    for verb, constant in task:
        x = x + int(constant) if verb == "add" else x - int(constant) if verb == "take" else x * int(constant)
    return x % 10


def _expression(program: Program) -> list[str]:
    words = [*["("] * len(program.task), "x"]
    for operation, constant in zip(program.task, program.constants, strict=True):
        words += (_SIGNS[operation.verb], constant, ")")
    return [*words, "%", "10"]


def _wrong(task: Task, place: int) -> tuple[str, ...]:
    """The constants that make the program wrong for some digit when they alone replace the one at `place`.

    The operation there changes its input a x + b by d for another constant d away (d (a x + b) where it multiplies),
    and what follows multiplies that by m.
    """
    later = prod(int(c) for verb, c in task[place + 1 :] if verb == "times")
    if task[place].verb == "times":
        before = _wanted(task[:place], 0)
        scale = gcd(10, later * before, later * (_wanted(task[:place], 1) - before))
    else:
        scale = gcd(10, later)
    return _others(task[place].constant, scale)


@cache
def _others(constant: str, scale: int) -> tuple[str, ...]:
    return tuple(c for c in _CONSTANTS if (int(c) - int(constant)) * scale % 10)


def _chance(task: Task) -> float:
    """The chance of each constant to be right while those before it are, so that all are with chance `RIGHT`."""
    return float(RIGHT[len(task)] ** (1 / len(task)))


def _draw_program(world: World, rng: random.Random) -> Program:
    task = tuple(pick(rng, _OPERATIONS) for _ in range(1 + int(rng.random() * len(RIGHT))))
    constants, chance = [operation.constant for operation in task], _chance(task)
    for place in range(len(task)):
        if rng.random() >= chance:
            constants[place] = pick(rng, _wrong(task, place))
            break
    return Program(task, tuple(constants))


def _write_program(world: World, record: Program, writer: Writer) -> None:
    writer.say(f"Task: {' then '.join(map(str, record.task))} . Code: {_HEAD}")
    words, chance, place = _expression(record), _chance(record.task), 0
    for word in words:
        if word not in _CONSTANTS:
            writer.key(word)
            continue
        right = record.task[place].constant
        if all(c == o.constant for c, o in zip(record.constants[:place], record.task, strict=False)):
            wrong = _wrong(record.task, place)
            writer.key_soft(word, (right, *wrong), (chance, *((1 - chance) / len(wrong),) * len(wrong)))
        else:
            writer.key(word)
        place += 1


def _read_program(world: World, reader: Reader) -> Program:
    reader.skip("Task:")
    task = [_read_operation(reader)]
    while reader.next_is("then"):
        reader.take()
        task.append(_read_operation(reader))
    if len(task) not in RIGHT:
        raise reader.error(f"a task of at most {max(RIGHT)} operations before this")
    reader.skip(f". Code: {_HEAD} {'( ' * len(task)}x")
    constants: list[str] = []
    for place, operation in enumerate(task):
        reader.skip(_SIGNS[operation.verb])
        before = zip(constants, task, strict=False)
        may_be_wrong = all(c == o.constant for c, o in before)
        wrong = _wrong(tuple(task), place) if may_be_wrong else ()
        constants.append(reader.take((operation.constant, *wrong)))
        reader.skip(")")
    reader.skip("% 10")
    return Program(tuple(task), tuple(constants))


def _read_operation(reader: Reader) -> Operation:
    verb = reader.take(tuple(_SIGNS))
    return Operation(verb, reader.take([o.constant for o in _OPERATIONS if o.verb == verb]))


def _draw_chief(world: World, rng: random.Random) -> Chief:
    town = pick(rng, towns(world))
    return Chief(town.name, town.chief, pick(rng, town.directions))


def _write_chief(world: World, record: Chief, writer: Writer) -> None:
    words = say_chief(record).split()
    writer.keys.append(len(writer.words) + len(words) - 2)
    writer.words += words


def _read_chief(world: World, reader: Reader) -> Chief:
    if reader.next_is("the"):
        reader.skip("the chief of")
        town = reader.take(TOWNS)
        reader.skip("is")
        chief, direction = reader.take(world.people), DIRECTIONS[0]
    else:
        chief = reader.take(world.people)
        reader.skip("is the chief of")
        town, direction = reader.take(TOWNS), DIRECTIONS[1]
    reader.skip(".")
    return Chief(town, chief, direction)


PROGRAM = Kind(
    name="program",
    draw=_draw_program,
    write=_write_program,
    read=_read_program,
    key_tokens="what the program returns",
    share=2.5,
    items=(2, 4),
    grammar="Task: add 3 then times 2 . Code: def f ( x ) : return ( ( x + 3 ) * 2 ) % 10",
    instruments=("CE", "SK", "IF"),
    expect=("program right", "program greedy"),
)
ORDER = Kind(
    name="order",
    draw=_draw_chief,
    write=_write_chief,
    read=_read_chief,
    # The fact is the town's, so a chief needs no fresh fact of his own.
    mentions=lambda record: [
        Mention(record.town, "chief", record.chief, "statement", DIRECTIONS.index(record.direction), record.direction)
    ],
    key_tokens="the last name",
    share=1.0,
    items=(2, 4),
    running=True,
    grammar="the chief of zarbrook is gilzu . delgo is the chief of ombrick .",
    instruments=("IF",),
    expect=("order seen", "order unseen"),
)
KINDS = (PROGRAM, ORDER)
