"""For any schema: what is drawn as valid is valid, what is drawn as invalid is not, by a validator that is not ours."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from gnomon.fuzz.values import Draws, assemble, compile, replay, respoil, spoil
from gnomon.fuzz.values.pools import drawn
from tests.unit._schemas import SCHEMAS

UNJUDGED = {"type": "string", "not": {"format": "date"}}
OURS = ("format", "int32", "int64", "float")
FORMATS = jsonschema.FormatChecker(formats=["date", "ipv4", "ipv6", "uuid", "email", "regex"])
NAMES = ("a", "b", "c", "x1")
PATTERNS = ("^a", "^[a-z]+$", r"^\d{2,4}$", "b$", "^(x|yy)+$", "")

bounds = st.integers(-20, 20)
sizes = st.integers(0, 4)


def some(**keywords: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
    """Any of the keywords."""
    return st.fixed_dictionaries({}, optional=keywords)


def merged(parts: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """One schema of all."""
    return {key: value for part in parts for key, value in part.items()}


words = st.sampled_from(["", "a", "ab", "12"])
scalars = st.one_of(st.none(), st.booleans(), bounds, st.sampled_from([0.5, -1.25]), words)
formats = st.sampled_from(["date", "uuid"])
strings = some(minLength=sizes, maxLength=sizes, pattern=st.sampled_from(PATTERNS), format=formats)
numbers = some(
    minimum=bounds,
    maximum=bounds,
    exclusiveMinimum=bounds,
    exclusiveMaximum=bounds,
    multipleOf=st.sampled_from([1, 2, 3, 0.5, 2.5]),
)
leaves = st.one_of(
    st.tuples(st.just({"type": "string"}), strings).map(merged),
    st.tuples(st.sampled_from([{"type": "integer"}, {"type": "number"}]), numbers).map(merged),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"]}, {}, True]),
    st.lists(scalars, min_size=1, max_size=4).map(lambda values: {"enum": values}),
    scalars.map(lambda value: {"const": value}),
)


def objects(inner: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
    """Schemas of objects."""
    named = st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    keywords = some(
        properties=named,
        required=st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
        additionalProperties=st.one_of(st.just(False), inner),
        patternProperties=st.dictionaries(st.sampled_from(["^x", "^a"]), inner, max_size=1),
        propertyNames=st.sampled_from([{"maxLength": 2}, {"pattern": "^[a-z]"}, {"enum": ["a", "b"]}]),
        minProperties=st.integers(0, 2),
        maxProperties=st.integers(0, 3),
        dependentRequired=st.sampled_from([{"a": ["b"]}, {"b": ["c", "a"]}]),
    )
    return st.tuples(st.just({"type": "object"}), keywords).map(merged)


def arrays(inner: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
    """Schemas of arrays."""
    keywords = some(
        items=inner,
        prefixItems=st.lists(inner, min_size=1, max_size=2),
        minItems=st.integers(0, 2),
        maxItems=st.integers(0, 3),
        uniqueItems=st.booleans(),
        contains=inner,
    )
    return st.tuples(st.just({"type": "array"}), keywords).map(merged)


def combined(inner: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
    """Schemas of schemas."""
    branches = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.sampled_from(["anyOf", "oneOf", "allOf"]).flatmap(lambda key: branches.map(lambda of: {key: of})),
        inner.map(lambda schema: {"not": schema}),
        st.tuples(inner, inner, inner).map(lambda of: dict(zip(("if", "then", "else"), of, strict=True))),
        inner.map(
            lambda schema: {"type": "object", "properties": {"a": {"$ref": "#/$defs/R"}}, "$defs": {"R": schema}}
        ),
    )


def without_inner_definitions(schema: Any) -> bool:
    """Whether references mean what they say: only the root defines."""
    return json.dumps(schema).count('"$defs"') == (1 if isinstance(schema, dict) and "$defs" in schema else 0)


schemas = st.recursive(leaves, lambda inner: st.one_of(objects(inner), arrays(inner), combined(inner)), max_leaves=6)


def judged_valid(schema: Any, count: int) -> int:
    """Draws and judges `count` valid values in both ways; how many there were."""
    compiled, rng = compile(schema), Draws(0)
    judge = jsonschema.Draft202012Validator(schema)
    made = [each for _ in range(count) if (each := assemble(compiled, rng)) is not None]
    values = [each.value for each in made] + drawn(compiled.valid, 1, count)
    wrong = [value for value in values if not judge.is_valid(value)]
    assert wrong == [] and not compiled.loose
    assert [replay(compiled, each.trail, rng).value for each in made] == [each.value for each in made]
    return len(values)


def judged_invalid(schema: Any, count: int) -> int:
    """Makes and judges `count` invalid values; how many there were."""
    compiled, rng, found = compile(schema), Draws(0), 0
    judge = jsonschema.Draft202012Validator(schema, format_checker=FORMATS)
    for flaw in (rng.choice(compiled.flaws) for _ in range(count if compiled.flaws else 0)):
        made = spoil(compiled, rng, flaw)
        if made is not None:
            found += 1
            assert not compiled.is_valid(made.value)
            assert not judge.is_valid(made.value) or any(name in json.dumps(schema) for name in OURS), made.value
            again = respoil(compiled, flaw, made.trail, rng)
            assert again is not None and again.value == made.value
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(schemas.filter(without_inner_definitions))
def test_any_schema_keeps_its_word(schema: Any) -> None:
    assume("not" not in json.dumps(schema) or "format" not in json.dumps(schema))
    judged_valid(schema, 12)
    judged_invalid(schema, 12)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(schemas.filter(without_inner_definitions))
def test_any_schema_keeps_its_word_a_hundred_times(schema: Any) -> None:
    assume("not" not in json.dumps(schema) or "format" not in json.dumps(schema))
    judged_valid(schema, 100)
    judged_invalid(schema, 100)


@pytest.mark.slow
def test_the_listed_schemas_keep_their_word_a_hundred_times() -> None:
    for schema in SCHEMAS:
        if schema != UNJUDGED:
            assert judged_valid(schema, 100) >= 100
        judged_invalid(schema, 100)
