"""Invalid values for keywords whose negation has no canonical form."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from gnomon.fuzz.values import Draws, assemble, compile, spoil
from tests.unit._schemas import arr, num, obj

ONE = {"const": 1}
COUNTED = arr(contains={"type": "integer"}, minContains=2, maxContains=3, items=num(), minItems=4)
EXCLUDED = obj(properties={"x": arr(minItems=3, **{"not": {"contains": ONE, "minContains": 2}})}, required=["x"])


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"contains": ONE}, "contains"),
        ({"contains": ONE, "minContains": 2}, "minContains"),
        ({"contains": ONE, "minContains": 0, "maxContains": 1}, "maxContains"),
        (COUNTED, "minContains"),
        (COUNTED, "maxContains"),
        (num(multipleOf=1.5), "multipleOf"),
        (num(multipleOf=0.0001), "multipleOf"),
        (EXCLUDED, "not"),
        (obj(required=["a"], **{"not": arr(contains=ONE, maxContains=2)}), "required"),
    ],
    ids=str,
)
def test_what_is_drawn_breaks_the_keyword(schema: dict[str, Any], keyword: str) -> None:
    compiled, draws = compile(schema), Draws(0)
    judge = jsonschema.Draft202012Validator(schema)
    flaws = [flaw for flaw in compiled.flaws if flaw.keyword == keyword]
    made = [spoil(compiled, draws, flaw) for _ in range(30) for flaw in flaws]
    values = [each.value for each in made if each]
    assert len(values) >= 20
    assert not any(judge.is_valid(value) for value in values)
    assert all(judge.is_valid(each.value) for _ in range(20) if (each := assemble(compiled, draws)))
    assert assemble(compiled, draws) is not None
