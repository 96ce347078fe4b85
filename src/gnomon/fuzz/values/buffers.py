"""Values named by the bytes that Hypothesis draws them from, and trails changed instead of bytes.

A buffer replays its value, can be changed blindly, and shrinks by way of the example database: a failing buffer given
to `fuzz_one_input` is saved there, and a run with the phases reuse and shrink makes it minimal. Drawing from a buffer
costs more than drawing many values in one example (`benches/fuzz_values.py`), and its bytes are uniform, without the
constants that the engine of `@given` favours. A trail of `assemble` is the same idea at a fraction of the price: each
of its numbers is one choice, so that a changed trail is a value with another choice.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.database import ExampleDatabase, InMemoryExampleDatabase
from hypothesis.errors import HypothesisException
from hypothesis.strategies import SearchStrategy

from gnomon.fuzz.base import NOTHING

__all__ = ["Buffered", "changed_trail"]

LENGTHS = (64, 256, 1024, 4096)
"Bytes of a fresh buffer; where they end the draw is given up."

ODD = (0, 1, 2, 0x7F, 0x80, 0xFF)


class _Failed(Exception):
    """What a value that fails raises."""


class Buffered:
    """Values of a strategy by buffer.

    Args:
        strategy: draws them; the meaning of a buffer is that of this strategy and this release of Hypothesis.
    """

    def __init__(self, strategy: SearchStrategy[Any]) -> None:
        self._strategy = strategy
        self._value: Any = NOTHING

        @settings(database=None, deadline=None)
        @given(strategy)
        def capture(value: Any) -> None:
            self._value = value

        self._run: Callable[[bytes], bytes | None] = capture.hypothesis.fuzz_one_input  # type: ignore[attr-defined]

    def draw(self, buffer: bytes) -> Any:
        """The value of a buffer; `NOTHING` where it is too short, or rejected by a filter."""
        self._value = NOTHING
        self._run(buffer)
        return self._value

    def fresh(self, rng: random.Random) -> bytes:
        """A buffer at random."""
        return rng.randbytes(rng.choice(LENGTHS))

    def mutate(self, buffer: bytes, rng: random.Random, other: bytes = b"") -> bytes:
        """A buffer with bytes changed, a piece cut out or doubled, or continued by another of the same strategy."""
        found = bytearray(buffer)
        for _ in range(1 << rng.randrange(4)):
            at = rng.randrange(len(found) + 1)
            kind = rng.randrange(4 if other else 3)
            if kind == 0 and at < len(found):
                found[at] = rng.choice((rng.randrange(256), rng.choice(ODD), (found[at] + rng.choice((-1, 1))) % 256))
            elif kind == 1:
                del found[at : at + rng.randrange(1, 9)]
            elif kind == 2:
                found[at:at] = found[at : at + rng.randrange(1, 17)]
            elif kind == 3:
                found[at:] = other[rng.randrange(len(other)) :]
        return bytes(found)

    def shrink(self, buffer: bytes, fails: Callable[[Any], bool]) -> Any:
        """The least value that fails, as Hypothesis finds it from the one of a buffer; `NOTHING` where that does not.

        A predicate that answers differently for the same value ends the search: the least value seen is returned.
        """
        least: list[Any] = []
        database: ExampleDatabase = InMemoryExampleDatabase()
        phases = [Phase.reuse, Phase.shrink]

        @settings(database=database, deadline=None, phases=phases, suppress_health_check=list(HealthCheck))
        @given(self._strategy)
        def judged(value: Any) -> None:
            if fails(value):
                least[:] = [value]
                raise _Failed

        with suppress(_Failed):
            judged.hypothesis.fuzz_one_input(buffer)  # type: ignore[attr-defined]
        if not least:
            return NOTHING
        with suppress(_Failed, HypothesisException):
            judged()
        return least[0]


def changed_trail(trail: Sequence[int], rng: random.Random, other: Sequence[int] = ()) -> list[int]:
    """A trail with a few choices changed, cut out or doubled, or continued by another of the same schema."""
    found = list(trail)
    for _ in range(1 << rng.randrange(3)):
        at = rng.randrange(len(found) + 1)
        kind = rng.randrange(4 if other else 3)
        if kind == 0 and at < len(found):
            found[at] = rng.choice((0, found[at] + 1, found[at] // 2, rng.randrange(256)))
        elif kind == 1:
            del found[at : at + rng.randrange(1, 4)]
        elif kind == 2:
            found[at:at] = found[at : at + rng.randrange(1, 6)]
        elif kind == 3:
            found[at:] = other[rng.randrange(len(other)) :]
    return found
