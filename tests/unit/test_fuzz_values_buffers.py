"""Buffers and trails as the names of values: they replay, mutate and shrink."""

from __future__ import annotations

from typing import Any

from gnomon.fuzz.base import NOTHING
from gnomon.fuzz.values import Draws, assemble, compile, replay
from gnomon.fuzz.values.buffers import Buffered, changed_trail
from tests.unit._schemas import obj, text, whole

SCHEMA = obj(
    properties={"n": whole(minimum=0), "s": text(), "l": {"type": "array", "items": whole()}, "o": text(maxLength=3)},
    required=["n", "s", "l"],
    additionalProperties=False,
)


def test_a_buffer_is_its_value() -> None:
    compiled, rng = compile(SCHEMA), Draws(0)
    buffered = Buffered(compiled.valid)
    buffers = [buffered.fresh(rng) for _ in range(40)]
    values = [buffered.draw(buffer) for buffer in buffers]
    there = [value for value in values if value is not NOTHING]
    assert len(there) > 20 and all(compiled.is_valid(value) for value in there)
    assert [buffered.draw(buffer) for buffer in buffers] == values
    assert buffered.draw(b"") is NOTHING


def test_mutated_buffers_draw_other_valid_values() -> None:
    compiled, rng = compile(SCHEMA), Draws(1)
    buffered = Buffered(compiled.valid)
    first, other = rng.randbytes(400), rng.randbytes(400)
    values = [buffered.draw(buffered.mutate(first, rng, other)) for _ in range(40)]
    there = [value for value in values if value is not NOTHING]
    assert len(there) > 20 and all(compiled.is_valid(value) for value in there)
    assert any(value != buffered.draw(first) for value in there)


def test_a_failing_buffer_shrinks_by_the_example_database() -> None:
    buffered, rng = Buffered(compile(SCHEMA).valid), Draws(2)

    def fails(value: Any) -> bool:
        return value["n"] >= 1000 and len(value["l"]) >= 2

    buffer = next(
        b for b in (rng.randbytes(2000) for _ in range(2000)) if (v := buffered.draw(b)) is not NOTHING and fails(v)
    )
    assert buffered.shrink(buffer, fails) == {"n": 1000, "s": "", "l": [0, 0]}
    assert buffered.shrink(buffer, lambda value: False) is NOTHING


def test_a_fickle_failure_keeps_the_least_value_seen() -> None:
    buffered, rng, calls = Buffered(compile(whole(minimum=0)).valid), Draws(3), iter(range(10**6))
    buffer = next(b for b in (rng.randbytes(64) for _ in range(99)) if buffered.draw(b) is not NOTHING)
    assert buffered.shrink(buffer, lambda value: next(calls) < 3) is not NOTHING


def test_changed_trails_make_other_values_that_replay() -> None:
    compiled, rng = compile(SCHEMA), Draws(4)
    first, other = assemble(compiled, rng), assemble(compiled, rng)
    assert first is not None and other is not None
    made = [replay(compiled, changed_trail(first.trail, rng, other.trail), rng) for _ in range(60)]
    assert all(compiled.is_valid(each.value) and replay(compiled, each.trail, rng) == each for each in made)
    assert len({repr(each.value) for each in made}) > 20
