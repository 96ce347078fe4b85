"""What a value for a request costs, valid and invalid, by each way to make one.

    python -m benches.fuzz_values [--json FILE] [--rounds N]

A body of six members (of which one is an object and one an array) is compiled once. Processor time is by value, the
median of rounds: put together from pools, drawn from a buffer through `fuzz_one_input`, drawn by `@given` one or twenty
to an example; invalid ones likewise. A value from pools may cost 0.05 ms.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from benches.bench import Cost, Figure, measured, options, publish
from gnomon.fuzz.values import Compiled, Draws, assemble, compile, replay, spoil
from gnomon.fuzz.values.buffers import Buffered, changed_trail

BODY = {
    "type": "object",
    "required": ["name", "price"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 40},
        "price": {"type": "number", "minimum": 0},
        "state": {"enum": ["new", "used"]},
        "born": {"type": "string", "format": "date-time"},
        "tags": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]{1,8}$"}, "maxItems": 5},
        "owner": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]},
    },
}
MANY, FEW, TOGETHER = 2000, 200, 20
TARGET_US = 50.0


def assembled(compiled: Compiled, rng: Draws, count: int) -> None:
    """Valid values from pools."""
    for _ in range(count):
        assert assemble(compiled, rng) is not None


def changed(compiled: Compiled, rng: Draws, count: int) -> None:
    """Values of changed trails."""
    made = assemble(compiled, rng)
    assert made is not None
    for _ in range(count):
        replay(compiled, changed_trail(made.trail, rng), rng)


def spoiled(compiled: Compiled, rng: Draws, count: int) -> None:
    """Invalid values from pools, flaw by flaw."""
    for number in range(count):
        assert spoil(compiled, rng, compiled.flaws[number % len(compiled.flaws)]) is not None


def buffered(strategy: SearchStrategy[Any], count: int) -> Callable[[], None]:
    """Work that draws values from buffers; those that are too short count too."""
    source, rng = Buffered(strategy), random.Random(0)
    buffers = [rng.randbytes(1024) for _ in range(count)]
    return lambda: [source.draw(buffer) for buffer in buffers] and None


def examples(strategy: SearchStrategy[Any], count: int) -> Callable[[], None]:
    """Work that runs `@given` for that many examples."""

    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def capture(value: Any) -> None:
        pass

    return capture


def compiled_anew() -> None:
    """A schema that was not seen before, compiled."""
    compile({**BODY, "title": str(random.random())})


def figure(name: str, cost: Cost, count: int, target: float | None = None) -> Figure:
    """A line of the table, by value."""
    cpu, wall = (seconds * 1e6 / count for seconds in (cost.cpu, cost.wall))
    return Figure(name=name, cpu=cpu, wall=wall, unit="us/value", target=target)


def main() -> None:
    """Measures and prints."""
    parser = options(__doc__)
    args = parser.parse_args()
    compiled, rng = compile(BODY), Draws(0)
    invalid = st.one_of([strategy for _, strategy in compiled.invalid])
    batches = st.lists(compiled.valid, min_size=TOGETHER, max_size=TOGETHER)
    work: list[tuple[str, Callable[[], object], int, float | None]] = [
        ("valid, from pools", lambda: assembled(compiled, rng, MANY), MANY, TARGET_US),
        ("valid, changed trail", lambda: changed(compiled, rng, MANY), MANY, None),
        ("invalid, from pools", lambda: spoiled(compiled, rng, MANY), MANY, None),
        ("valid, by buffer", buffered(compiled.valid, FEW), FEW, None),
        ("invalid, by buffer", buffered(invalid, FEW), FEW, None),
        ("valid, @given", examples(compiled.valid, FEW), FEW, None),
        ("valid, @given, 20 an example", examples(batches, FEW // TOGETHER), FEW, None),
        ("invalid, @given", examples(invalid, FEW), FEW, None),
        ("compiling this schema", lambda: [compiled_anew() for _ in range(FEW)], FEW, None),
    ]
    figures = [figure(name, measured(do, args.rounds), count, target) for name, do, count, target in work]
    publish("fuzz_values", figures, args.json)


if __name__ == "__main__":
    main()
