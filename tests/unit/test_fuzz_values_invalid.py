"""Values that schemas do not admit: wrong by another validator too, in one place, by the keyword that is named."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from gnomon.fuzz.values import Draws, Flaw, compile, respoil, spoil
from gnomon.fuzz.values.pools import drawn
from gnomon.fuzz.values.wrong import type_of
from tests.unit._schemas import AB, CAT, DOG, INT, NODE, SCHEMAS, arr, num, obj, text, whole

FORMATS = jsonschema.FormatChecker(formats=["date", "ipv4", "ipv6", "uuid", "email", "regex"])
OURS = ("format", "int32", "int64", "float")


def words(schema: Any) -> str:
    """A schema as a test's name."""
    return json.dumps(schema)[:60]


def judged_elsewhere(schema: Any) -> bool:
    """Whether the other validator asserts all that we do: number formats and most string formats are remarks to it."""
    return not any(name in json.dumps(schema) for name in OURS)


@pytest.mark.parametrize("schema", SCHEMAS, ids=words)
def test_spoiled_values_are_invalid_and_replay(schema: Any) -> None:
    compiled, rng = compile(schema), Draws(0)
    judge = jsonschema.Draft202012Validator(schema, format_checker=FORMATS)
    found = [(flaw, made) for flaw in compiled.flaws for _ in range(3) if (made := spoil(compiled, rng, flaw))]
    assert found or schema in (True, {}) or "description" in schema
    for flaw, made in found:
        assert not compiled.is_valid(made.value)
        assert not judge.is_valid(made.value) or not judged_elsewhere(schema), (made.value, made.flaw)
        again = respoil(compiled, flaw, made.trail, rng)
        assert again is not None and (again.value, again.trail) == (made.value, made.trail)


@pytest.mark.parametrize("schema", SCHEMAS[::9], ids=words)
def test_drawn_values_are_invalid(schema: Any) -> None:
    compiled = compile(schema)
    judge = jsonschema.Draft202012Validator(schema, format_checker=FORMATS)
    for _, strategy in compiled.invalid[:6]:
        assert not any(judge.is_valid(value) for value in drawn(strategy, 1, 5)) or not judged_elsewhere(schema)


WIDE = obj(
    properties={
        "n": whole(minimum=1, maximum=9),
        "s": text(minLength=2, maxLength=4),
        "d": text(format="date"),
        "p": text(pattern="^[a-z]+$"),
        "e": {"enum": ["red", "green"]},
        "u": arr(items=INT, uniqueItems=True, minItems=1, maxItems=3),
        "o": obj(properties=AB, required=["a"], additionalProperties=False),
        "m": num(multipleOf=0.5),
        "b": {"type": "boolean"},
    },
    required=["n", "s"],
    additionalProperties=False,
)


@pytest.mark.parametrize("flaw", compile(WIDE).flaws, ids=lambda flaw: f"{flaw.pointer} {flaw.keyword} {flaw.kind}")
def test_one_thing_is_wrong_where_it_is_said(flaw: Flaw) -> None:
    """The other validator finds errors at the flaw's place, or the place itself missing, and nowhere else."""
    judge = jsonschema.Draft202012Validator(WIDE, format_checker=FORMATS)
    made = spoil(compile(WIDE), Draws(1), flaw)
    assert made is not None
    errors = list(judge.iter_errors(made.value))
    assert errors
    for error in errors:
        at = "".join(f"/{key}" for key in error.absolute_path)
        assert made.flaw.pointer in (at, *(f"{at}/{name}" for name in ("n", "s", "a"))), (at, made)
    assert made.flaw.keyword in {error.validator for error in errors}


