"""The loss of two features in one dimension is that of a sum over a grid, and its minima are where they should be."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gnomon.core.seeds import Seed
from gnomon.explain.superposition.attacks import errors
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.geometry import dimensions_per_feature
from gnomon.explain.superposition.surface import Minima, exact_loss, in_pairs, minima, with_best_bias
from gnomon.explain.superposition.theory import CANDIDATES, crossing
from gnomon.explain.superposition.toys import forward
from gnomon.explain.superposition.trainings import compared

HALVES = (torch.arange(400, dtype=torch.double) + 0.5) / 400


def summed(w: Tensor, b: Tensor, p: float, importance: float) -> float:
    """The expected loss by midpoints: every set of active features, and values on a grid."""

    def mean(x: Tensor) -> float:
        y = ((x @ w)[:, None] * w + b).relu()
        return float(((y - x).square() * torch.tensor([1.0, importance])).sum(1).mean())

    zero = torch.zeros_like(HALVES)
    both = torch.stack(torch.meshgrid(HALVES, HALVES, indexing="ij"), -1).view(-1, 2)
    alone = mean(torch.stack([HALVES, zero], 1)) + mean(torch.stack([zero, HALVES], 1))
    return (1 - p) ** 2 * mean(torch.zeros(1, 2).double()) + p * (1 - p) * alone + p * p * mean(both)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from([1.0, 0.6, 0.05]), st.sampled_from([0.2, 1.0, 3.0]))
def test_the_exact_loss_is_that_of_a_sum(seed: int, p: float, importance: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(2, generator=generator, dtype=torch.double)
    b = torch.randn(2, generator=generator, dtype=torch.double) / 2
    if seed % 3 == 0:
        w[seed % 2] = 0.0
    if seed % 5 == 0:
        b.zero_()
    found = float(exact_loss(w, b, torch.tensor(p).double(), torch.tensor(importance)))
    assert found == pytest.approx(summed(w, b, p, importance), rel=1e-4, abs=1e-5)


def test_candidates_cost_what_they_should() -> None:
    for each in CANDIDATES["n=2, m=1"].values():
        w, b = torch.tensor(each.weights[0]).double(), torch.tensor(each.bias(0.4)).double()
        found = exact_loss(w, b, torch.tensor(0.4).double(), torch.tensor(0.6).double())
        assert float(found) == pytest.approx(each.loss(0.4, 0.6))


@pytest.fixture(scope="module", name="least")
def found() -> dict[bool, Minima]:
    """With biases and without: cells below and above the crossing of an unimportant feature, and a dense one."""
    return {
        biased: minima(
            torch.tensor([0.85 * crossing(0.2, biased=biased), 1.3 * crossing(0.2, biased=biased), 0.9]),
            torch.tensor([0.2, 0.2, 0.8]),
            biased=biased,
        )
        for biased in (True, False)
    }


@pytest.mark.parametrize("biased", [True, False])
def test_the_least_loss_is_on_the_right_side_of_the_crossing(least: dict[bool, Minima], biased: bool) -> None:
    below, above, _ = least[biased].w
    assert float(below.prod()) < -0.5 and abs(float(above.prod())) < 0.1
    p = 1.3 * crossing(0.2, biased=True)
    costs = [each.loss(p, 0.2) for each in CANDIDATES["n=2, m=1"].values()]
    assert float(least[True].loss[1]) == pytest.approx(min(costs), rel=1e-4)


def test_dense_features_without_biases_are_confused(least: dict[bool, Minima]) -> None:
    """Both are read the same way round, which no candidate is, and biases undo it."""
    confused, apart = least[False], least[True]
    assert float(confused.w[2].prod()) > 0.4 and float(confused.b.abs().sum()) == 0
    assert abs(float(apart.w[2].prod())) < 1e-3
    assert float(apart.loss[2]) == pytest.approx(CANDIDATES["n=2, m=1"]["drop the last"].loss(0.9, 0.8), rel=1e-4)
    assert float(with_best_bias(apart.w[2].float(), 0.9, 0.8).loss) == pytest.approx(float(apart.loss[2]), rel=1e-3)


def test_many_features_in_pairs_cost_what_two_do_and_the_rest_what_is_dropped() -> None:
    law, densities = Law(num_features=7), (0.9, 0.4)
    for p, star, (w_MN, b_N) in zip(densities, (1.0, 0.5), in_pairs(densities, 7, 3), strict=True):
        assert float(dimensions_per_feature(w_MN)) == pytest.approx(star, rel=0.05)
        two = float(exact_loss(w_MN[0, :2].double(), b_N[:2].double(), torch.tensor(p), torch.tensor(1.0)))
        x_BN = law.draws(200_000, Seed(2), 0).at(torch.tensor(p))
        assert float(errors(w_MN, b_N, x_BN).mean()) == pytest.approx(3 * two + p / 3 - p * p / 4, rel=5e-3)


def test_models_are_compared_on_the_same_examples() -> None:
    law, p = Law(num_features=2), torch.tensor(0.3)
    opposites, none = (torch.tensor([[1.0, -1.0]]), torch.zeros(2)), (torch.zeros(1, 2), torch.full((2,), 0.15))
    assert compared(none, none, law, p, Seed(0)) == {"value": 0, "se": 0, "n": 200_000}
    found = compared(opposites, none, law, p, Seed(0))
    share = (2 * 0.3**2 / 6) / (2 * (0.3 / 3 - 0.3**2 / 4)) - 1
    assert abs(found["value"] - share) < 4 * found["se"] < 0.02


@pytest.mark.slow
def test_every_loss_worked_out_is_that_of_ten_million_examples() -> None:
    for problem, candidates in CANDIDATES.items():
        for each in candidates.values():
            w = torch.tensor(each.weights, dtype=torch.float)[None]
            p, importance, total = 0.3, 0.7, 0.0
            weight = torch.tensor([1.0] * (w.shape[2] - 1) + [importance])
            for step in range(40):
                x = Law(num_features=w.shape[2]).draws(250_000, Seed(1), step).at(torch.tensor(p))[None]
                y = forward("relu", w, w, torch.tensor(each.bias(p))[None], x)
                total += float(((y - x).square().mean((0, 1)) * weight).sum()) / 40
            assert total == pytest.approx(each.loss(p, importance), rel=5e-3), problem
