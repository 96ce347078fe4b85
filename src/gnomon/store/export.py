"""Rows as files that other tools read: JSON lines, and Parquet for DuckDB, Polars and pandas.

Both hold everything: the evidence as it is, and in Parquet also one column for each of its scalars, so that

    duckdb -c "select cluster, avg(\\"evidence.correct\\") from 'rows.parquet' group by 1"

works without parsing JSON. `read_jsonl` and `read_parquet` give back the rows that were written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnomon.core.errors import DataError
from gnomon.core.record import Row
from gnomon.store.files import replace_file

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["read_jsonl", "read_parquet", "to_jsonl", "to_parquet"]

_PREFIX = "evidence."


def to_jsonl(rows: Iterable[Row], path: Path) -> None:
    """Writes one JSON object a line: key, cluster, error, evidence."""
    lines = [
        json.dumps({"key": r.key, "cluster": r.cluster, "error": r.error, "evidence": dict(r.evidence)}) + "\n"
        for r in rows
    ]
    replace_file(path, "".join(lines))


def read_jsonl(path: Path) -> list[Row]:
    """The rows that `to_jsonl` wrote.

    Raises:
        DataError: a line is not such a row.
    """
    rows = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                rows.append(Row(**json.loads(line)))
            except (ValueError, TypeError) as error:
                raise DataError(f"not a row ({error})", where=f"{path}:{number}") from None
    return rows


def to_parquet(rows: Sequence[Row], path: Path) -> None:
    """Writes columns key, cluster, error, evidence (JSON) and `evidence.<name>` for every scalar in the evidence.

    Nested tables give dotted names. A name whose values are numbers of both kinds becomes floating point; one whose
    values are of unlike kinds, lists, or integers beyond 64 bits stays in the JSON column only.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, pa.Array] = {
        "key": pa.array([r.key for r in rows], pa.string()),
        "cluster": pa.array([r.cluster for r in rows], pa.string()),
        "error": pa.array([r.error for r in rows], pa.string()),
        "evidence": pa.array([json.dumps(dict(r.evidence)) for r in rows], pa.string()),
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({**columns, **_scalar_columns(rows)}), sink)
    replace_file(path, sink.getvalue().to_pybytes())


def read_parquet(path: Path) -> list[Row]:
    """The rows that `to_parquet` wrote.

    Raises:
        DataError: the file is not such a table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=["key", "cluster", "error", "evidence"])
        return [Row(**{**record, "evidence": json.loads(record["evidence"])}) for record in table.to_pylist()]
    except (pa.ArrowException, ValueError, TypeError, KeyError) as error:
        raise DataError(f"not a table of rows ({error})", where=str(path)) from None


def _scalar_columns(rows: Sequence[Row]) -> dict[str, pa.Array]:
    import pyarrow as pa

    found: dict[str, list[Any]] = {}
    unfit: set[str] = set()
    for index, row in enumerate(rows):
        for name, value in _scalars(row.evidence, _PREFIX):
            column = found.setdefault(name, [None] * len(rows))
            # {"a.b": 1, "a": {"b": 2}} gives one name twice in a row
            if column[index] is not None or (isinstance(value, int) and abs(value) >= 2**63):
                unfit.add(name)
            column[index] = value
    types = {name: _type_of(found[name]) for name in sorted(found) if name not in unfit}
    return {name: pa.array(found[name], kind) for name, kind in types.items() if kind is not None}


def _type_of(values: Sequence[Any]) -> pa.DataType | None:
    """The Arrow type that holds all values; None when none does."""
    import pyarrow as pa

    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {int, float}:
        return pa.float64()
    arrow = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    return arrow[kinds.pop()] if len(kinds) == 1 else None


def _scalars(evidence: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, Any]]:
    for name, value in evidence.items():
        if isinstance(value, Mapping):
            yield from _scalars(value, f"{prefix}{name}.")
        elif isinstance(value, str):
            # Arrow wants UTF-8, and sampled bytes can leave half a character
            yield prefix + name, value.encode("utf-8", "backslashreplace").decode()
        elif isinstance(value, (bool, int, float)):
            yield prefix + name, value
