"""Paths of models: the plane against a singular value decomposition, and what it does not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.core.errors import DataError
from gnomon.stats.trajectories import pivot, plane, turns


@given(seed=st.integers(0, 1000), rows=st.integers(3, 12), columns=st.integers(2, 40))
def test_the_plane_is_that_of_the_singular_vectors(seed: int, rows: int, columns: int) -> None:
    x = np.random.default_rng(seed).normal(size=(rows, columns))
    found = plane(x)
    centred = x - x.mean(0)
    _, sizes, right = np.linalg.svd(centred, full_matrices=False)
    assert np.abs(found.points) == pytest.approx(np.abs(centred @ right[:2].T), abs=1e-8)
    assert found.explained == pytest.approx(np.square(sizes[:2]) / np.square(sizes).sum())
    assert (found.points[-1] >= 0).all()


@given(seed=st.integers(0, 1000))
def test_the_order_of_rows_moves_no_point(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, order = rng.normal(size=(8, 20)), [*rng.permutation(7), 7]
    assert plane(x[order]).points == pytest.approx(plane(x).points[order], abs=1e-8)


def test_a_path_that_turns_once_is_found() -> None:
    rng = np.random.default_rng(0)
    corner = np.concatenate(
        [np.outer(np.linspace(0, 10, 20), [1, 0, 0]), 10 * np.eye(3)[0] + np.outer(range(1, 11), [0, 1, 0])]
    )
    found = pivot(corner + rng.normal(0, 0.1, corner.shape))
    assert abs(found.place - 19) <= 1 and found.degrees == pytest.approx(90, abs=5)
    assert pivot(np.outer(np.arange(9), [1, 2])).degrees == pytest.approx(0, abs=1e-3)


def test_steps_that_are_noise_turn_by_120_degrees_and_standing_still_has_no_angle() -> None:
    noise = np.random.default_rng(0).normal(size=(400, 500))
    assert turns(noise).mean() == pytest.approx(120, abs=1)
    assert np.isnan(turns([[0, 0], [1, 1], [1, 1]])).all()


def test_what_spans_no_plane_is_refused() -> None:
    for rows in ([[1.0, 2.0]], [[1.0, np.nan], [0.0, 1.0]]):
        with pytest.raises(DataError):
            plane(rows)
