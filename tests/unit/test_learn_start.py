"""Weights at the start: keys are queries, so a token's first interest is in tokens like itself."""

from __future__ import annotations

import pytest
import torch

from gnomon.core.errors import UsageError
from gnomon.learn.start import match_at_start
from gnomon.models.transformer import Transformer, TransformerConfig

SHAPE = TransformerConfig(vocab_size=60, d_model=64, num_layers=3, num_heads=2, d_mlp=96)


def started(seed: int = 0) -> Transformer:
    model = Transformer(SHAPE, generator=torch.Generator().manual_seed(9))
    match_at_start(model, torch.Generator().manual_seed(seed))
    return model


def weight(model: Transformer, name: str, layer: int = 0) -> torch.Tensor:
    return model.get_parameter(f"blocks.{layer}.{name}.weight").detach()


def rms(x_BTD: torch.Tensor) -> torch.Tensor:
    return x_BTD / x_BTD.square().mean(-1, keepdim=True).sqrt()


@torch.no_grad()
def interest_in_the_like(model: Transformer) -> float:
    """The first layer's mean attention, from a word said again, to where it was said before; 20 others in between."""
    tokens = torch.stack([torch.randperm(60)[:21] for _ in range(50)])
    tokens_BT = torch.cat((tokens, tokens[:, :1]), 1)
    queries, keys, _ = (rms(model.embed(tokens_BT)) @ weight(model, "attn.qkv").T).chunk(3, -1)
    q_BHD, k_BTHD = queries[:, -1].view(50, 2, 32), keys.view(50, 22, 2, 32)
    pattern_BHT = torch.softmax(torch.einsum("bhd,bthd->bht", q_BHD, k_BTHD[:, :-1]) / 32**0.5, -1)
    return float(pattern_BHT[:, :, 0].mean())


def test_a_word_attends_to_itself_said_before() -> None:
    torch.manual_seed(0)
    assert interest_in_the_like(started()) > 0.5
    assert interest_in_the_like(Transformer(SHAPE, generator=torch.Generator().manual_seed(9))) < 0.1


def test_matrices_have_the_deviations_that_are_promised_and_gains_stay() -> None:
    model = started()
    for layer in range(3):
        queries, keys, values = weight(model, "attn.qkv", layer).chunk(3)
        assert torch.equal(queries, keys) and not torch.equal(keys, values)
        assert float(values.std()) == pytest.approx(64**-0.5, rel=0.05)
        assert float(weight(model, "attn.out", layer).std()) == pytest.approx(64**-0.5 / 6**0.5, rel=0.05)
        assert float(weight(model, "mlp.down", layer).std()) == pytest.approx(96**-0.5 / 6**0.5, rel=0.05)
        assert torch.equal(weight(model, "ln1", layer), torch.ones(64))
    assert float(model.embed.weight.detach().std()) == pytest.approx(64**-0.5, rel=0.05)


def test_a_seed_says_which_weights() -> None:
    first, again, other = (weight(started(seed), "mlp.up", 1) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_shared_keys_are_refused() -> None:
    shared = TransformerConfig(vocab_size=9, d_model=16, num_layers=1, num_heads=2, num_kv_heads=1, d_mlp=8)
    with pytest.raises(UsageError, match="keys shared between heads cannot start as the queries"):
        match_at_start(Transformer(shared))
