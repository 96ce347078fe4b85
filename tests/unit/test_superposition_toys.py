"""Toy models: gradients are those of autograd, a model is the same in any company, data follow their law."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gnomon.core.errors import UsageError
from gnomon.core.seeds import Seed
from gnomon.explain.superposition.features import Law, Together
from gnomon.explain.superposition.toys import BENT, Kind, Toys, Training, forward, train


def toys(kind: Kind, densities: Sequence[float], seeds: Sequence[int], *, n: int = 5, m: int = 3) -> Toys:
    density = torch.tensor(densities)[:, None].expand(-1, n).contiguous()
    importance = (0.8 ** torch.arange(n)).expand(len(seeds), n).contiguous()
    law = Law(num_features=n, signed=kind == "absolute")
    return Toys(kind=kind, law=law, num_dims=m, density_KN=density, importance_KN=importance, seeds=seeds)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_training_equals_the_same_by_autograd(kind: Kind) -> None:
    of = replace(toys(kind, [0.5, 0.2], [0, 1]), penalty_K=torch.tensor([0.0, 0.1]))
    seed, how = Seed(3), Training(steps=25, lr=0.02, batch=64, constant=True)
    found = train(of, how, seed)
    started = train(of, Training(steps=0), seed)
    w_in = started.w_in_KMN.clone().requires_grad_()
    w_out = started.w_out_KMN.clone().requires_grad_() if kind == "absolute" else w_in
    b = torch.zeros(2, 5, requires_grad=True)
    optimiser = torch.optim.AdamW([w_in, w_out, b] if kind == "absolute" else [w_in, b], lr=0.02)
    for step in range(25):
        optimiser.zero_grad()
        x = of.law.draws(64, seed, step).at(of.density_KN[:, None])
        target = x.abs() if kind == "absolute" else x
        loss = ((forward(kind, w_in, w_out, b, x) - target).square() * of.importance_KN[:, None]).mean((1, 2)).sum()
        hidden = x @ w_in.transpose(1, 2)
        hidden = hidden.relu() if kind in BENT else hidden
        loss = loss + (of.penalty_K * hidden.abs().sum(2).mean(1)).sum() / 5
        loss.backward()  # type: ignore[no-untyped-call]  # torch's
        optimiser.step()
    for ours, theirs in ((found.w_in_KMN, w_in), (found.w_out_KMN, w_out), (found.b_KN, b)):
        assert torch.allclose(ours, theirs, atol=2e-4)


@settings(max_examples=5)
@given(st.lists(st.sampled_from([1.0, 0.3, 0.05]), min_size=1, max_size=40), st.sampled_from(["relu", "absolute"]))
def test_a_model_is_the_same_in_any_company(others: list[float], kind: Kind) -> None:
    how = Training(steps=100, batch=32)
    alone = train(toys(kind, [0.2], [7]), how, Seed(1))
    among = train(toys(kind, [*others, 0.2], [*range(len(others)), 7]), how, Seed(1))
    assert torch.allclose(alone.w_out_KMN[0], among.w_out_KMN[-1], atol=1e-5)
    assert torch.allclose(alone.loss_K[0], among.loss_K[-1], atol=1e-5)


def test_under_attack_only_what_is_shown_moves() -> None:
    """One step against a model of one feature: its direction is 1, so what it sees moves by the length."""
    of = replace(toys("relu", [1.0], [0], n=1, m=1), attack_K=torch.tensor([0.5]))
    how, seed = Training(steps=1, lr=0.01, batch=8, constant=True), Seed(2)
    w = train(of, replace(how, steps=0), seed).w_in_KMN.requires_grad_()
    b = torch.zeros(1, 1, requires_grad=True)
    x = of.law.draws(8, seed, 0).values_BN
    generator = torch.Generator().manual_seed(seed.child("attack", 0).value)
    signs = 1.0 - 2.0 * torch.randint(2, (8, 1), generator=generator)
    optimiser = torch.optim.AdamW([w, b], lr=0.01)
    (forward("relu", w, w, b, x + 0.5 * signs) - x).square().mean().backward()  # type: ignore[no-untyped-call]  # torch's
    optimiser.step()
    found = train(of, how, seed)
    assert torch.allclose(found.w_in_KMN, w, atol=1e-6) and torch.allclose(found.b_KN, b, atol=1e-6)
    none = train(replace(of, attack_K=torch.zeros(1)), how, seed)
    assert torch.equal(none.w_in_KMN, train(replace(of, attack_K=None), how, seed).w_in_KMN)


def together(kind: Together, signed: bool = False) -> Tensor:
    return Law(num_features=6, together=kind, size=3, signed=signed).draws(20000, Seed(0), 0).at(torch.tensor(0.4))


def test_data_follow_their_law() -> None:
    plain = Law(num_features=6).draws(20000, Seed(0), 0)
    x = plain.at(torch.tensor(0.4))
    assert float((x > 0).float().mean()) == pytest.approx(0.4, abs=0.01)
    assert float(x[x > 0].mean()) == pytest.approx(0.5, abs=0.01)
    # What is there at a lower density is there at a higher one, with the same value.
    fewer = plain.at(torch.tensor(0.1))
    assert torch.equal(fewer[fewer > 0], x[fewer > 0])
    both = together("correlated")
    assert torch.equal(both[:, 0] > 0, both[:, 2] > 0) and not torch.equal(both[:, 0], both[:, 1])
    one = (together("anticorrelated") > 0).view(-1, 2, 3)
    assert int(one.sum(-1).max()) == 1
    assert one.float().mean((0, 1)).tolist() == pytest.approx([0.4 / 3] * 3, abs=0.01)
    signed = Law(num_features=2, signed=True).draws(20000, Seed(0), 0).at(torch.tensor(1.0))
    assert float(signed.min()) < -0.99 and float(signed.mean()) == pytest.approx(0, abs=0.02)
    assert torch.equal(plain.values_BN, Law(num_features=6).draws(20000, Seed(0), 0).values_BN)


def test_a_model_that_diverges_leaves_the_others_alone() -> None:
    of = toys("relu", [0.5, 0.5], [0, 1])
    huge = of.importance_KN.clone()
    huge[1] = float("inf")
    found = train(replace(of, importance_KN=huge), Training(steps=20, batch=32), Seed(0))
    assert torch.isfinite(found.loss_K[0]) and not torch.isfinite(found.loss_K[1])
    assert torch.allclose(found.w_out_KMN[0], train(of, Training(steps=20, batch=32), Seed(0)).w_out_KMN[0], atol=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_dims": 0}, "a toy model has 0 dimensions; give 1 or more"),
        ({"density_KN": torch.zeros(1, 5)}, "a density is not above 0 and at most 1; give densities in (0, 1]"),
        ({"importance_KN": -torch.ones(1, 5)}, "an importance is below 0; give importances of 0 or more"),
        ({"penalty_K": torch.tensor([-1.0])}, "penalties are [-1.0]; give 1 of 0 or more, one a model"),
        ({"attack_K": torch.ones(2)}, "attacks are [1.0, 1.0]; give 1 of 0 or more, one a model"),
        ({"attack_K": torch.ones(1), "kind": "hidden"}, "an attack on hidden models; attack relu models"),
        ({"importance_KN": torch.ones(1, 4)}, "densities (1, 5), importances (1, 4); give 1 models by 5 features"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        replace(toys("relu", [0.5], [0]), **change)  # type: ignore[arg-type]  # by the table
    assert str(caught.value) == said


def test_sets_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="5 features cannot be put into sets of 2"):
        Law(num_features=5, together="correlated", size=2)
    with pytest.raises(UsageError, match="independent features in sets of 2; independent features have size 1"):
        Law(num_features=4, size=2)
