"""Attacks on models set by hand do the harm worked out for them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnomon.explain.superposition.attacks import analytic, by_gradient, errors
from gnomon.explain.superposition.toys import forward

LENGTH = 0.1


def test_two_features_a_dimension_are_twice_as_easy_to_harm() -> None:
    x = torch.zeros(1, 2)
    apart, opposite = torch.eye(2), torch.tensor([[1.0, -1.0]])
    for w, harm in ((apart, 1.0), (opposite, 2.0)):
        assert float(errors(w, torch.zeros(2), x)) == 0
        assert float(analytic(w, torch.zeros(2), x, LENGTH)) == pytest.approx(harm * LENGTH**2)


def test_the_gradient_attack_stands_where_outputs_are_shut() -> None:
    w, b = torch.tensor([[1.0, -1.0]]), torch.full((2,), -0.05)
    x = torch.tensor([[0.0, 0.0], [0.5, 0.0]])
    climbed = by_gradient(w, b, x, LENGTH)
    assert climbed.stuck == 0.5
    assert torch.equal(climbed.errors_B[:1], errors(w, b, x)[:1])
    assert float(climbed.errors_B[1]) > float(errors(w, b, x)[1])
    # The analytic attack needs no slope.
    assert float(analytic(w, b, x, LENGTH)[0]) > 0


@given(st.integers(0, 500))
def test_no_attack_goes_further_than_it_is_long(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    w, b = torch.randn(2, 4, generator=generator), torch.randn(4, generator=generator) / 4
    x = torch.rand(6, 4, generator=generator)
    y = forward("relu", w[None], w[None], b[None], x[None])[0]
    assert torch.allclose(errors(w, b, x), (y - x).square().sum(1), atol=1e-5)
    # A move of L shifts outputs by at most |W'W| L, so an error's root by no more.
    most = errors(w, b, x).sqrt() + float(torch.linalg.matrix_norm(w.T @ w, 2)) * LENGTH
    for under in (by_gradient(w, b, x, LENGTH).errors_B, analytic(w, b, x, LENGTH)):
        assert bool((under.sqrt() <= most + 1e-4).all())
