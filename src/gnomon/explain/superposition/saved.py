"""Trained weights on disk, and the table that says what each of them is.

A run's folder holds PART.safetensors with the weights of every model that was trained, `KEY/w` [M, N] (the matrix out),
`KEY/b` [N] and, of two matrices, `KEY/u` [M, N] (the matrix in); and models.parquet, a line a model:

    duckdb -c "select * from 'models.parquet' where features = 5 order by loss limit 3"
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import safe_open
from torch import Tensor

from gnomon.core.errors import DataError, UsageError
from gnomon.core.record import Row
from gnomon.explain.superposition.geometry import Group, groups
from gnomon.explain.superposition.toys import BENT
from gnomon.store.files import replace_file

__all__ = ["INDEX", "Model", "read_groups", "read_model", "read_models", "write_index"]

INDEX = "models.parquet"
"The table's file."

_COLUMNS = pa.schema(
    [
        ("experiment", pa.string()),
        ("model", pa.string()),
        ("kind", pa.string()),
        ("features", pa.int64()),
        ("dims", pa.int64()),
        ("together", pa.string()),
        ("density", pa.list_(pa.float64())),
        ("importance", pa.list_(pa.float64())),
        ("penalty", pa.float64()),
        ("attack", pa.float64()),
        ("seed", pa.int64()),
        ("steps", pa.int64()),
        ("met", pa.float64()),
        ("loss", pa.float64()),
    ]
)


class Model(NamedTuple):
    """A trained model: matrices in and out [M, N] (one and the same but for "absolute") and bias [N]."""

    w_in_MN: Tensor
    w_out_MN: Tensor
    b_N: Tensor


def write_index(rows: Sequence[Row], folder: Path) -> None:
    """Writes a line for each trained model of `rows`: its part, its name in the part's file, kind, features (N),
    dimensions (M), density and importance of each feature, penalty, attack, start, steps, in how many examples of
    its training its rarest feature is expected, and loss (null where weights stopped being finite)."""
    lines: list[dict[str, Any]] = []
    for row in rows:
        if "toy" in row.evidence:
            part, _, key = row.key.partition(":")
            lines.append({"experiment": part, "model": key, "loss": row.evidence.get("loss"), **row.evidence["toy"]})
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(lines, _COLUMNS), sink)
    replace_file(folder / INDEX, sink.getvalue().to_pybytes())


def read_models(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's table.

    Raises:
        DataError: the folder holds no such table.
    """
    if not (folder / INDEX).is_file():
        raise DataError(f"no {INDEX}", where=str(folder), todo="name the folder of a run of explain superposition")
    found: list[dict[str, Any]] = pq.read_table(folder / INDEX).to_pylist()
    return found


def read_model(folder: Path, line: dict[str, Any]) -> Model:
    """The weights that a line of `read_models` is about.

    Raises:
        DataError: they are not in the folder.
    """
    file, key = folder / f"{line['experiment']}.safetensors", line["model"]
    if not file.is_file():
        raise DataError(f"no {file.name}", where=str(folder), todo="run the experiment again with --fresh")
    with safe_open(file, framework="pt") as held:  # type: ignore[no-untyped-call]  # safetensors' own
        names = held.keys()
        if f"{key}/w" not in names:
            raise DataError(f"no weights of {key!r}", where=str(file), todo="run the experiment again with --fresh")
        w_MN = held.get_tensor(f"{key}/w")
        u_MN = held.get_tensor(f"{key}/u") if f"{key}/u" in names else w_MN
        return Model(u_MN, w_MN, held.get_tensor(f"{key}/b"))


def read_groups(folder: Path, line: dict[str, Any]) -> list[Group]:
    """The groups of features that the model of a line of `read_models` makes, as `geometry.groups` names them.

    Raises:
        UsageError: W'W says nothing of this model, for there is a ReLU between reading and writing.
        DataError: its weights are not in the folder.
    """
    if line["kind"] in BENT:
        found = f"{line['model']!r} is {line['kind']}: features do not meet in W'W but in neurons behind a ReLU"
        raise UsageError(
            found, where=str(folder), todo="look at the columns of `read_model`'s matrices, neuron by neuron"
        )
    return groups(read_model(folder, line).w_out_MN)
