"""Shares in a logit: they sum to it in every family, and each is what taking the part away takes from it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gnomon.models.attribution import attribution
from gnomon.models.hooks import Plan, keep
from gnomon.models.tails import token_losses
from gnomon.models.transformer import Transformer, TransformerConfig
from tests.unit._wired import wired

_BIASED = {"qkv_bias": True, "out_bias": True, "mlp_bias": True, "norm": "layernorm", "d_mlp": 24}
FAMILIES: dict[str, dict[str, Any]] = {
    "gpt2": {**_BIASED, "positions": "learned", "mlp": "gelu_tanh"},
    "gpt_neox": {**_BIASED, "mlp": "gelu", "parallel_block": True, "rotary_fraction": 0.5, "tie_embeddings": False},
    "llama": {"num_kv_heads": 2, "d_mlp": 24},
    "mistral": {"num_kv_heads": 2, "d_mlp": 24, "window": 5, "tie_embeddings": False},
    "qwen2": {"num_kv_heads": 2, "d_mlp": 24, "qkv_bias": True},
    "qwen3": {"num_kv_heads": 1, "d_mlp": 24, "qk_norm": True, "d_head": 6},
    "gnomon-attn": {"mlp": "none", "positions": "shortformer", "smear_keys": True, "norm": "layernorm"},
}


def drawn(family: str) -> Transformer:
    shape = TransformerConfig(vocab_size=60, d_model=16, num_layers=3, num_heads=4, family=family, **FAMILIES[family])
    net = Transformer(shape).requires_grad_(False).eval()
    rng = torch.Generator().manual_seed(3)
    for parameter in net.parameters():
        parameter.add_(0.3 * torch.randn(parameter.shape, generator=rng))
    return net


def tokens(rows: int = 2, count: int = 11) -> Tensor:
    return torch.randint(60, (rows, count), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("family", FAMILIES)
def test_shares_sum_to_the_logit(family: str) -> None:
    net, tokens_BT = drawn(family), tokens()
    found = attribution(net, tokens_BT)
    logits = net(tokens_BT)[:, :-1]
    true = logits.gather(-1, tokens_BT[:, 1:, None])[..., 0] - logits.mean(-1)
    torch.testing.assert_close(found.logit_BT, true, atol=1e-4, rtol=0)
    assert found.logit_BT.abs().max() > 1
    torch.testing.assert_close(found.loss_BT, token_losses(net(tokens_BT), tokens_BT))
    assert found.heads_LHBT.shape == (3, 4, 2, 10)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_share_is_what_goes_with_the_part(family: str) -> None:
    net, tokens_BT = drawn(family), tokens()
    found = attribution(net, tokens_BT, words=4)
    plan = Plan(read={"2.resid_post": keep, "2.result": keep})
    net(tokens_BT, plan=plan)
    whole, head = plan.results["2.resid_post"], plan.results["2.result"][:, :, 1]
    frozen = _frozen_norm(net, whole)
    lost = (frozen(whole) - frozen(whole - head)) @ net.w_u.T
    lost = lost - lost.mean(-1, keepdim=True)
    own = lost[:, :-1].gather(-1, tokens_BT[:, 1:, None])[..., 0]
    torch.testing.assert_close(found.heads_LHBT[2, 1], own, atol=1e-4, rtol=0)
    assert torch.equal(found.words_LHBTW[2, 1], lost[:, :-1].topk(4).indices)


def _frozen_norm(net: Transformer, whole: Tensor) -> Any:
    """The final norm with the scale that it has on `whole`."""
    norm: Any = net.ln_f
    centred = whole - whole.mean(-1, keepdim=True) if net.config.norm == "layernorm" else whole
    scale = (centred.square().mean(-1, keepdim=True) + net.config.norm_eps).sqrt()

    def at(x: Tensor) -> Tensor:
        x = x - x.mean(-1, keepdim=True) if net.config.norm == "layernorm" else x
        return x / scale * norm.weight + (norm.bias if net.config.norm == "layernorm" else 0)

    return at


def test_in_the_circuit_set_by_hand_the_repeated_token_is_the_work_of_one_head() -> None:
    block = torch.arange(1, 21)
    found = attribution(wired(), torch.cat((block, block))[None], words=1)
    # The first token of all is its own neighbour, so the second copy begins in doubt.
    repeated = found.heads_LHBT[:, :, 0, 21:]
    assert (repeated[1, 0] > 0.95 * found.logit_BT[0, 21:]).all()
    assert torch.equal(found.words_LHBTW[1, 0, 0, 21:, 0], block[2:])
