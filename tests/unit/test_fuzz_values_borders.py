"""Borders of schemas without chance, and few sets of options that pair them all."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.fuzz.values import Border, Draws, compile, pairwise
from tests.unit._schemas import AB, DOG, IMPOSSIBLE, INT, SCHEMAS, arr, num, obj, text, whole

CLOSED = obj(properties={**AB, "c": {"type": "boolean"}}, required=["a"], additionalProperties=False)
UNJUDGED = [text(**{"not": {"format": "date"}})]
"Formats are remarks to the other validator, so that it cannot judge their negation."


def listed(schema: Any) -> list[Border]:
    """The borders of a schema."""
    return list(compile(schema).borders(Draws(0)))


def values(schema: Any, *, valid: bool) -> list[Any]:
    """Values on the borders."""
    return [border.value for border in listed(schema) if border.valid is valid]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: json.dumps(schema)[:60])
def test_each_border_is_what_it_says_and_none_comes_twice(schema: Any) -> None:
    found = listed(schema)
    judge = jsonschema.Draft202012Validator(schema)
    assert found[0].valid and found[0].kind == "simplest"
    for border in found:
        assert border.valid == compile(schema).is_valid(border.value) or "surrogate" in border.kind
        if border.valid and "surrogate" not in border.kind and schema not in UNJUDGED:
            assert judge.is_valid(border.value), border
    assert len({json.dumps(border.value, sort_keys=True) for border in found}) >= len(found) - 2
    assert [b.value for b in listed(schema)] == [b.value for b in found]


def test_numbers_end_where_they_say() -> None:
    within, beyond = (values(whole(minimum=1, maximum=9), valid=valid) for valid in (True, False))
    assert {1, 2, 8, 9} <= set(within)
    assert {0, 10, -1, 2**31, 2**53 + 1, 2**63} <= set(beyond)
    fives = {b.value: b.valid for b in listed(whole(multipleOf=5, minimum=7))}
    assert fives[10] and fives[15] and not fives[12.5]
    odd = values(num(), valid=True)
    assert 1e308 in odd and 5e-324 in odd and any(json.dumps(v) == "-0.0" for v in odd)


def test_strings_have_each_length_and_the_awkward() -> None:
    found = listed(text(minLength=2, maxLength=4))
    lengths = {len(b.value): b.valid for b in found if isinstance(b.value, str) and set(b.value) == {"a"}}
    assert lengths == {1: False, 2: True, 3: True, 4: True, 5: False}
    unbounded = values(text(), valid=True)
    assert any(len(v) == 2**16 + 1 for v in unbounded)
    assert {"", "\0", "%00", "%2F", "../", "null", "true", "NaN", "\ud800"} <= set(unbounded)
    dates = {b.value: b.valid for b in listed(text(format="date")) if b.keyword == "format"}
    assert dates["2000-02-29"] and not dates["2023-02-29"]


def test_patterns_have_near_misses() -> None:
    found = [b for b in listed(text(pattern="^[A-Z]{3}$")) if b.keyword == "pattern"]
    assert any(not b.valid and len(b.value) == 4 for b in found) and any(
        not b.valid and len(b.value) == 2 for b in found
    )


def test_objects_lack_and_exceed_each_member() -> None:
    kinds = {(b.pointer, b.kind): (b.value, b.valid) for b in listed(CLOSED)}
    assert kinds["", "simplest"][0].keys() == {"a"}
    assert kinds["", "all members"][0].keys() == {"a", "b", "c"}
    # A member's own borders may have left the other one out already.
    assert {"a", "c"} in [value.keys() for value, valid in kinds.values() if valid]
    assert kinds["/a", "left out"] == ({"b": kinds["/a", "left out"][0]["b"], "c": False}, False)
    assert not kinds["", "unknown name"][1] and not kinds["/a", "name in another case"][1]
    assert len(json.dumps(kinds["", "100 levels deep"][0])) > 600


def test_every_place_is_looked_at_before_any_is_seen_to_its_end() -> None:
    members = {"a": whole(minimum=1, maximum=9), "b": text(minLength=2, maxLength=4), "c": text(pattern="^[A-Z]{3}$")}
    first = [(b.pointer, b.keyword) for b in listed(obj(properties=members, required=[*members]))[:20]]
    told = {("/a", "minimum"), ("/a", "maximum"), ("/b", "minLength"), ("/b", "maxLength"), ("/c", "pattern")}
    assert told <= {*first}
    assert {("/a", "type"), ("/b", "type"), ("/c", "type")} <= {*first[:6]}


def test_arrays_have_each_size() -> None:
    sized = [b for b in listed(arr(items=INT, minItems=2, maxItems=4)) if b.kind.endswith((" items", "simplest"))]
    found = {len(b.value): b.valid for b in sized}
    assert found == {0: False, 1: False, 2: True, 3: True, 4: True, 5: False}
    twice = [b for b in listed(arr(items=INT, uniqueItems=True)) if b.kind == "equal items"]
    assert [b.valid for b in twice] == [False] and twice[0].keyword == "uniqueItems"


def test_enums_have_every_value_another_case_and_an_absent_one() -> None:
    found = {b.value: b.valid for b in listed({"enum": ["red", "green"]}) if isinstance(b.value, str)}
    assert found["red"] and found["green"] and not found["GREEN"] and not found["unknown"]


def test_what_lies_beyond_names_the_keyword_it_breaks() -> None:
    told = {(json.dumps(b.value), b.keyword) for b in listed(whole(minimum=1, maximum=9)) if not b.valid}
    assert {("0", "minimum"), ("10", "maximum"), ("null", "type")} <= told
    fault = next(b for b in listed(CLOSED) if b.pointer == "/a" and not b.valid).fault("body")
    assert (fault.location, fault.pointer) == ("body", "/a")


def test_branches_are_seen_and_their_discriminators_swapped() -> None:
    fish = obj(required=["kind", "fins"], properties={"kind": {"const": "fish"}, "fins": whole(minimum=1)})
    found = {(b.kind, json.dumps(b.value, sort_keys=True)): b.valid for b in listed({"oneOf": [DOG, fish]})}
    assert {kind for kind, _ in found} >= {"simplest", "discriminator swapped"}
    assert {json.loads(value)["kind"] for (_, value), valid in found.items() if valid} == {"dog", "fish"}
    assert [valid for (kind, _), valid in found.items() if kind == "discriminator swapped"] == [False, False]


@pytest.mark.parametrize("schema", IMPOSSIBLE[:3], ids=str)
def test_nothing_borders_on_nothing(schema: Any) -> None:
    assert listed(schema) == []


@given(st.lists(st.sampled_from("abcdefghij"), unique=True))
def test_each_pair_of_options_is_seen_in_all_ways(names: list[str]) -> None:
    found = pairwise(names)
    assert len(found) <= max(1, len(names) + 4)
    for a, b in combinations(names, 2):
        assert {(a in each, b in each) for each in found} == {(x, y) for x in (True, False) for y in (True, False)}
    if len(names) == 1:
        assert set(found) == {frozenset(names), frozenset()}


def test_sets_are_capped() -> None:
    assert len(pairwise([f"p{i}" for i in range(54)], 20)) == 20
    assert pairwise([]) == [frozenset()]


@pytest.mark.parametrize(
    ("pattern", "filled"), [("^[a-z]+$", "a"), ("^[A-Z_]*$", "A"), (r"^\d+$", "0"), ("^(a+)+b?$", "a")]
)
def test_strings_with_a_pattern_have_borders_of_length_too(pattern: str, filled: str) -> None:
    schema = text(pattern=pattern, minLength=3, maxLength=30)
    assert {filled * size for size in (3, 4, 29, 30)} <= set(values(schema, valid=True))
    assert {filled * size for size in (2, 31)} <= set(values(schema, valid=False))


def test_a_pattern_that_one_character_cannot_meet_has_no_border_of_length() -> None:
    sizes = {
        len(value)
        for value in values(text(pattern="^[a-z]-[0-9]$", maxLength=30), valid=False)
        if isinstance(value, str)
    }
    assert 31 not in sizes
