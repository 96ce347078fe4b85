"""Exported rows read back as they were, and scalars have columns of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gnomon.core.errors import DataError
from gnomon.core.record import Row
from gnomon.store.export import read_jsonl, read_parquet, to_jsonl, to_parquet

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(codec="utf-8"))
anything = st.recursive(
    scalars | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6
)
rows_strategy = st.lists(
    st.builds(
        Row,
        key=texts,
        cluster=texts,
        evidence=st.dictionaries(st.sampled_from(["a", "b", "a.b"]) | st.text(), anything),
        error=st.none() | texts,
    ),
    max_size=5,
)


@given(rows_strategy)
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_read_back_as_they_were(tmp_path: Path, rows: list[Row]) -> None:
    to_jsonl(rows, tmp_path / "rows.jsonl")
    assert read_jsonl(tmp_path / "rows.jsonl") == rows
    to_parquet(rows, tmp_path / "rows.parquet")
    assert read_parquet(tmp_path / "rows.parquet") == rows


def columns(tmp_path: Path, *evidence: dict[str, Any]) -> dict[str, list[Any]]:
    to_parquet([Row(key=str(i), cluster="c", evidence=e) for i, e in enumerate(evidence)], tmp_path / "r.parquet")
    table = pq.read_table(tmp_path / "r.parquet").to_pydict()
    return {name: values for name, values in table.items() if name.startswith("evidence.")}


def test_scalars_become_columns(tmp_path: Path) -> None:
    found = columns(
        tmp_path,
        {"correct": True, "p": 1, "text": "a", "deep": {"n": 3}, "list": [1], "mixed": 1, "big": 2**70},
        {"correct": False, "p": 0.5, "deep": {"n": None}, "mixed": "x", "big": 1},
    )
    assert found == {
        "evidence.correct": [True, False],
        "evidence.p": [1.0, 0.5],
        "evidence.text": ["a", None],
        "evidence.deep.n": [3, None],
    }


def test_two_values_of_one_name_have_no_column(tmp_path: Path) -> None:
    assert columns(tmp_path, {"a.b": 1, "a": {"b": 2, "c": 3}}) == {"evidence.a.c": [3]}


def test_half_characters_are_escaped_in_the_column(tmp_path: Path) -> None:
    assert columns(tmp_path, {"t": "\udc80"}) == {"evidence.t": ["\\udc80"]}


def test_lines_are_plain_json(tmp_path: Path) -> None:
    to_jsonl([Row(key="k", cluster="c", evidence={"x": 1}, error="e")], tmp_path / "r.jsonl")
    assert json.loads((tmp_path / "r.jsonl").read_text()) == {
        "key": "k",
        "cluster": "c",
        "error": "e",
        "evidence": {"x": 1},
    }


def test_what_is_no_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"key": "k", "cluster": "c", "evidence": {}}\n{"key": 1}\n')
    with pytest.raises(DataError, match=rf"^{path}:2: not a row"):
        read_jsonl(path)
    with pytest.raises(DataError, match="not a table of rows"):
        read_parquet(path)
