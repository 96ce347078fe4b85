"""Rotary frequencies at real sizes equal the reference implementation's, for every scaling."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from gnomon.models.rotary import Rotary, frequencies
from gnomon.models.transformer import TransformerConfig

_TRAINED = {"original_max_position_embeddings": 8192}
_SCALINGS: list[dict[str, Any]] = [
    {"rope_type": "linear", "factor": 4.0},
    {"rope_type": "dynamic", "factor": 3.0},
    {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, **_TRAINED},
    {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 2.0, "high_freq_factor": 5.0, **_TRAINED},
    {"rope_type": "yarn", "factor": 4.0, **_TRAINED},
    {"rope_type": "yarn", "factor": 16.0, "beta_fast": 24.0, "beta_slow": 2.0, "truncate": False, **_TRAINED},
    {"rope_type": "yarn", "factor": 4.0, "mscale": 1.0, "mscale_all_dim": 0.5, **_TRAINED},
    {"rope_type": "yarn", "factor": 4.0, "attention_factor": 0.9, **_TRAINED},
]


def _config(scaling: dict[str, Any] | None) -> TransformerConfig:
    return TransformerConfig(
        vocab_size=9,
        d_model=256,
        num_layers=1,
        num_heads=2,
        d_mlp=8,
        max_positions=32768,
        rotary_theta=500_000.0,
        rotary_scaling=scaling,
    )


@pytest.mark.parametrize("scaling", _SCALINGS, ids=lambda scaling: "-".join(map(str, scaling.values())))
@pytest.mark.parametrize("length", [4096, 40_000])
def test_frequencies_equal_the_reference(scaling: dict[str, Any], length: int) -> None:
    reference = LlamaConfig(
        hidden_size=256,
        num_attention_heads=2,
        max_position_embeddings=32768,
        rope_parameters={"rope_theta": 500_000.0, **scaling},
    )
    expected, gain = ROPE_INIT_FUNCTIONS[scaling["rope_type"]](reference, "cpu", seq_len=length)
    got, our_gain = frequencies(_config(scaling), length=length)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=0)
    assert our_gain == pytest.approx(gain)


def test_wavelengths_by_their_formula() -> None:
    got, gain = frequencies(_config(None), length=1)
    torch.testing.assert_close(got, torch.tensor([500_000.0 ** (-2 * i / 128) for i in range(64)]))
    assert gain == 1.0


def test_tables_grow_and_agree() -> None:
    rotary, like = Rotary(_config(None)), torch.zeros(1)
    early = rotary.at(3, 4, like)
    assert rotary.at(2047, 3, like).cos.shape == (3, 1, 128)
    late = rotary.at(40_000, 2, like)
    picked = rotary.at_positions(torch.tensor([[40_001, 5]]), like)
    assert torch.equal(picked.cos[0, 0], late.cos[1]) and torch.equal(picked.sin[0, 1], early.sin[2])
    frequencies_F, _ = frequencies(_config(None), length=1)
    torch.testing.assert_close(late.cos[1, 0, :64], torch.cos(40_001 * frequencies_F))
    torch.testing.assert_close(late.sin[1, 0, 64:], torch.sin(40_001 * frequencies_F))


def test_tables_follow_the_dtype() -> None:
    rotary = Rotary(_config(None))
    exact, half = rotary.at(0, 9, torch.zeros(1)), rotary.at(0, 9, torch.zeros(1, dtype=torch.bfloat16))
    assert half.cos.dtype == torch.bfloat16
    assert torch.equal(half.cos, exact.cos.bfloat16())
