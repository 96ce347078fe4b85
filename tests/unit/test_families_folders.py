"""Folders as they are found in the world: old keys, shards, missing prefixes, and every way to be broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers as tk
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from gnomon.core.errors import ModelError
from gnomon.models import families
from gnomon.models.families import load_folder, read_config, save_folder, supported
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Transformer, TransformerConfig

_SIZES: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
_TOKENS = torch.randint(0, 99, (2, 20), generator=torch.Generator().manual_seed(0))
_TOY = TransformerConfig(
    vocab_size=30,
    d_model=16,
    num_layers=2,
    num_heads=2,
    max_positions=12,
    positions="shortformer",
    mlp="none",
    smear_keys=True,
    tie_embeddings=False,
    family="gnomon-attn",
)


def _store(config: Any, folder: Path, **how: Any) -> Any:
    torch.manual_seed(0)
    model = hf.AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    model.save_pretrained(folder, **how)
    return model


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    """A folder with a small Llama."""
    _store(hf.LlamaConfig(**_SIZES, tie_word_embeddings=True), tmp_path)
    return tmp_path


def _edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))


def _edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_keys_of_older_releases(tmp_path: Path) -> None:
    scaling = {"type": "linear", "factor": 2.0}
    reference = _store(hf.LlamaConfig(**_SIZES, rope_theta=5000.0, rope_scaling=scaling), tmp_path / "llama")
    old = {"rope_theta": 5000.0, "rope_scaling": scaling, "rope_parameters": None}
    _edit(tmp_path / "llama" / "config.json", lambda found: found.update(old))
    torch.testing.assert_close(load_folder(tmp_path / "llama")(_TOKENS), reference(_TOKENS).logits, atol=1e-4, rtol=0)
    windowed = hf.Qwen2Config(
        **_SIZES, num_key_value_heads=4, use_sliding_window=True, sliding_window=4, max_window_layers=1
    )
    reference = _store(windowed, tmp_path / "qwen")
    _edit(tmp_path / "qwen" / "config.json", lambda found: found.pop("layer_types"))
    torch.testing.assert_close(load_folder(tmp_path / "qwen")(_TOKENS), reference(_TOKENS).logits, atol=1e-4, rtol=0)
    reference = _store(hf.GPTNeoXConfig(**_SIZES, rotary_pct=0.5, rotary_emb_base=500), tmp_path / "neox")
    old = {"rotary_pct": 0.5, "rotary_emb_base": 500, "rope_parameters": None}
    _edit(tmp_path / "neox" / "config.json", lambda found: found.update(old))
    torch.testing.assert_close(load_folder(tmp_path / "neox")(_TOKENS), reference(_TOKENS).logits, atol=1e-4, rtol=0)
    _edit(tmp_path / "neox" / "config.json", lambda found: found.pop("rotary_pct"))
    assert read_config(tmp_path / "neox").rotary_fraction == 0.25


def test_shards(tmp_path: Path) -> None:
    reference = _store(hf.Qwen2Config(**_SIZES, num_key_value_heads=4), tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    torch.testing.assert_close(load_folder(tmp_path)(_TOKENS), reference(_TOKENS).logits, atol=1e-4, rtol=0)
    lost = sorted(tmp_path.glob("*.safetensors"))[1]
    lost.unlink()
    with pytest.raises(ModelError, match=f"{lost.name}: the file is missing"):
        load_folder(tmp_path)


def test_saving_over_shards_leaves_no_trace_of_them(tmp_path: Path) -> None:
    _store(hf.LlamaConfig(**_SIZES), tmp_path, max_shard_size="20KB")
    model = load_folder(tmp_path)
    with torch.no_grad():
        model.embed.weight.add_(1.0)
    save_folder(model, tmp_path)
    assert torch.equal(load_folder(tmp_path).embed.weight, model.embed.weight)


def test_base_model_names_and_stored_masks(tmp_path: Path) -> None:
    reference = _store(hf.GPT2Config(vocab_size=99, n_embd=32, n_layer=2, n_head=4, n_positions=64), tmp_path)

    def strip(weights: dict[str, torch.Tensor]) -> None:
        for name in list(weights):
            weights[name.removeprefix("transformer.")] = weights.pop(name)
        weights["h.0.attn.bias"] = torch.ones(1, 1, 64, 64)
        weights["h.0.attn.masked_bias"] = torch.tensor(-1e4)
        weights["lm_head.weight"] = weights["wte.weight"].clone()

    _edit_weights(tmp_path, strip)
    torch.testing.assert_close(load_folder(tmp_path)(_TOKENS), reference(_TOKENS).logits, atol=1e-4, rtol=0)


def test_own_family_travels(tmp_path: Path) -> None:
    torch.manual_seed(0)
    for number, config in enumerate(
        (_TOY, TransformerConfig(**vars(_TOY) | {"mlp": "gelu", "d_mlp": 20, "window": 4}))
    ):
        model = Transformer(config)
        save_folder(model, tmp_path / str(number))
        again = load_folder(tmp_path / str(number))
        assert again.config == config
        assert torch.equal(again(_TOKENS[:, :12] % 30), model(_TOKENS[:, :12] % 30))


def test_half_precision(llama: Path, tmp_path: Path) -> None:
    exact = load_folder(llama)
    save_folder(exact, tmp_path / "half", dtype=torch.bfloat16)
    assert load_file(tmp_path / "half" / "model.safetensors")["model.norm.weight"].dtype == torch.bfloat16
    half = load_folder(tmp_path / "half", dtype=torch.bfloat16)
    got, expected = half(_TOKENS).float().log_softmax(-1), exact(_TOKENS).log_softmax(-1)
    assert F.kl_div(got, expected, log_target=True, reduction="none").sum(-1).max() < 1e-3
    stored = json.loads((tmp_path / "half" / "config.json").read_text())
    assert stored["torch_dtype"] == "bfloat16"
    assert hf.AutoModelForCausalLM.from_pretrained(tmp_path / "half", dtype="auto").dtype == torch.bfloat16


def test_a_save_that_fails_leaves_the_old_folder(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, before = load_folder(llama), {path.name: path.read_bytes() for path in llama.iterdir()}

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(families, "save_file", fail)
    for folder in (llama, llama / "inner" / "fresh"):
        with pytest.raises(OSError, match="no space left"):
            save_folder(model, folder)
    assert not list((llama / "inner").iterdir())
    (llama / "inner").rmdir()
    assert {path.name: path.read_bytes() for path in llama.iterdir()} == before


def test_saving_keeps_other_files_and_writes_the_tokenizer(llama: Path) -> None:
    (llama / "notes.txt").write_text("mine")
    tokenizer = Tokenizer(tk.Tokenizer(tk.models.WordLevel({"a": 0})), special={"eos_token": "a"})
    save_folder(load_folder(llama), llama, tokenizer=tokenizer)
    assert (llama / "notes.txt").read_text() == "mine"
    assert Tokenizer.load(llama).encode("a") == [0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "mixtral"}, "architecture 'mixtral' is not one of ours; did you mean 'mistral'?"),
        ({"hidden_act": "relu"}, "hidden_act = 'relu' is not supported"),
        ({"hidden_size": None}, "'hidden_size' is missing"),
        (
            {"rope_parameters": {"rope_type": "longrope"}},
            "rope_scaling: rope_type 'longrope' is not supported; known: default, dynamic, linear, llama3, yarn",
        ),
        (
            {"rope_parameters": {"full_attention": {"rope_type": "default"}}},
            "rotary settings that differ between layers are not supported",
        ),
        ({"quantization_config": {"bits": 4}}, "quantization_config = {'bits': 4} is not supported"),
    ],
)
def test_unsupported_configs(llama: Path, change: dict[str, Any], message: str) -> None:
    assert supported(json.loads((llama / "config.json").read_text()))
    _edit(llama / "config.json", lambda found: found.update(change))
    assert not supported(json.loads((llama / "config.json").read_text()))
    with pytest.raises(ModelError) as error:
        load_folder(llama)
    assert str(error.value) == (f"{llama}/config.json: {message}")


def test_gpt2_variants_that_are_computed_differently() -> None:
    sizes = {"model_type": "gpt2", "vocab_size": 9, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 4}
    assert supported(sizes)
    for change in (
        {"scale_attn_by_inverse_layer_idx": True},
        {"scale_attn_weights": False},
        {"activation_function": "relu"},
    ):
        assert not supported(sizes | change)


def test_broken_folders(llama: Path) -> None:
    with pytest.raises(ModelError, match=r"none: there is no such folder"):
        load_folder(llama / "none")
    (llama / "empty").mkdir()
    with pytest.raises(ModelError, match=r"empty/config\.json: the file is missing"):
        load_folder(llama / "empty")
    (llama / "empty" / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"empty/config\.json: not valid JSON"):
        load_folder(llama / "empty")
    (llama / "empty" / "config.json").write_text((llama / "config.json").read_text())
    with pytest.raises(ModelError, match=r"empty/model\.safetensors: the file is missing; weights must be safetensors"):
        load_folder(llama / "empty")
    for size in (4, 500, -100):
        (llama / "empty" / "model.safetensors").write_bytes((llama / "model.safetensors").read_bytes()[:size])
        with pytest.raises(ModelError, match=r"empty/model\.safetensors: damaged or cut short"):
            load_folder(llama / "empty")


def test_tensors_that_do_not_fit(llama: Path) -> None:
    name = "model.layers.1.self_attn.k_proj.weight"
    _edit_weights(llama, lambda weights: weights.update({"score.weight": torch.ones(2), "extra": torch.ones(1)}))
    with pytest.raises(ModelError, match=r"tensors that a llama model does not have: extra, score\.weight"):
        load_folder(llama)
    _edit_weights(llama, lambda weights: weights.update({name: torch.ones(16, 32)}))
    with pytest.raises(ModelError) as error:
        load_folder(llama)
    file = llama / "model.safetensors"
    assert str(error.value) == f"{file}: tensor {name!r} has shape (16, 32), and config.json implies (32, 32)"
    _edit_weights(llama, lambda weights: weights.pop(name))
    with pytest.raises(ModelError, match=f"tensor '{name}' is missing; is the download complete"):
        load_folder(llama)


def test_a_format_that_cannot_say_it(tmp_path: Path) -> None:
    config = TransformerConfig(**vars(_TOY) | {"family": "llama", "mlp": "swiglu", "d_mlp": 8})
    with pytest.raises(ModelError) as error:
        save_folder(Transformer(config), tmp_path / "x")
    assert str(error.value) == (
        "the format of family 'llama' cannot hold positions='shortformer', smear_keys=True; use family 'gnomon-attn'"
    )


def test_token_ids_travel(tmp_path: Path) -> None:
    for ends in ((), (2,), (2, 5)):
        config = TransformerConfig(vocab_size=9, d_model=8, num_layers=1, num_heads=2, d_mlp=8, eos_token_ids=ends)
        save_folder(Transformer(config), tmp_path)
        assert read_config(tmp_path).eos_token_ids == ends
        expected = {0: None, 1: 2, 2: [2, 5]}[len(ends)]
        assert hf.AutoConfig.from_pretrained(tmp_path).eos_token_id == expected
