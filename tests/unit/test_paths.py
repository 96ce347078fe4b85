"""Paths through heads: they sum to the model, and leaving those of a head out is leaving the head out."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor

from gnomon.core.errors import UsageError
from gnomon.models.ablation import ablated_losses
from gnomon.models.hooks import Plan, keep
from gnomon.models.norms import bias_of, normed_at, scale_of
from gnomon.models.paths import order_losses, pathless_losses, terms
from gnomon.models.tails import token_losses
from gnomon.models.transformer import Block, Transformer, TransformerConfig
from tests.unit._wired import wired

SHAPES: dict[str, dict[str, Any]] = {
    "toy": {"positions": "shortformer", "smear_keys": True},
    "biased": {"positions": "learned", "norm": "layernorm", "qkv_bias": True, "out_bias": True},
    "grouped": {"positions": "rotary", "num_kv_heads": 2, "norm": "layernorm", "tie_embeddings": False},
}


def drawn(kind: str) -> Transformer:
    shape = TransformerConfig(vocab_size=50, d_model=16, num_layers=3, num_heads=4, mlp="none", **SHAPES[kind])
    net = Transformer(shape).requires_grad_(False).eval()
    rng = torch.Generator().manual_seed(4)
    for parameter in net.parameters():
        parameter.add_(0.3 * torch.randn(parameter.shape, generator=rng))
    return net


def tokens() -> Tensor:
    return torch.randint(50, (2, 9), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("kind", SHAPES)
def test_terms_sum_to_the_logits(kind: str) -> None:
    net, tokens_BT = drawn(kind), tokens()
    found = terms(net, tokens_BT)
    assert found.shape == (4, 2, 9, 16)
    torch.testing.assert_close(found.sum(0) @ net.w_u.T, net(tokens_BT), atol=1e-5, rtol=0)
    assert all(float(term.abs().max()) > 0.01 for term in found)
    losses = order_losses(net, tokens_BT)
    torch.testing.assert_close(losses[-1], token_losses(net(tokens_BT), tokens_BT), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", SHAPES)
def test_leaving_a_head_out_is_leaving_its_paths_out(kind: str) -> None:
    """Oracle: a forward in which the head adds nothing, and patterns and norms' scales are as they were."""
    net, tokens_BT = drawn(kind), tokens()
    found = pathless_losses(net, tokens_BT)
    torch.testing.assert_close(found.whole_BT, token_losses(net(tokens_BT), tokens_BT))
    for layer in range(3):
        for head in range(4):
            slow = token_losses(without(net, tokens_BT, layer, head), tokens_BT)
            torch.testing.assert_close(found.without_LHBT[layer, head], slow, atol=1e-5, rtol=0)
    assert (found.without_LHBT - found.whole_BT).abs().max() > 0.01
    some = pathless_losses(net, tokens_BT, at=[1, 5])
    torch.testing.assert_close(some.without_LHBT, found.without_LHBT[..., [1, 5]], atol=1e-5, rtol=0)


def without(net: Transformer, tokens_BT: Tensor, layer: int, head: int) -> Tensor:
    """Logits of a forward in which the head adds nothing, patterns and norms' scales as in the whole run."""
    names = [f"{i}.{site}" for i in range(3) for site in ("pattern", "resid_pre", "resid_post")]
    whole = Plan(read=dict.fromkeys(names, keep))
    net(tokens_BT, plan=whole)
    seen: dict[str, Tensor] = {}
    write: dict[str, Any] = {}

    def stash(x: Tensor) -> Tensor:
        seen["x"] = x
        return x

    def gone(x_BTHD: Tensor) -> Tensor:
        kept = x_BTHD.clone()
        kept[:, :, head] = 0
        return kept

    for i in range(3):
        norm = cast(Block, net.blocks[i]).ln1
        scale = scale_of(norm, whole.results[f"{i}.resid_pre"])
        write[f"{i}.resid_pre"] = write["2.resid_post"] = stash
        write[f"{i}.ln1"] = lambda _, norm=norm, scale=scale: normed_at(norm, seen["x"], scale) + bias_of(norm)
        write[f"{i}.pattern"] = lambda _, i=i: whole.results[f"{i}.pattern"]
    last = scale_of(net.ln_f, whole.results["2.resid_post"])
    write["ln_f"] = lambda _: normed_at(net.ln_f, seen["x"], last) + bias_of(net.ln_f)
    write[f"{layer}.result"] = gone
    return cast(Tensor, net(tokens_BT, plan=Plan(write=write)))


def test_without_norms_the_ablation_that_keeps_patterns_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    net, tokens_BT = drawn("toy"), tokens()
    for norm in (net.ln_f, *(cast(Block, block).ln1 for block in net.blocks)):
        monkeypatch.setattr(norm, "forward", lambda x, norm=norm: x * norm.weight)
    monkeypatch.setattr("gnomon.models.paths.scale_of", lambda norm, x: torch.ones_like(x[..., :1]))
    frozen = ablated_losses(net, tokens_BT, "frozen")
    found = pathless_losses(net, tokens_BT)
    torch.testing.assert_close(found.without_LHBT, frozen.without_LHBT, atol=1e-5, rtol=0)


def test_the_circuit_set_by_hand_is_of_order_two_in_patterns_and_of_order_one_in_values() -> None:
    """Its second head moves what it reads straight from the embedding; the first only tells it where to look."""
    block = torch.arange(1, 21)
    losses = order_losses(wired(), torch.cat((block, block))[None])[:, 0, 21:].mean(-1)
    assert losses[0] > 2 and losses[1] < 0.1
    assert losses[2] == pytest.approx(float(losses[1]), abs=1e-4)


def test_a_model_with_mlps_is_refused() -> None:
    net = Transformer(TransformerConfig(vocab_size=9, d_model=8, num_layers=1, num_heads=2, d_mlp=8))
    with pytest.raises(UsageError, match=r"the model has MLPs \(swiglu\), so its logits are no sum over paths"):
        terms(net, torch.zeros(1, 3, dtype=torch.long))