def test_every_keyword_of_a_schema_is_broken() -> None:
    told = {(flaw.pointer, flaw.keyword, flaw.kind) for flaw in compile(WIDE).flaws}
    wanted = [
        ("/n", "minimum", "too small"),
        ("/n", "maximum", "too large"),
        ("/n", "type", "fraction"),
        ("/n", "type", "null"),
        ("/n", "type", "wrong type"),
        ("/n", "required", "left out"),
        ("/s", "minLength", "too short"),
        ("/s", "maxLength", "too long"),
        ("/d", "format", "no date"),
        ("/p", "pattern", "no match"),
        ("/e", "enum", "not listed"),
        ("/u", "minItems", "too few"),
        ("/u", "maxItems", "too many"),
        ("/u", "uniqueItems", "equal items"),
        ("/u/0", "type", "wrong type"),
        ("/o", "additionalProperties", "unknown name"),
        ("/o/a", "required", "left out"),
        ("/m", "multipleOf", "no multiple"),
        ("/b", "type", "wrong type"),
        ("/b", "type", "like another type"),
        ("", "additionalProperties", "unknown name"),
    ]
    assert [each for each in wanted if each not in told] == []


@pytest.mark.parametrize(
    ("schema", "keyword", "kind"),
    [
        ({"oneOf": [CAT, DOG]}, "oneOf", "none of the alternatives"),
        ({"oneOf": [INT, num(minimum=3)]}, "oneOf", "more than one of the alternatives"),
        ({"anyOf": [INT, text()]}, "anyOf", "none of the alternatives"),
        (obj(properties=AB, dependentRequired={"a": ["b"]}), "dependentRequired", "a without b"),
        (text(**{"not": {"pattern": "^a"}}), "not", "what is excluded"),
        (arr(contains={"const": 3}, items=INT), "contains", "not what it must contain"),
        (obj(propertyNames={"maxLength": 3}), "propertyNames", "name not allowed"),
        (obj(properties=AB, patternProperties={"^x": INT}), "patternProperties", "wrong value under a matching name"),
        (obj(**{"if": {"required": ["a"]}, "then": {"required": ["b"]}}), "if", "condition broken"),
        (obj(additionalProperties=INT), "additionalProperties", "wrong additional value"),
        (obj(properties=AB, maxProperties=1), "maxProperties", "too many"),
    ],
    ids=words,
)
def test_keywords_that_combine_are_broken(schema: Any, keyword: str, kind: str) -> None:
    compiled = compile(schema)
    flaws = [flaw for flaw in compiled.flaws if (flaw.keyword, flaw.kind) == (keyword, kind)]
    made = [spoil(compiled, Draws(seed), flaw) for flaw in flaws for seed in range(4)]
    assert any(made)


def test_a_dependency_is_broken_with_the_rest_valid() -> None:
    compiled = compile(obj(properties={**AB, "c": INT}, dependentRequired={"a": ["b"]}, additionalProperties=False))
    flaw = next(flaw for flaw in compiled.flaws if flaw.keyword == "dependentRequired")
    for seed in range(20):
        made = spoil(compiled, Draws(seed), flaw)
        assert made is not None and "a" in made.value and "b" not in made.value
        assert all(type_of(member) == "integer" for member in made.value.values())


def test_wrong_types_look_like_the_right_one() -> None:
    compiled = compile(whole(minimum=0))
    flaw = next(flaw for flaw in compiled.flaws if flaw.kind == "wrong type")
    made = [spoil(compiled, Draws(seed), flaw) for seed in range(60)]
    values = {json.dumps(each.value) for each in made if each is not None}
    assert {'"0"', "1.5", "true", "[1]"} <= values and "null" not in values
    # What servers convert most often is among the first things that are asked.
    for schema, expected in ((whole(), "0"), (text(), 0), ({"type": ["null", "boolean"]}, "true")):
        first = compile(schema).flaws[0]
        made = spoil(compile(schema), Draws(0), first)
        assert first.kind == "like another type" and made is not None and made.value == expected


def test_recursion_is_spoiled_a_few_levels_down() -> None:
    compiled = compile({"$ref": "#/$defs/N", "$defs": {"N": NODE}})
    pointers = {flaw.pointer for flaw in compiled.flaws}
    assert {"/v", "/next/v", "/next/next/v"} <= pointers and len(pointers) < 20


def test_a_flaw_is_a_fault_of_its_location() -> None:
    flaw = next(flaw for flaw in compile(WIDE).flaws if flaw.keyword == "minimum")
    fault = flaw.fault("query", "/filter")
    assert (fault.location, fault.pointer, fault.keyword) == ("query", "/filter/n", "minimum")
