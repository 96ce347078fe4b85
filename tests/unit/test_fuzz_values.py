"""Values that schemas admit: by strategy, from pools and replayed, judged by another validator than ours."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import strategies as st

from gnomon.fuzz.values import Draws, Format, assemble, compile, register_format, replay, spoil
from gnomon.fuzz.values.formats import FORMATS
from gnomon.fuzz.values.pools import drawn
from gnomon.fuzz.values.schemas import validator_of
from tests.pace import within
from tests.unit._schemas import IMPOSSIBLE, SCHEMAS, obj, text, whole

JUDGED = [schema for schema in SCHEMAS if schema != {"type": "string", "not": {"format": "date"}}]
"The other validator takes formats for remarks, so that it cannot judge their negation."


def words(schema: Any) -> str:
    """A schema as a test's name."""
    return json.dumps(schema)[:60]


@pytest.mark.parametrize("schema", JUDGED, ids=words)
def test_assembled_values_are_valid_and_replay(schema: Any) -> None:
    compiled, rng = compile(schema), Draws(0)
    judge = jsonschema.Draft202012Validator(schema)
    assert compiled.satisfiable and not compiled.loose
    for _ in range(30):
        made = assemble(compiled, rng)
        assert made is not None
        assert judge.is_valid(made.value) and compiled.is_valid(made.value), made.value
        assert replay(compiled, made.trail, rng) == made


@pytest.mark.parametrize("schema", JUDGED[::4], ids=words)
def test_drawn_values_are_valid(schema: Any) -> None:
    judge = jsonschema.Draft202012Validator(schema)
    values = drawn(compile(schema).valid, 1, 60)
    assert values and all(judge.is_valid(value) for value in values)


@pytest.mark.parametrize("schema", IMPOSSIBLE, ids=words)
def test_what_admits_nothing_is_said(schema: Any) -> None:
    compiled = compile(schema)
    assert not compiled.satisfiable
    assert assemble(compiled, Draws(0)) is None
    assert drawn(compiled.valid, 1, 5) == []


def test_lower_indices_are_simpler() -> None:
    compiled = compile(obj(properties={"a": {"type": "integer"}, "b": text()}, required=["a"]))
    assert replay(compiled, [], Draws(0)).value == {"a": 0}
    assert replay(compiled, [10**6] * 9, Draws(0)).value.keys() >= {"a", "b"}


def test_formats_are_what_the_validator_says() -> None:
    for name, spec in FORMATS.items():
        judge = validator_of(text(format=name))
        assert all(judge.is_valid(edge) for edge in spec.edges), name
        assert not any(judge.is_valid(miss) for miss in spec.misses), name
        assert all(judge.is_valid(value) for value in drawn(spec.strategy, 3, 40)), name


def test_a_format_can_be_registered() -> None:
    even = Format(
        strategy=st.integers(0, 99).map(lambda n: str(2 * n)), check=lambda t: t.isdigit() and int(t) % 2 == 0
    )
    register_format("even", even)
    try:
        compiled, rng = compile(text(format="even")), Draws(0)
        made = [assemble(compiled, rng) for _ in range(20)]
        assert all(m is not None and int(m.value) % 2 == 0 for m in made)
        assert not compiled.is_valid("3")
    finally:
        del FORMATS["even"]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (text(minLength=10**9), "minLength"),
        ({"type": "array", "minItems": 10**8}, "minItems"),
        (obj(minProperties=10**8), "minProperties"),
        (text(pattern="[broken("), "no JSON Schema"),
        ({"type": "wrong"}, "no JSON Schema"),
        (obj(properties={"a": {"type": "integer", "minimum": "one"}}, required=["a"]), "no JSON Schema"),
    ],
    ids=words,
)
def test_what_cannot_be_met_or_read_is_loosened_and_said(schema: Any, said: str) -> None:
    with within(2):
        compiled = compile(schema)
        made = assemble(compiled, Draws(0))
    assert made is not None and len(json.dumps(made.value)) < 10**5
    assert any(said in word for word in compiled.loose)


