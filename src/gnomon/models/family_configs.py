"""Hugging Face `config.json` to `TransformerConfig` and back, one pair of functions a family.

A setting that the decoder does not compute is refused by name, never ignored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from gnomon.core.errors import ModelError, closest
from gnomon.models.rotary import frequencies
from gnomon.models.transformer_config import TransformerConfig

__all__ = ["FAMILIES", "config_from_json", "config_to_json"]

_ARCHITECTURES = {
    "gnomon-attn": "GnomonAttn",
    "gpt2": "GPT2LMHeadModel",
    "gpt_neox": "GPTNeoXForCausalLM",
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
FAMILIES = tuple(_ARCHITECTURES)
_GELUS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh"}
_MUST_BE = {
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
    "quantization_config": None,
}


def config_from_json(found: Mapping[str, Any]) -> TransformerConfig:
    """The decoder's shape from a parsed `config.json`.

    Raises:
        ModelError: an unknown architecture, a missing key, or a setting the decoder does not compute.
    """
    family = str(found.get("model_type"))
    if family not in _ARCHITECTURES:
        raise ModelError(
            f"architecture {family!r} is not one of ours", where="config.json", todo=closest(family, FAMILIES)
        )
    for key, value in _MUST_BE.items():
        if found.get(key, value) != value:
            raise ModelError(f"{key} = {found[key]!r} is not supported", where="config.json")
    read: dict[str, Callable[[Mapping[str, Any]], TransformerConfig]] = {
        "gnomon-attn": _own,
        "gpt2": _gpt2,
        "gpt_neox": _neox,
    }
    config = read.get(family, _llama)(found)
    frequencies(config, length=config.max_positions)  # refuses a scaling that is not computed
    return config


def config_to_json(config: TransformerConfig) -> dict[str, Any]:
    """The `config.json` that describes `config` in its family's words.

    Raises:
        ModelError: the family's format cannot say what the config says; the fields are named.
    """
    write = {"gnomon-attn": _own_json, "gpt2": _gpt2_json, "gpt_neox": _neox_json}.get(config.family, _llama_json)
    ours = write(config)
    ours |= {"model_type": config.family, "architectures": [_ARCHITECTURES.get(config.family, "")]}
    back = config_from_json(ours)
    lost = [f.name for f in dataclasses.fields(config) if getattr(config, f.name) != getattr(back, f.name)]
    if lost:
        said = ", ".join(f"{name}={getattr(config, name)!r}" for name in lost)
        raise ModelError(f"the format of family {config.family!r} cannot hold {said}", todo="use family 'gnomon-attn'")
    return ours


def _need(found: Mapping[str, Any], key: str) -> Any:
    if found.get(key) is None:
        raise ModelError(f"{key!r} is missing", where="config.json")
    return found[key]


def _own(found: Mapping[str, Any]) -> TransformerConfig:
    fields = {f.name for f in dataclasses.fields(TransformerConfig)}
    given: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in found.items() if key in fields}
    for name in ("vocab_size", "d_model", "num_layers", "num_heads"):
        _need(given, name)
    return TransformerConfig(**given | {"family": "gnomon-attn"})


def _own_json(config: TransformerConfig) -> dict[str, Any]:
    return dataclasses.asdict(config)


def _tokens(found: Mapping[str, Any]) -> dict[str, Any]:
    eos = found.get("eos_token_id")
    ends = () if eos is None else tuple(eos) if isinstance(eos, list) else (eos,)
    return {
        "bos_token_id": found.get("bos_token_id"),
        "eos_token_ids": ends,
        "pad_token_id": found.get("pad_token_id"),
    }


def _tokens_json(config: TransformerConfig) -> dict[str, Any]:
    ends = config.eos_token_ids
    return {
        "vocab_size": config.vocab_size,
        "tie_word_embeddings": config.tie_embeddings,
        "bos_token_id": config.bos_token_id,
        "eos_token_id": None if not ends else ends[0] if len(ends) == 1 else list(ends),
        "pad_token_id": config.pad_token_id,
    }


def _gelu(found: Mapping[str, Any], key: str, default: str) -> Any:
    name = str(found.get(key, default))
    if name not in _GELUS:
        raise ModelError(f"{key} = {name!r} is not supported", where="config.json", todo=closest(name, _GELUS))
    return _GELUS[name]


def _gpt2(found: Mapping[str, Any]) -> TransformerConfig:
    width = _need(found, "n_embd")
    return TransformerConfig(
        family="gpt2",
        vocab_size=_need(found, "vocab_size"),
        d_model=width,
        num_layers=_need(found, "n_layer"),
        num_heads=_need(found, "n_head"),
        d_mlp=found.get("n_inner") or 4 * width,
        max_positions=_need(found, "n_positions"),
        norm="layernorm",
        norm_eps=found.get("layer_norm_epsilon", 1e-5),
        positions="learned",
        qkv_bias=True,
        out_bias=True,
        mlp=_gelu(found, "activation_function", "gelu_new"),
        mlp_bias=True,
        tie_embeddings=found.get("tie_word_embeddings", True),
        **_tokens(found),
    )


def _gpt2_json(config: TransformerConfig) -> dict[str, Any]:
    return _tokens_json(config) | {
        "n_embd": config.d_model,
        "n_layer": config.num_layers,
        "n_head": config.num_heads,
        "n_inner": config.d_mlp,
        "n_positions": config.max_positions,
        "layer_norm_epsilon": config.norm_eps,
        "activation_function": "gelu" if config.mlp == "gelu" else "gelu_new",
    }


def _neox(found: Mapping[str, Any]) -> TransformerConfig:
    biased = found.get("attention_bias", True)
    return TransformerConfig(
        family="gpt_neox",
        norm="layernorm",
        norm_eps=found.get("layer_norm_eps", 1e-5),
        parallel_block=found.get("use_parallel_residual", True),
        qkv_bias=biased,
        out_bias=biased,
        mlp=_gelu(found, "hidden_act", "gelu"),
        mlp_bias=True,
        **_sizes(found),
        **_rotary(found, fraction=0.25),
        **_tokens(found),
    )


def _neox_json(config: TransformerConfig) -> dict[str, Any]:
    return _sizes_json(config) | {
        "layer_norm_eps": config.norm_eps,
        "use_parallel_residual": config.parallel_block,
        "attention_bias": config.qkv_bias,
        "hidden_act": "gelu" if config.mlp == "gelu" else "gelu_new",
        "rotary_pct": config.rotary_fraction,
        "rotary_emb_base": config.rotary_theta,
    }


def _llama(found: Mapping[str, Any]) -> TransformerConfig:
    family = found["model_type"]
    if found.get("hidden_act", "silu") != "silu":
        raise ModelError(f"hidden_act = {found['hidden_act']!r} is not supported", where="config.json")
    biased = bool(found.get("attention_bias", False)) and family != "mistral"
    kv_heads = found.get("num_key_value_heads") if family == "llama" else _need(found, "num_key_value_heads")
    window, layers = _window(found, family)
    return TransformerConfig(
        family=family,
        num_kv_heads=kv_heads or 0,
        d_head=_need(found, "head_dim") if family == "qwen3" else found.get("head_dim") or 0,
        norm_eps=found.get("rms_norm_eps", 1e-6),
        qkv_bias=biased or family == "qwen2",
        out_bias=biased and family != "qwen2",
        qk_norm=family == "qwen3",
        window=window,
        window_layers=layers,
        mlp_bias=bool(found.get("mlp_bias", False)) and family == "llama",
        **_sizes(found),
        **_rotary(found, fraction=1.0),
        **_tokens(found),
    )


def _llama_json(config: TransformerConfig) -> dict[str, Any]:
    ours = _sizes_json(config) | {
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.d_head,
        "rms_norm_eps": config.norm_eps,
        "hidden_act": "silu",
        "sliding_window": config.window,
    }
    if config.family in ("llama", "qwen3"):
        ours["attention_bias"] = config.qkv_bias
    if config.family == "llama":
        ours["mlp_bias"] = config.mlp_bias
    if config.family in ("qwen2", "qwen3"):
        kinds = ["sliding" if config.windowed(layer) else "full" for layer in range(config.num_layers)]
        ours["use_sliding_window"] = config.window is not None
        ours["max_window_layers"] = next((n for n, kind in enumerate(kinds) if kind == "sliding"), config.num_layers)
        ours["layer_types"] = [f"{kind}_attention" for kind in kinds]
    return ours


def _window(found: Mapping[str, Any], family: str) -> tuple[int | None, tuple[int, ...] | None]:
    window = found.get("sliding_window")
    if family == "llama" or window is None:
        return None, None
    if family == "mistral":
        return window, None
    if not found.get("use_sliding_window", False):
        return None, None
    first = found.get("max_window_layers", 28)
    count = _need(found, "num_hidden_layers")
    kinds = found.get("layer_types") or ["sliding_attention" if n >= first else "full_attention" for n in range(count)]
    layers = tuple(n for n, kind in enumerate(kinds) if kind == "sliding_attention")
    return window, None if len(layers) == count else layers


def _sizes(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "vocab_size": _need(found, "vocab_size"),
        "d_model": _need(found, "hidden_size"),
        "num_layers": _need(found, "num_hidden_layers"),
        "num_heads": _need(found, "num_attention_heads"),
        "d_mlp": _need(found, "intermediate_size"),
        "max_positions": _need(found, "max_position_embeddings"),
        "tie_embeddings": found.get("tie_word_embeddings", False),
    }


def _sizes_json(config: TransformerConfig) -> dict[str, Any]:
    scaling = dict(config.rotary_scaling or {"rope_type": "default"})
    turned = {} if config.rotary_fraction == 1.0 else {"partial_rotary_factor": config.rotary_fraction}
    return _tokens_json(config) | {
        "hidden_size": config.d_model,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.d_mlp,
        "max_position_embeddings": config.max_positions,
        # transformers 5 reads the first of these, version 4 the other two.
        "rope_parameters": scaling | {"rope_theta": config.rotary_theta} | turned,
        "rope_theta": config.rotary_theta,
        "rope_scaling": dict(config.rotary_scaling) if config.rotary_scaling else None,
    }


def _rotary(found: Mapping[str, Any], *, fraction: float) -> dict[str, Any]:
    """Base, turned fraction and scaling, from the keys of transformers 4 or 5."""
    given = dict(found.get("rope_parameters") or {}) | dict(found.get("rope_scaling") or {})
    if any(isinstance(value, Mapping) for value in given.values()):
        raise ModelError("rotary settings that differ between layers are not supported", where="config.json")
    theta = given.pop("rope_theta", None) or found.get("rope_theta") or found.get("rotary_emb_base") or 10_000.0
    turned = given.pop("partial_rotary_factor", None) or found.get("rotary_pct") or fraction
    kind = given.pop("rope_type", None) or given.pop("type", None) or "default"
    given.pop("type", None)
    return {
        "rotary_theta": float(theta),
        "rotary_fraction": float(turned),
        "rotary_scaling": None if kind == "default" else {"rope_type": kind, **given},
    }
