"""Geometries set by hand are named right, however turned; losses worked out are those of simulation."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gnomon.core.seeds import Seed
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.geometry import (
    dimensionality,
    dimensions_per_feature,
    groups,
    interference,
    polytopes,
    shape,
    turned_onto,
)
from gnomon.explain.superposition.theory import CANDIDATES, best, crossing, one_sparse, thomson_energy
from gnomon.explain.superposition.thomson import solved
from gnomon.explain.superposition.toys import forward

SHARES = {
    "dedicated": 1,
    "digon": 1 / 2,
    "triangle": 2 / 3,
    "tetrahedron": 3 / 4,
    "pentagon": 2 / 5,
    "hexagon": 1 / 3,
    "square antiprism": 3 / 8,
}


def planted(*names: str) -> Tensor:
    """Polytopes in dimensions of their own."""
    return torch.block_diag(*(polytopes()[name] for name in names))


def turned(w: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """The same under a random rotation, its columns in a random order, and that order."""
    generator = torch.Generator().manual_seed(seed)
    rotation, _ = torch.linalg.qr(torch.randn(w.shape[0], w.shape[0], generator=generator))
    order = torch.randperm(w.shape[1], generator=generator)
    return (rotation @ w)[:, order], order


@given(seed=st.integers(0, 10**6), dims=st.integers(1, 4), mirrored=st.booleans())
def test_a_turned_model_is_turned_back_and_computes_the_same(seed: int, dims: int, mirrored: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(dims, dims + 3, generator=generator)
    rotation, _ = torch.linalg.qr(torch.randn(dims, dims, generator=generator))
    moved = (rotation * (-1 if mirrored else 1)) @ w
    assert torch.allclose(turned_onto(moved, w), w, atol=1e-3)
    other = turned_onto(moved, torch.randn(w.shape, generator=generator))
    assert torch.allclose(other.T @ other, w.T @ w, atol=1e-3)


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("seed", range(3))
def test_a_polytope_set_by_hand_is_named_and_shares_are_exact(name: str, seed: int) -> None:
    w, _ = turned(planted(name), seed)
    assert dimensionality(w).tolist() == pytest.approx([SHARES[name]] * w.shape[1], abs=1e-6)
    (group,) = groups(w)
    assert group.name == name and sum(group.spectrum) == pytest.approx(w.shape[1], abs=1e-5)
    # Vertices at another length are the same polytope.
    assert groups(0.9 * w)[0].name == name


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("triangle", "digon"), "triangular bipyramid"),
        (("pentagon", "digon"), "pentagonal bipyramid"),
        (("digon", "digon", "digon"), "octahedron"),
        (("digon", "digon"), "square"),
        (("pentagon", "tetrahedron", "dedicated"), "pentagon + tetrahedron + 1 dedicated"),
    ],
)
def test_orthogonal_factors_are_found(parts: tuple[str, ...], name: str) -> None:
    w, order = turned(planted(*parts), 1)
    found = groups(w)
    assert shape(found) == name
    assert sorted(len(g.features) for g in found) == sorted(polytopes()[p].shape[1] for p in parts)
    wanted = torch.tensor([SHARES[p] for p in parts for _ in range(polytopes()[p].shape[1])])[order]
    assert torch.allclose(dimensionality(w), wanted, atol=1e-6)


def test_an_octahedron_that_is_a_little_bent_is_one() -> None:
    w = planted("digon", "digon", "digon")
    w[1, 0] = 0.2
    bent = w / w.norm(dim=0)
    assert len(groups(bent)) == 2 and shape(groups(bent)) == "octahedron"


def test_a_flatter_antiprism_is_one() -> None:
    w = planted("square antiprism")
    w[2] *= 0.9
    assert groups(w / w.norm(dim=0))[0].name == "square antiprism"
    w[2] *= 0.5
    assert groups(w / w.norm(dim=0))[0].name == "other"


def test_what_is_no_polytope_is_called_other_and_what_is_not_learned_nothing() -> None:
    angles = torch.tensor([0.0, 1.0, 2.0])
    # A triangle but for the sign of one vector; and two features in one direction, which are no digon.
    assert groups(torch.stack([angles.cos(), angles.sin()]))[0].name == "other"
    assert groups(torch.ones(1, 2))[0].name == "other"
    w = torch.zeros(2, 3)
    assert groups(w) == [] and shape([]) == "nothing"
    assert dimensionality(w).tolist() == [0, 0, 0] and interference(w).tolist() == [0, 0, 0]
    assert math.isinf(float(dimensions_per_feature(w)))
    w[0, 0] = 1.0
    assert shape(groups(w)) == "1 dedicated" and dimensionality(w).tolist() == [1, 0, 0]


@given(st.integers(1, 6), st.integers(1, 12), st.integers(0, 1000))
def test_shares_never_add_up_to_more_than_there_are_dimensions(dims: int, features: int, seed: int) -> None:
    w = torch.randn(dims, features, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    shares = dimensionality(w)
    assert float(shares.sum()) <= min(dims, features) + 1e-9
    turned_w, order = turned(w.float(), seed)
    assert torch.allclose(dimensionality(turned_w), shares[order].float(), atol=1e-4)


@pytest.mark.parametrize(
    ("problem", "name"), [(problem, name) for problem, each in CANDIDATES.items() for name in each]
)
def test_losses_worked_out_are_those_of_simulation(problem: str, name: str) -> None:
    candidate = CANDIDATES[problem][name]  # type: ignore[index]  # of the table itself
    w = torch.tensor(candidate.weights, dtype=torch.float)[None]
    for p, importance in ((0.7, 0.4), (0.2, 2.5)):
        total, batches = 0.0, 4
        for step in range(batches):
            x = Law(num_features=w.shape[2]).draws(250_000, Seed(0), step).at(torch.tensor(p))[None]
            b = torch.tensor(candidate.bias(p))[None]
            weight = torch.tensor([1.0] * (w.shape[2] - 1) + [importance])
            total += float(((forward("relu", w, w, b, x) - x).square().mean((0, 1)) * weight).sum()) / batches
        assert total == pytest.approx(candidate.loss(p, importance), abs=1e-3)


def test_the_crossing_is_where_both_cost_the_same() -> None:
    of = CANDIDATES["n=2, m=1"]
    for importance in (0.2, 0.9, 4.0):
        p = crossing(importance, biased=True)
        dropped = "drop the last" if importance <= 1 else "drop the first"
        assert of["opposites"].loss(p, importance) == pytest.approx(of[dropped].loss(p, importance))
        assert best("n=2, m=1", 0.98 * p, importance)[0] == "opposites"
        assert best("n=2, m=1", 1.02 * p, importance)[0] == dropped
        p = crossing(importance, biased=False)
        assert (1 + importance) * p * p / 6 == pytest.approx(min(1, importance) * p / 3)
    assert crossing(1.0, biased=True) == pytest.approx(4 / 7)
    assert crossing(0.5, biased=True) == pytest.approx(2 / 4.5)
    assert crossing(2.0, biased=True) == pytest.approx(crossing(0.5, biased=True))


@given(st.integers(0, 1000))
def test_the_loss_of_single_features_is_that_of_simulation(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    w, b = torch.randn(2, 4, generator=generator), torch.randn(4, generator=generator) / 2
    importance = torch.rand(4, generator=generator)
    values = (torch.arange(4000) + 0.5) / 4000
    x = torch.cat([torch.eye(4)[i] * values[:, None] for i in range(4)])
    squares = (forward("relu", w[None], w[None], b[None], x[None])[0] - x).square() * importance
    assert float(one_sparse(w, b, importance)) == pytest.approx(float(squares.sum() / 4000), rel=1e-3, abs=1e-4)


def test_points_on_a_sphere_settle_where_they_should() -> None:
    for points, dims, name, energy in ((4, 2, "square", 0.0), (3, 2, "triangle", 0.0), (6, 3, "octahedron", 0.0)):
        found = solved(points, dims, Seed(0))
        assert found.energy == pytest.approx(energy, abs=1e-4), name
    five = solved(5, 2, Seed(0))
    assert shape(groups(five.points_Mk)) == "pentagon"
    assert five.energy == pytest.approx(float(thomson_energy(polytopes()["pentagon"])), abs=1e-4)
    assert five.share > 0.9