def test_what_is_readable_of_a_broken_schema_is_kept() -> None:
    compiled = compile(obj(properties={"a": {"type": "integer"}, "b": text(pattern="[")}, required=["a"]))
    made = assemble(compiled, Draws(0))
    assert made is not None and isinstance(made.value["a"], int)


JSON_VALUE = {
    "$ref": "#/$defs/J",
    "$defs": {
        "J": {
            "anyOf": [
                {"type": ["null", "boolean", "number", "string"]},
                {"type": "array", "items": {"$ref": "#/$defs/J"}},
                obj(additionalProperties={"$ref": "#/$defs/J"}),
            ]
        }
    },
}


def nested(levels: int) -> Any:
    """Objects in objects."""
    deep: Any = text()
    for _ in range(levels):
        deep = obj(properties={"a": deep}, required=["a"])
    return deep


@pytest.mark.parametrize(
    ("schema", "loose"),
    [
        (nested(60), False),
        (nested(400), True),
        (nested(5000), True),
        (obj(properties={f"p{i}": text(minLength=i % 9) for i in range(500)}, required=["p0", "p250"]), False),
        (obj(dependentRequired={f"a{i}": [f"a{i + 1}"] for i in range(20)}), False),
        ({"enum": list(range(5000))}, False),
        ({"oneOf": [obj(properties={f"a{i}": text()}, required=[f"a{i % 9}"]) for i in range(12)]}, False),
        (text(pattern="^((a{1,50}){1,50}){1,50}$"), True),
        (text(pattern="^(a+)+$", minLength=30), False),
        (text(pattern="^[a-z]{50000,}$"), False),
        (JSON_VALUE, False),
        (obj(properties={"a": {"$ref": "#/$defs/Missing"}, "b": text()}, required=["b"]), True),
    ],
    ids=[
        *("60 levels", "400 levels", "5000 levels", "500 members", "20 dependencies", "5000 values", "12 alternatives"),
        *("a pattern of many states", "a pattern that backtracks", "a long pattern", "any JSON", "a missing reference"),
    ],
)
def test_odd_schemas_take_bounded_time(schema: Any, loose: bool) -> None:
    rng = Draws(0)
    with within(6):
        compiled = compile(schema)
        made = assemble(compiled, rng)
        assert made is not None and compiled.is_valid(made.value)
        for flaw in compiled.flaws[:12]:
            spoil(compiled, rng, flaw)
        assert list(compiled.borders(rng))
    assert bool(compiled.loose) is loose


def test_searches_beside_each_other_share_no_pool() -> None:
    compiled = compile(obj(properties={"a": {"type": "integer"}, "b": text()}, required=["a", "b"]))
    alone = [assemble(compiled, rng) for draws in (Draws(5), Draws(6)) for rng in [draws] * 200]
    one, other = Draws(5), Draws(6)
    both = [(assemble(compiled, one), assemble(compiled, other)) for _ in range(200)]
    assert [*(a for a, _ in both), *(b for _, b in both)] == alone
    assert {made.value["b"] for made in alone[:200] if made} != {made.value["b"] for made in alone[200:] if made}


def test_without_pools_hypothesis_draws_every_value() -> None:
    compiled, rng = compile(obj(properties={"a": whole(minimum=3)}, required=["a"])), Draws(0, pooled=False)
    made = [assemble(compiled, rng) for _ in range(30)]
    assert all(each is not None and compiled.is_valid(each.value) and each.trail == [] for each in made)
    flaw = next(flaw for flaw in compiled.flaws if flaw.keyword == "minimum")
    spoiled = spoil(compiled, rng, flaw)
    assert spoiled is not None and spoiled.value["a"] < 3 and spoiled.flaw.keyword == "minimum"


def test_a_swarm_has_values_with_none_and_with_all_of_what_may_be_left_out() -> None:
    compiled = compile(obj(properties={name: {"type": "null"} for name in "abcdefgh"}, additionalProperties=False))

    def sizes(rng: Draws) -> list[int]:
        return [len(made.value) for _ in range(200) if (made := assemble(compiled, rng))]

    mixed, swarm = sizes(Draws(0, swarm=False)), sizes(Draws(0))
    assert sum(size in (0, 8) for size in swarm) > 60 and sum(size in (0, 8) for size in mixed) < 10
