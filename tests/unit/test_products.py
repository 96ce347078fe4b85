"""Products with weights are the same by either library, and gradients and autocast have what torch does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gnomon.learn.lora import add_low_rank
from gnomon.models import products
from gnomon.models.products import Gelu, Map, product
from gnomon.models.transformer import Transformer, TransformerConfig

SIZES: dict[str, Any] = {"vocab_size": 40, "d_model": 32, "num_layers": 2, "num_heads": 4, "d_mlp": 48}
SHAPES: dict[str, dict[str, Any]] = {
    "llama": {"mlp": "swiglu", "num_kv_heads": 2, "positions": "rotary"},
    "gpt2": {"mlp": "gelu_tanh", "norm": "layernorm", "mlp_bias": True, "qkv_bias": True, "out_bias": True},
    "neox": {"mlp": "gelu", "norm": "layernorm", "parallel_block": True, "positions": "rotary"},
    "attention": {"mlp": "none", "positions": "shortformer", "tie_embeddings": False},
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of the inputs that oneDNN is asked for, however small."""
    seen: list[tuple[int, ...]] = []
    asked = products._by_onednn

    def noted(x_ND: Tensor, *how: Any) -> Tensor:
        seen.append(tuple(x_ND.shape))
        return asked(x_ND, *how)

    monkeypatch.setattr(products, "_LEAST", 0)
    monkeypatch.setattr(products, "_by_onednn", noted)
    return seen


@pytest.mark.parametrize("gelu", [None, "none", "tanh"])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("shape", [(1,), (7,), (2, 5), (2, 3, 4)])
def test_either_library_gives_the_product(
    shape: tuple[int, ...], biased: bool, gelu: Gelu | None, calls: list[tuple[int, ...]]
) -> None:
    draw = torch.Generator().manual_seed(0)
    x, weight = torch.randn(*shape, 24, generator=draw), torch.randn(9, 24, generator=draw)
    bias = torch.randn(9, generator=draw) if biased else None
    exact = F.linear(x.double(), weight.double(), None if bias is None else bias.double())
    exact = exact if gelu is None else F.gelu(exact, approximate=gelu)
    assert torch.allclose(product(x, weight, bias, gelu).double(), exact, atol=1e-5)
    turned = weight.T.contiguous().T
    assert torch.allclose(product(x, turned, bias, gelu).double(), exact, atol=1e-5)
    assert calls == [(*shape, 24)]  # columns that lie apart are torch's own


@torch.no_grad()
@pytest.mark.parametrize("shape", list(SHAPES))
def test_a_model_says_the_same_by_either(
    shape: str, calls: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    net = Transformer(TransformerConfig(**SIZES | SHAPES[shape]), generator=torch.Generator().manual_seed(0))
    tokens_BT = torch.randint(40, (2, 9), generator=torch.Generator().manual_seed(1))
    found = net(tokens_BT)
    assert calls
    monkeypatch.setattr(products, "_LEAST", 1 << 60)
    assert torch.allclose(found, net(tokens_BT), atol=1e-5)


@torch.no_grad()
def test_a_low_rank_update_is_not_lost_behind_gelu(
    calls: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    net = Transformer(TransformerConfig(**SIZES | SHAPES["gpt2"]), generator=torch.Generator().manual_seed(0))
    add_low_rank(net, 2)
    for name, parameter in net.named_parameters():
        if name.endswith("mlp.up.up"):
            parameter.normal_(generator=torch.Generator().manual_seed(2))
    tokens_BT = torch.arange(9)[None]
    found = net(tokens_BT)
    assert calls
    monkeypatch.setattr(products, "_LEAST", 1 << 60)
    assert torch.allclose(found, net(tokens_BT), atol=1e-5)


def test_where_a_gradient_is_wanted_there_is_one(calls: list[tuple[int, ...]]) -> None:
    of, x = Map(6, 4), torch.randn(3, 6)
    of(x, "tanh").sum().backward()
    assert not calls and of.weight.grad is not None and bool(of.weight.grad.any())
    of.requires_grad_(False)
    of(x)
    assert calls == [(3, 6)]


def test_under_autocast_the_product_has_fewer_bits(calls: list[tuple[int, ...]]) -> None:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert Map(6, 4)(torch.randn(3, 6)).dtype == torch.bfloat16
    assert not calls


def test_small_products_are_torchs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_by_onednn", lambda *_: pytest.fail("a product of 72 numbers"))
    assert product(torch.randn(3, 6), torch.randn(4, 6)).shape == (3, 4)
