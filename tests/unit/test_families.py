"""Logits equal the reference implementation's, and folders travel both ways."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

from gnomon.models.families import load_folder, save_folder
from gnomon.models.transformer import KVCache, Transformer

warnings.filterwarnings("ignore")

_SIZES: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
_GROUPED = _SIZES | {"num_key_value_heads": 2}
_LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
_YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
_CASES: dict[str, Any] = {
    "gpt2": lambda: hf.GPT2Config(vocab_size=99, n_embd=32, n_layer=3, n_head=4, n_positions=64),
    "gpt2-erf-untied": lambda: hf.GPT2Config(
        vocab_size=99,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=64,
        n_inner=40,
        activation_function="gelu",
        tie_word_embeddings=False,
    ),
    "neox": lambda: hf.GPTNeoXConfig(**_SIZES),
    "neox-serial": lambda: hf.GPTNeoXConfig(
        **_SIZES, use_parallel_residual=False, attention_bias=False, tie_word_embeddings=True
    ),
    "llama": lambda: hf.LlamaConfig(**_SIZES, rope_theta=500_000.0),
    "llama-grouped-tied": lambda: hf.LlamaConfig(**_GROUPED, tie_word_embeddings=True),
    "llama-biased": lambda: hf.LlamaConfig(**_GROUPED, attention_bias=True, mlp_bias=True, head_dim=16),
    "llama-linear": lambda: hf.LlamaConfig(**_GROUPED, rope_scaling={"rope_type": "linear", "factor": 4.0}),
    "llama-dynamic": lambda: hf.LlamaConfig(
        **_GROUPED | {"max_position_embeddings": 16}, rope_scaling={"rope_type": "dynamic", "factor": 2.0}
    ),
    "llama-llama3": lambda: hf.LlamaConfig(**_GROUPED, rope_scaling=_LLAMA3),
    "llama-yarn": lambda: hf.LlamaConfig(**_GROUPED, rope_scaling=_YARN),
    "mistral": lambda: hf.MistralConfig(**_GROUPED, sliding_window=None),
    "mistral-window": lambda: hf.MistralConfig(**_GROUPED, sliding_window=7),
    "qwen2": lambda: hf.Qwen2Config(**_GROUPED),
    "qwen2-window": lambda: hf.Qwen2Config(
        **_GROUPED, use_sliding_window=True, sliding_window=6, max_window_layers=1, tie_word_embeddings=True
    ),
    "qwen3": lambda: hf.Qwen3Config(**_GROUPED, head_dim=24),
    "qwen3-biased": lambda: hf.Qwen3Config(**_GROUPED, head_dim=8, attention_bias=True, rope_theta=1e6),
}


def _reference(case: str) -> Any:
    torch.manual_seed(len(case))
    model = hf.AutoModelForCausalLM.from_config(_CASES[case]()).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # norms and biases as drawn would be ones and zeros, and hide a mix-up
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture(params=_CASES)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, Transformer, Path]:
    """A reference model, ours loaded from its folder, and that folder."""
    reference = _reference(request.param)
    reference.save_pretrained(tmp_path / "reference")
    return reference, load_folder(tmp_path / "reference"), tmp_path


def _tokens(rows: int, count: int) -> torch.Tensor:
    return torch.randint(0, 99, (rows, count), generator=torch.Generator().manual_seed(count))


@torch.no_grad()
def test_logits_equal_the_reference(pair: tuple[Any, Transformer, Path]) -> None:
    reference, ours, _ = pair
    tokens = _tokens(3, 40)
    torch.testing.assert_close(ours(tokens), reference(tokens).logits, atol=1e-4, rtol=0)


@torch.no_grad()
def test_left_padded_logits_equal_the_reference(pair: tuple[Any, Transformer, Path]) -> None:
    reference, ours, _ = pair
    tokens, pads = _tokens(3, 14), torch.tensor([0, 5, 9])
    seen = torch.arange(14) >= pads[:, None]
    positions = (seen.cumsum(1) - 1).clamp(min=0)
    mask = seen[:, None, None, :] & torch.ones(14, 14, dtype=torch.bool).tril()
    expected = reference(tokens, attention_mask=seen.long(), position_ids=positions).logits
    got = ours(tokens, positions_BT=positions, mask=mask)
    torch.testing.assert_close(got[seen], expected[seen], atol=1e-4, rtol=0)
    assert got.isfinite().all()


@torch.no_grad()
def test_saved_folders_load_in_transformers(pair: tuple[Any, Transformer, Path]) -> None:
    reference, ours, folder = pair
    save_folder(ours, folder / "ours")
    back = hf.AutoModelForCausalLM.from_pretrained(folder / "ours").eval()
    tokens = _tokens(2, 15)
    torch.testing.assert_close(back(tokens).logits, reference(tokens).logits, atol=1e-5, rtol=0)
    again = load_folder(folder / "ours")
    assert again.config == ours.config
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), again.parameters(), strict=True))


@torch.no_grad()
def test_cached_decoding_equals_one_forward(pair: tuple[Any, Transformer, Path]) -> None:
    _, ours, _ = pair
    # Within 16 tokens, since dynamic scaling turns a longer text's key by the length at which it was read.
    tokens, cache = _tokens(2, 16), KVCache(ours.config.num_layers)
    cuts = [0, 6, 7, 8, 12, 16]
    parts = [ours(tokens[:, a:b], cache=cache) for a, b in itertools.pairwise(cuts)]
    torch.testing.assert_close(torch.cat(parts, 1), ours(tokens), atol=1e-5, rtol=0)
