"""The schemas of the JSON-Schema-Test-Suite: values drawn for them are what the `jsonschema` package says they are.

The suite is not part of this project: GNOMON_JSON_SCHEMA_SUITE names a checkout, or the folder `json` of a source
archive of `jsonschema`, which has it.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gnomon.fuzz.values import Compiled, Draws, assemble, compile, spoil
from gnomon.fuzz.values.pools import drawn
from tests.laws._drafts import modern

COUNT = 100
DRAFTS = {
    "draft4": jsonschema.Draft4Validator,
    "draft6": jsonschema.Draft6Validator,
    "draft7": jsonschema.Draft7Validator,
    "draft2019-09": jsonschema.Draft201909Validator,
    "draft2020-12": jsonschema.Draft202012Validator,
}
ELSEWHERE = {"refRemote", "vocabulary"}
"Files about other documents and about vocabularies that a schema switches off."

REMARKS = {"format", "content"}
"Files whose keywords are remarks by the letter and constraints here: only valid values can be judged."


def integer(checker: object, value: object) -> bool:
    """1.0 is an integer since draft 6, and to servers of any draft; the suite leaves it open for draft 4."""
    whole = isinstance(value, float) and value.is_integer()
    return (isinstance(value, int) and not isinstance(value, bool)) or whole


@pytest.fixture(scope="module")
def suite() -> Path:
    """The folder `tests` of the suite; skipped where the variable names none."""
    named = os.environ.get("GNOMON_JSON_SCHEMA_SUITE")
    if not named:
        pytest.skip("GNOMON_JSON_SCHEMA_SUITE names no folder of the JSON-Schema-Test-Suite")
    return Path(named) / "tests"


def judge_of(schema: Any, draft: str) -> Any:
    """The other validator, of the draft itself."""
    kind = DRAFTS[draft]
    if "$recursiveRef" in json.dumps(schema):
        # Its own reading of this keyword never ends on some values.
        return jsonschema.Draft202012Validator(modern(schema, draft))
    types = kind.TYPE_CHECKER.redefine("integer", integer)
    return jsonschema.validators.extend(kind, type_checker=types)(schema)


def cases(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names of files and schemas with their tests."""
    for path in sorted(folder.glob("*.json")):
        if path.stem not in ELSEWHERE:
            yield from ((path.stem, case) for case in json.loads(path.read_text("utf-8")))


def valid_values(compiled: Compiled) -> list[Any]:
    """Of pools and of Hypothesis."""
    draws = Draws(0)
    made = [assemble(compiled, draws) for _ in range(COUNT)]
    return [each.value for each in made if each] + drawn(compiled.valid, 1, COUNT // 4)


def invalid_values(compiled: Compiled) -> list[Any]:
    """With each flaw in turn, the formats aside."""
    draws, found = Draws(0), []
    for number in range(4 * COUNT):
        made = spoil(compiled, draws, compiled.flaws[number % len(compiled.flaws)])
        if made and made.flaw.keyword != "format":
            found.append(made.value)
        if len(found) == COUNT:
            break
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("draft", DRAFTS)
def test_the_values_of_the_suite(draft: str, suite: Path) -> None:
    told: Counter[str] = Counter()
    for name, case in cases(suite / draft):
        compiled, where = compile(modern(case["schema"], draft)), f"{name}: {case['description']}"
        judge = judge_of(case["schema"], draft)
        told["schemas"] += 1
        if compiled.loose:
            told["not read whole"] += 1
            assert "$ref" in json.dumps(case["schema"]), (where, compiled.loose)
            continue
        if not compiled.satisfiable:
            told["unsatisfiable"] += 1
            assert not any(test["valid"] for test in case["tests"]), where
            continue
        valid = valid_values(compiled)
        assert len(valid) >= COUNT, where
        assert [value for value in valid if not judge.is_valid(value)] == [], where
        told["valid"] += len(valid)
        if name in REMARKS:
            continue
        if not compiled.flaws:
            told["without an invalid value"] += 1
            assert all(test["valid"] for test in case["tests"]), where
            continue
        invalid = invalid_values(compiled)
        assert [value for value in invalid if judge.is_valid(value)] == [], where
        assert len(invalid) == COUNT, where
        told["invalid"] += len(invalid)
    print(draft, dict(told))
