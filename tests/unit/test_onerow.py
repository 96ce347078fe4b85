"""The quick way for one row says what the network says, and takes no network that it would get wrong."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch

from gnomon.core.errors import UsageError
from gnomon.models.cache import KVCache
from gnomon.models.draws import Drawing
from gnomon.models.onerow import OneRow
from gnomon.models.transformer import Transformer, TransformerConfig

LLAMA = TransformerConfig(vocab_size=61, d_model=24, num_layers=2, num_heads=4, d_mlp=40, max_positions=128)


def made(**changes: Any) -> Transformer:
    net = Transformer(dataclasses.replace(LLAMA, **changes), generator=torch.Generator().manual_seed(1)).eval()
    with torch.no_grad():
        for weight in net.parameters():
            # Large maps and uneven gains, so that every part shows in the logits.
            weight.mul_(8) if weight.ndim == 2 else weight.copy_(torch.linspace(0.5, 1.5, len(weight)))
    return net


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_kv_heads": 2},
        {"num_kv_heads": 1},
        {"d_head": 10},
        {"tie_embeddings": False},
        {"rotary_scaling": {"rope_type": "linear", "factor": 3.0}},
    ],
)
def test_logits_equal_the_networks(changes: dict[str, Any]) -> None:
    net = made(**changes)
    assert OneRow.fits(net)
    tokens = torch.randint(0, 61, (1, 90), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        whole, cache, lone = net(tokens)[0], KVCache(net.config.num_layers), OneRow(net)
        net(tokens[:, :3], cache=cache)
        for at in range(3, 90):
            torch.testing.assert_close(
                torch.from_numpy(lone.step(int(tokens[0, at]), cache)), whole[at], rtol=0, atol=1e-4
            )
        assert cache.length == 90


def test_a_shared_beginning_stays_as_it_was() -> None:
    net = made()
    with torch.inference_mode():
        header, lone = KVCache(2), OneRow(net)
        net(torch.arange(9)[None], cache=header)
        first = [lone.step(token, cache) for cache in [header.prefix(9)] for token in (3, 4, 5)]
        again = [lone.step(token, cache) for cache in [header.prefix(9)] for token in (3, 4, 5)]
    assert header.length == 9
    assert all((a == b).all() for a, b in zip(first, again, strict=True))


def test_weights_changed_in_place_are_seen() -> None:
    net = made()
    with torch.inference_mode():
        caches, lone = [KVCache(2), KVCache(2)], OneRow(net)
        for cache in caches:
            net(torch.arange(5)[None], cache=cache)
        net.blocks[1].mlp.down.weight.mul_(0.5)
        expected = net(torch.tensor([[7]]), cache=caches[0])[0]
        torch.testing.assert_close(torch.from_numpy(lone.step(7, caches[1])), expected[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"norm": "layernorm"},
        {"mlp": "gelu"},
        {"mlp": "none"},
        {"mlp_bias": True},
        {"positions": "learned"},
        {"rotary_fraction": 0.5, "d_head": 8},
        {"qkv_bias": True},
        {"out_bias": True},
        {"qk_norm": True},
        {"smear_keys": True},
        {"window": 8},
        {"parallel_block": True},
        {"d_model": 260},
    ],
)
def test_other_shapes_do_not_fit(changes: dict[str, Any]) -> None:
    assert not OneRow.fits(Transformer(dataclasses.replace(LLAMA, **changes)))


def test_other_numbers_and_other_networks_do_not_fit() -> None:
    assert not OneRow.fits(made().to(torch.bfloat16))
    assert not OneRow.fits(torch.nn.Linear(2, 2))


def test_an_empty_cache_has_no_slots() -> None:
    with pytest.raises(UsageError, match="an empty cache has no slots"):
        KVCache(2).slots(1)


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.0, 1.0), (0.7, 1.0), (2.0, 1.0), (1.3, 0.6)])
def test_one_row_draws_as_a_batch_of_one_does(temperature: float, top_p: float) -> None:
    rng = np.random.default_rng(3)
    drawing = Drawing([temperature], [top_p], torch.device("cpu"))
    for _ in range(200):
        logits_V, uniform = rng.normal(scale=3, size=40).astype(np.float32), float(rng.random())
        drawn = drawing.draw(torch.from_numpy(logits_V)[None], torch.tensor([uniform], dtype=torch.float64))
        token, logprob = drawing.draw_one(logits_V, uniform)
        assert token == int(drawn.token_N)
        assert logprob == pytest.approx(float(drawn.logprob_N), abs=1e-5)


@pytest.mark.parametrize("temperature", [5e-324, 1e-40, 1e-31, 1e-29, 1e-20])
def test_a_temperature_next_to_zero_draws_the_most_probable(temperature: float) -> None:
    logits_V = np.array([-3.0, 8.0, -90.0, 7.9], dtype=np.float32)
    number = torch.tensor([0.999], dtype=torch.float64)
    for others in ([], [1.0]):
        rows = 1 + len(others)
        drawing = Drawing([temperature, *others], [1.0] * rows, torch.device("cpu"))
        drawn = drawing.draw(torch.from_numpy(logits_V)[None].repeat(rows, 1), number.repeat(rows))
        assert int(drawn.token_N[0]) == 1
    assert Drawing([temperature], [1.0], torch.device("cpu")).draw_one(logits_V, 0.999)[0] == 1


def test_a_number_next_to_one_draws_a_token() -> None:
    drawing = Drawing([1.0], [1.0], torch.device("cpu"))
    assert drawing.draw_one(np.zeros(3, dtype=np.float32), math.nextafter(1.0, 0.0))[0] == 2
