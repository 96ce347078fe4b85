"""Weights that were trained are found by the table, and are those that the figures were made of."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import torch

from gnomon.core.errors import DataError, UsageError
from gnomon.explain._running import run_explanation
from gnomon.explain.superposition import Superposition, parts
from gnomon.explain.superposition.geometry import groups, shape
from gnomon.explain.superposition.saved import read_groups, read_model, read_models
from gnomon.explain.superposition.toys import Training
from gnomon.explain.superposition.trainings import weights_of
from gnomon.store.run import Run


def test_every_model_is_in_the_table_with_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(parts.TRAINING, "small", Training(steps=30))
    run_explanation(Superposition(only=("perturb", "absolute"), seeds=2), "superposition", root=tmp_path)
    (folder,) = tmp_path.glob("explain-superposition-*")
    lines = read_models(folder)
    assert len(lines) == 2 * (6 + 5) and {line["experiment"] for line in lines} == {"perturb", "absolute"}
    first = next(line for line in lines if line["model"] == "4 times rarer/1")
    assert first["density"] == pytest.approx([0.0125] + [0.05] * 4) and first["importance"] == [1.0] * 5
    assert (first["features"], first["dims"], first["seed"], first["steps"]) == (5, 2, 1, 30) and first["loss"] > 0
    weights = read_model(folder, first)
    assert weights.w_in_MN is weights.w_out_MN and weights.b_N.shape == (5,)
    with closing(Run.find(str(folder))) as run:
        row = next(row for row in run.rows() if row.key == "perturb:4 times rarer/1")
    # Figures are made of rows, five digits of each weight.
    assert torch.allclose(weights_of(row), weights.w_out_MN, atol=1e-5)
    assert shape(groups(weights.w_out_MN)) == row.evidence["shape"]
    assert read_groups(folder, first) == groups(weights.w_out_MN)
    bent = next(line for line in lines if line["kind"] == "absolute")
    two = read_model(folder, bent)
    assert not torch.equal(two.w_in_MN, two.w_out_MN)
    with pytest.raises(UsageError) as caught:
        read_groups(folder, bent)
    assert str(caught.value) == (
        f"{folder}: {bent['model']!r} is absolute: features do not meet in W'W but in neurons behind a ReLU; "
        "look at the columns of `read_model`'s matrices, neuron by neuron"
    )


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_models(tmp_path)
    assert str(caught.value) == f"{tmp_path}: no models.parquet; name the folder of a run of explain superposition"
    with pytest.raises(DataError, match=r"no basic.safetensors; run the experiment again with --fresh"):
        read_model(tmp_path, {"experiment": "basic", "model": "x"})
